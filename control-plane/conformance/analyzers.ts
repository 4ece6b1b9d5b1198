// Istio's analyzers on their own test files, against Weft's: the same codes, at the same level, about the same resources.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type AnalyzedDiagnostic, analyze } from "../analyze/analyze.ts";
import type { Json } from "../model/last-good.ts";
import { plainValue } from "../source/tree.ts";
import { yamlDocuments } from "../source/yaml-documents.ts";
import type { Verdict } from "./verdict.ts";

const recorded = z.object({
  id: z.string().optional(),
  name: z.string(),
  analyzer: z.string(),
  inputFiles: z.array(z.string()).default([]),
  meshConfig: z.string().nullish(),
  expected: z
    .array(z.object({ code: z.string(), level: z.string(), origin: z.string() }))
    .nullish()
    .transform((list) => list ?? []),
});
type Recorded = z.output<typeof recorded>;

/** Istio's analyzers to the rules that stand for them. */
const RULES: Readonly<Record<string, readonly string[]>> = {
  "annotations.K8sAnalyzer": ["annotations"],
  "annotations.AlphaAnalyzer": ["alphaAnnotations"],
  "applicationUID.Analyzer": ["applicationUser"],
  "auth.AuthorizationPoliciesAnalyzer": ["authorizationPolicies"],
  "authn.BlockedCIDRsAnalyzer": ["blockedAddresses"],
  "conditions.ConditionAnalyzer": ["conditions"],
  "status.ConditionAnalyzer": ["conditions"],
  "deployment.MultiServiceAnalyzer": ["deploymentServices"],
  "deprecation.DeprecationAnalyzer": ["deprecatedFields"],
  "destinationrule.CaCertificateAnalyzer": ["serverVerification"],
  "destinationrule.SubsetSelectPodAnalyzer": ["subsetsSelectPods"],
  "gateway.CertificateAnalyzer": ["gatewayCertificates"],
  "gateway.ConflictingGatewayAnalyzer": ["conflictingGateways"],
  "gateway.IngressGatewayPortAnalyzer": ["gatewayPorts"],
  "gateway.SecretAnalyzer": ["gatewaySecrets"],
  "service.PortNameAnalyzer": ["portNames"],
  "serviceentry.Analyzer": ["serviceEntryAddresses"],
  "serviceentry.ConflictingServiceEntryProtocolAnalyzer": ["serviceEntryProtocols"],
  "sidecar.SelectorAnalyzer": ["sidecarSelectors"],
  "telemetry.DefaultSelectorAnalyzer": ["telemetryDefaults"],
  "telemetry.LightstepAnalyzer": ["telemetryTracers"],
  "telemetry.ProviderAnalyzer": ["telemetryProviders"],
  "telemetry.SelectorAnalyzer": ["telemetrySelectors"],
  "virtualservice.ConflictingMeshGatewayHostsAnalyzer": ["meshHosts"],
  "virtualservice.DestinationHostAnalyzer": ["destinationHosts", "ingressSubsets"],
  "virtualservice.DestinationRuleAnalyzer": ["destinationSubsets"],
  "virtualservice.GatewayAnalyzer": ["virtualServiceGateways"],
  "virtualservice.JWTClaimRouteAnalyzer": ["claimRoutes"],
};
const SCHEMA = /^schema\.ValidationAnalyzer\.(\w+)$/;
const SCHEMA_CODES: ReadonlySet<string> = new Set(["IST0106", "IST0130", "IST0131", "IST0133"]);

/** What Weft has no part in. */
const EXCLUDED: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^envoyfilter\./, "patches of EnvoyFilter"],
  [/^injection\./, "injection and its images"],
  [/^webhook\./, "injection"],
  [/^applicationUID\./, "internals of Kubernetes workloads"],
  [/^k8sgateway\./, "Gateway API"],
  [/^multicluster\./, "multi-cluster"],
  [/^meshnetworks\./, "multi-cluster"],
  [/^externalcontrolplane\./, "external control planes"],
];

/** Where the recorded input files lie, within the folder of answers. */
const INPUTS = "data/istio/pkg/config/analysis/analyzers";

/** Compares the lines of `analyzers.jsonl`. `nowMs` decides which certificates are valid. */
export function compareAnalyzers(lines: readonly unknown[], folder: string, nowMs: number): readonly Verdict[] {
  return lines.map((line) => {
    const test = recorded.parse(line);
    const excluded = EXCLUDED.find(([pattern]) => pattern.test(test.analyzer))?.[1];
    const base = { id: test.name, group: test.analyzer, ...(excluded === undefined ? {} : { excluded }) };
    if (excluded !== undefined && RULES[test.analyzer] === undefined) return { ...base, agreed: false, reason: excluded };
    const found = findingsOf(test, folder, nowMs);
    if (found === undefined) return { ...base, agreed: false, reason: `there is no rule for ${test.analyzer}` };
    const expected = test.expected.map(({ code, level, origin }) => `${code} ${level} ${withoutDefault(origin)}`);
    const missing = difference(expected, found);
    const surplus = difference(found, expected);
    const agreed = missing.length + surplus.length === 0;
    return {
      ...base,
      agreed,
      reason: agreed ? "" : [...missing.map((text) => `Istio alone says: ${text}`), ...surplus.map((text) => `Weft alone says: ${text}`)].join("; "),
    };
  });
}

function findingsOf({ analyzer, inputFiles, meshConfig }: Recorded, folder: string, nowMs: number): readonly string[] | undefined {
  const kind = SCHEMA.exec(analyzer)?.[1];
  const rules = RULES[analyzer];
  if (kind === undefined && rules === undefined) return undefined;
  const files = new Map(inputFiles.map((file) => [file, readFileSync(join(folder, INPUTS, file), "utf8")]));
  const mesh = meshConfigOf(meshConfig ?? "", folder);
  const found = analyze(files, { platform: "istio", nowMs, rules: new Set(rules ?? []), ...(mesh === undefined ? {} : { meshConfig: mesh }) });
  const wanted = kind === undefined ? found.filter(({ ownCode, code }) => ownCode === undefined && code.startsWith("IST")) : found.filter(isOfSchema(kind));
  return wanted.map(({ code, severity, resource = "" }) => `${code} ${severity.charAt(0).toUpperCase()}${severity.slice(1)} ${withoutDefault(resource)}`);
}

function isOfSchema(kind: string): (diagnostic: AnalyzedDiagnostic) => boolean {
  return ({ code, resource = "" }) => SCHEMA_CODES.has(code) && resource.startsWith(`${kind} `);
}

/** A MeshConfig is recorded as its text, or as the file that holds it. */
function meshConfigOf(recordedConfig: string, folder: string): Json | undefined {
  if (recordedConfig === "") return undefined;
  const path = join(folder, INPUTS, recordedConfig);
  const text = !recordedConfig.includes("\n") && existsSync(path) ? readFileSync(path, "utf8") : recordedConfig;
  const [tree] = yamlDocuments(text).documents;
  return tree === undefined ? undefined : plainValue(tree);
}

/** Istio's tests know resources without a namespace, which Weft reads as of `default`. */
function withoutDefault(origin: string): string {
  return origin.replace(" default/", " ");
}

/** Elements of `a` that are not in `b`, each as often as it is there more often. */
function difference(a: readonly string[], b: readonly string[]): readonly string[] {
  const rest = [...b];
  return a.filter((element) => {
    const at = rest.indexOf(element);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}
