// Weft's codes that Istio has a code for. In an analysis a finding has one code: Istio's where there is one, so that what is written about it applies.
import type { Diagnostic } from "../model/diagnostic.ts";

/** Findings of a mesh (`mesh/checks.ts`) that a rule of the analysis makes too: the rule's is shown. */
const FOUND_BY_RULES: ReadonlySet<string> = new Set([
  "WEFT0401", // destination's host: IST0101
  "WEFT0402", // destination's port: IST0101
  "WEFT0403", // destination without a port: IST0112
  "WEFT0404", // destination's subset: IST0101
  "WEFT0405", // subset without pods: IST0173
  "WEFT0407", // gateway: IST0101
  "WEFT0408", // DestinationRule's host: IST0174
  "WEFT0423", // Sidecars of the same workloads: IST0110, IST0111
]);

const CODES: ReadonlyMap<string, string> = new Map([
  ["WEFT0355", "IST0130"],
  ["WEFT0356", "IST0131"],
  ["WEFT0406", "IST0109"],
  ["WEFT0441", "IST0127"],
]);

/** Findings that Istio has no notion of. */
const OWN: ReadonlySet<string> = new Set(["WEFT0301", "WEFT0381", "WEFT0382", "WEFT0399"]);
const ISTIO_KIND =
  /^(?:VirtualService|DestinationRule|Gateway|ServiceEntry|WorkloadEntry|WorkloadGroup|Sidecar|EnvoyFilter|ProxyConfig|AuthorizationPolicy|PeerAuthentication|RequestAuthentication|Telemetry|WasmPlugin|TrafficExtension) /;

/** Whether a rule of the analysis says the same as a diagnostic of the mesh. */
export function hasTwin({ code, resource = "" }: Diagnostic): boolean {
  return FOUND_BY_RULES.has(code) || (code === "WEFT0441" && resource.startsWith("AuthorizationPolicy "));
}

/** Istio's code for a diagnostic: what is wrong with one of its own kinds is IST0106 (an error) or IST0133 (a warning) where it has no code of its own. */
export function istioCode({ code, severity, resource = "" }: Diagnostic): string | undefined {
  const known = CODES.get(code);
  if (known !== undefined) return known;
  if (OWN.has(code) || !/^WEFT0[23]/.test(code) || !ISTIO_KIND.test(resource)) return undefined;
  return severity === "error" ? "IST0106" : severity === "warning" ? "IST0133" : undefined;
}
