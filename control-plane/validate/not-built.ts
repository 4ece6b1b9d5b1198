// Fields that are read and checked, and that the data plane does not build yet: each is named to its author, with what happens instead.
// Building one means taking its line out.
import type { AnyResource, FieldPath } from "../model/resource.ts";
import { type Problem, warning } from "./problem.ts";

/** A path into a resource, `*` standing for every item of a list; and what happens instead. `unless`: values that need nothing built. */
export interface NotBuilt {
  readonly kind: AnyResource["kind"];
  /** Empty for the whole kind. */
  readonly path: readonly string[];
  readonly instead: string;
  /** What to use; absent where there is nothing. */
  readonly alternative?: string;
  readonly unless?: (value: unknown) => boolean;
}

const IGNORED = "the mesh acts as if it were not there";

const POLICIES = ["trafficPolicy", "subsets.*.trafficPolicy", "trafficPolicy.portLevelSettings.*", "subsets.*.trafficPolicy.portLevelSettings.*"] as const;

const DESTINATION_RULE: readonly NotBuilt[] = POLICIES.map((policy) => ({
  kind: "DestinationRule",
  path: ["spec", ...policy.split("."), "loadBalancer", "simple"],
  instead: "the endpoints of the service are balanced by LEAST_REQUEST",
  unless: (value) => value !== "PASSTHROUGH",
}));

const GATEWAY: readonly NotBuilt[] = [
  {
    kind: "Gateway",
    path: ["spec", "servers", "*", "tls", "mode"],
    instead: "AUTO_PASSTHROUGH leads between meshes, and the server does not listen",
    alternative: "use PASSTHROUGH, and a VirtualService with `tls:` that says where each SNI host goes",
    unless: (value) => value !== "AUTO_PASSTHROUGH",
  },
  { kind: "Gateway", path: ["spec", "servers", "*", "bind"], instead: "the server listens on the gateway's address" },
  {
    kind: "Gateway",
    path: ["spec", "servers", "*", "port", "protocol"],
    instead: "the server does not listen",
    unless: (value) => !/^(udp|http_proxy)$/i.test(String(value)),
  },
];

const SIDECAR: readonly NotBuilt[] = (
  [
    ["ingress.*.tls", "the port speaks what every inbound port speaks"],
    ["ingress.*.bind", "the port is open at the workload's address"],
    ["ingress.*.captureMode", "the port is open at the workload's address"],
    ["egress.*.bind", "programs call services at the addresses that they are given"],
    ["egress.*.captureMode", "programs call services at the addresses that they are given"],
    ["outboundTrafficPolicy.egressProxy", "unknown names are called directly"],
  ] as const
).map(([path, instead]) => ({ kind: "Sidecar", path: ["spec", ...path.split(".")], instead, unless: (value) => value === "" || value === "DEFAULT" }));

const SERVICE_ENTRY: readonly NotBuilt[] = ["spec.endpoints.*.network", "spec.network"].map((path, index) => ({
  kind: index === 0 ? "ServiceEntry" : "WorkloadEntry",
  path: path.split("."),
  instead: "the endpoint is called at its own address, as if it were in the same network",
  unless: (value) => value === "",
}));

/** Whole kinds: checked as Istio checks them, and without effect. */
const KINDS: readonly NotBuilt[] = (
  [
    ["EnvoyFilter", "no proxy is patched", "use the fields of VirtualService, DestinationRule and Gateway; what they lack is worth an issue"],
    ["ProxyConfig", "proxies keep their settings", "start the sidecars with the options that they need"],
    ["WasmPlugin", "no plugin is loaded", "match and change requests with VirtualService, or do it in the application"],
    ["TrafficExtension", "neither wasm nor lua runs", "match and change requests with VirtualService, or do it in the application"],
    ["Telemetry", "every proxy counts requests and writes its access log as it does without it", "read /metrics, `weft top` and `weft logs --access`"],
    ["WorkloadGroup", "nothing registers itself by it", undefined],
  ] as const
).map(([kind, instead, alternative]) => ({ kind, path: [], instead, ...(alternative === undefined ? {} : { alternative }) }));

const MESH_CONFIG: readonly NotBuilt[] = [
  { kind: "MeshConfig", path: ["spec", "extensionProviders", "*"], instead: IGNORED, unless: isAuthorizer },
  { kind: "MeshConfig", path: ["spec", "defaultProviders"], instead: IGNORED },
];

/** The one table. */
export const NOT_BUILT: readonly NotBuilt[] = [...KINDS, ...MESH_CONFIG, ...DESTINATION_RULE, ...SERVICE_ENTRY, ...SIDECAR, ...GATEWAY];

/** A warning for each field of a resource that is not built yet. */
export function checkNotBuilt(resource: AnyResource): readonly Problem[] {
  return NOT_BUILT.filter(({ kind }) => kind === resource.kind).flatMap(({ path, instead, alternative, unless }) =>
    valuesAt(resource, path).flatMap(([at, value]) =>
      isEmpty(value) || unless?.(value) === true
        ? []
        : [
            warning(
              "WEFT0399",
              at,
              `${at.findLast((step) => typeof step === "string") ?? resource.kind} is not implemented: ${instead}`,
              alternative ?? "remove it, or leave it for a cluster with Istio",
            ),
          ],
    ),
  );
}

/** The extension providers that something is made of. */
function isAuthorizer(value: unknown): boolean {
  return typeof value === "object" && value !== null && ("envoyExtAuthzHttp" in value || "envoyExtAuthzGrpc" in value);
}

/** Absent, or what an absent list is read as. */
function isEmpty(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}

function valuesAt(value: unknown, path: readonly string[], at: FieldPath = []): readonly (readonly [FieldPath, unknown])[] {
  const [step, ...rest] = path;
  if (step === undefined) return [[at, value]];
  if (Array.isArray(value)) return step === "*" ? value.flatMap((item: unknown, index) => valuesAt(item, rest, [...at, index])) : [];
  return isRecord(value) ? valuesAt(value[step], rest, [...at, step]) : [];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
