// Istio's own answers to "would you accept this object, or this part of one?", recorded from its unit tests, against Weft's schemas and rules.
import { z } from "zod";
import { authorizationPolicySpec } from "../model/authorization-policy.ts";
import { destinationRuleSpec, localityLbSetting, outlierDetection, trafficPolicy } from "../model/destination-rule.ts";
import { envoyFilterSpec } from "../model/envoy-filter.ts";
import { trafficExtensionSpec, wasmPluginSpec } from "../model/extensions.ts";
import { gatewaySpec } from "../model/gateway.ts";
import { peerAuthenticationSpec } from "../model/peer-authentication.ts";
import { proxyConfigSpec } from "../model/proxy-config.ts";
import { requestAuthenticationSpec } from "../model/request-authentication.ts";
import { serviceEntrySpec } from "../model/service-entry.ts";
import { sidecarSpec } from "../model/sidecar.ts";
import { telemetrySpec } from "../model/telemetry.ts";
import { destination, httpRetry, httpRoute, virtualServiceSpec } from "../model/virtual-service.ts";
import { workloadEntrySpec, workloadGroupSpec } from "../model/workload-entry.ts";
import { checkReservedAnnotations } from "../validate/annotations.ts";
import { checkPeerAuthentication, checkRequestAuthentication } from "../validate/authentication.ts";
import { checkAuthorizationPolicy } from "../validate/authorization-policy.ts";
import { checkClientTls } from "../validate/client-tls.ts";
import { checkDestinationRule } from "../validate/destination-rule.ts";
import { checkDestination } from "../validate/destinations.ts";
import { checkEnvoyFilter } from "../validate/envoy-filter.ts";
import { checkProxyConfig, checkTrafficExtension, checkWasmPlugin } from "../validate/extensions.ts";
import { checkGateway, checkServer } from "../validate/gateway.ts";
import { checkAbort, checkCors, checkDelay, checkDirectResponse, checkRewrite } from "../validate/http-actions.ts";
import { checkHttpRoute } from "../validate/http-route.ts";
import { checkLocality, checkZoneAware } from "../validate/locality.ts";
import type { Problem } from "../validate/problem.ts";
import { checkRetries } from "../validate/retries.ts";
import { checkServerTls } from "../validate/server-tls.ts";
import { checkServiceEntry } from "../validate/service-entry.ts";
import { checkSidecar } from "../validate/sidecar.ts";
import { checkTelemetry } from "../validate/telemetry.ts";
import { checkConnectionPool, checkLoadBalancer, checkOutlierDetection, checkTrafficPolicy } from "../validate/traffic-policy.ts";
import { checkVirtualService } from "../validate/virtual-service.ts";
import { checkWorkloadEntry, checkWorkloadGroup } from "../validate/workload-entry.ts";
import type { Verdict } from "./verdict.ts";

const written = z
  .record(z.string(), z.string())
  .nullish()
  .transform((map) => map ?? {});

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? "");

const recorded = z.object({
  id: z.string(),
  func: z.string(),
  name: text,
  namespace: text,
  labels: written,
  annotations: written,
  spec: z.unknown().optional(),
  input: z.unknown().optional(),
  accept: z.boolean(),
  error: text,
  delegate: z
    .boolean()
    .nullish()
    .transform((isDelegate) => isDelegate === true),
});
type Recorded = z.output<typeof recorded>;

/** Every problem that Weft has with a recorded input; the reason where the schema already refuses it. */
type Judge = (recorded: Recorded) => readonly string[];

function judge<Value>(schema: z.ZodType<Value>, check: (value: Value, recorded: Recorded) => readonly Problem[]): Judge {
  return (line) => {
    const result = schema.safeParse(line.input ?? line.spec ?? {});
    if (!result.success) return result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    return check(result.data, line)
      .filter(({ severity }) => severity === "error")
      .map(({ path, what }) => `${path.join(".")}: ${what}`);
  };
}

const route = httpRoute.shape;
const policy = trafficPolicy.shape;
const server = gatewaySpec.shape.servers.unwrap().element;
const fault = route.fault.unwrap().shape;

/** Of whole objects. The annotations that Istio refuses on any kind are checked for each. */
const OBJECTS: Readonly<Record<string, Judge>> = {
  ValidateVirtualService: judge(virtualServiceSpec, (spec, { namespace }) => checkVirtualService({ spec, namespace })),
  ValidateDestinationRule: judge(destinationRuleSpec, (spec, { namespace }) => checkDestinationRule({ spec, namespace })),
  ValidateGateway: judge(gatewaySpec, (spec, { name }) => checkGateway({ spec, name })),
  ValidateServiceEntry: judge(serviceEntrySpec, (spec, { namespace, labels, annotations }) => checkServiceEntry({ spec, namespace, labels, annotations })),
  ValidateWorkloadEntry: judge(workloadEntrySpec, (spec) => checkWorkloadEntry({ spec })),
  ValidateWorkloadGroup: judge(workloadGroupSpec, (spec) => checkWorkloadGroup({ spec })),
  ValidateSidecar: judge(sidecarSpec, (spec, { namespace }) => checkSidecar({ spec, namespace })),
  ValidateAuthorizationPolicy: judge(authorizationPolicySpec, (spec, { annotations }) => checkAuthorizationPolicy({ spec, annotations })),
  ValidatePeerAuthentication: judge(peerAuthenticationSpec, (spec) => checkPeerAuthentication({ spec })),
  ValidateRequestAuthentication: judge(requestAuthenticationSpec, (spec) => checkRequestAuthentication({ spec })),
  ValidateEnvoyFilter: judge(envoyFilterSpec, (spec) => checkEnvoyFilter({ spec })),
  ValidateProxyConfig: judge(proxyConfigSpec, (spec) => checkProxyConfig({ spec })),
  ValidateTelemetry: judge(telemetrySpec, (spec) => checkTelemetry({ spec })),
  ValidateWasmPlugin: judge(wasmPluginSpec, (spec) => checkWasmPlugin({ spec })),
  ValidateTrafficExtension: judge(trafficExtensionSpec, (spec) => checkTrafficExtension({ spec })),
};

const PARTS: Readonly<Record<string, Judge>> = {
  ValidateHTTPRetry: judge(httpRetry, (value) => checkRetries(value, [])),
  ValidateLocalityLbSetting: judge(localityLbSetting, (value) => checkLocality(value, [])),
  ValidateZoneAwareLbSetting: judge(policy.loadBalancer.unwrap().shape.zoneAwareLbSetting, (value) => checkZoneAware(value, [])),
  ValidateTLS: judge(policy.tls, (value) => checkClientTls(value, "", [])),
  validateCORSPolicy: judge(route.corsPolicy, (value) => checkCors(value, [])),
  validateConnectionPool: judge(policy.connectionPool, (value) => checkConnectionPool(value, [])),
  validateDestination: judge(destination, (value) => checkDestination(value, [])),
  validateHTTPDirectResponse: judge(route.directResponse, (value) => checkDirectResponse(value, [])),
  validateHTTPFaultInjectionAbort: judge(fault.abort, (value) => checkAbort(value, [])),
  validateHTTPFaultInjectionDelay: judge(fault.delay, (value) => checkDelay(value, [])),
  validateHTTPRewrite: judge(route.rewrite, (value) => checkRewrite(value, [])),
  validateHTTPRoute: judge(httpRoute, (value, { delegate }) => checkHttpRoute(value, [], delegate)),
  validateLoadBalancer: judge(policy.loadBalancer, (value) => checkLoadBalancer(value, [])),
  validateOutlierDetection: judge(outlierDetection, (value) => checkOutlierDetection(value, [])),
  validateServer: judge(server, (value) => checkServer(value, [])),
  validateTLSOptions: judge(server.shape.tls, (value) => checkServerTls(value, [])),
  validateTrafficPolicy: judge(trafficPolicy, (value) => checkTrafficPolicy(value, "", [])),
};

/** Parts that may be absent: an absent one was recorded as `{}`. */
const MAY_BE_ABSENT: ReadonlySet<string> = new Set(["validateHTTPRewrite", "validateHTTPDirectResponse"]);

/** Compares the lines of `validate.jsonl` and `validate_part.jsonl`. */
export function compareValidation(lines: readonly unknown[]): readonly Verdict[] {
  return lines.map((line) => verdictOf(recorded.parse(line)));
}

function verdictOf(line: Recorded): Verdict {
  const group = line.func.replace(/^[vV]alidate/, "");
  const judgeOf = OBJECTS[line.func] ?? PARTS[line.func];
  if (judgeOf === undefined) return { id: line.id, group, agreed: false, reason: `there is nothing here to compare ${line.func} with` };
  const absent = MAY_BE_ABSENT.has(line.func) && JSON.stringify(line.input) === "{}";
  const problems = absent ? [] : [...judgeOf(line), ...annotationProblems(line)];
  const agreed = (problems.length === 0) === line.accept;
  return { id: line.id, group, agreed, reason: agreed ? "" : disagreement(line, problems) };
}

function annotationProblems({ func, annotations }: Recorded): readonly string[] {
  if (OBJECTS[func] === undefined) return [];
  const kind = func === "ValidateAuthorizationPolicy" ? "AuthorizationPolicy" : "Gateway";
  return checkReservedAnnotations({ kind, annotations }).map(({ what }) => what);
}

/** Istio's tests pass Go's nil, which the record writes as an empty value that YAML can say too, and Istio takes otherwise. */
const RECORDED_NIL = /cannot be null|is nil|if defined, must have at least one element/;

function disagreement(line: Recorded, problems: readonly string[]): string {
  const isNil = RECORDED_NIL.test(line.error) || (line.accept && JSON.stringify(line.input) === "{}");
  const remark = isNil ? "; the input was nil, which the record writes as an empty value" : "";
  const istio = line.accept ? "accepts" : `refuses (${line.error.trim().replaceAll(/\s+/g, " ")})`;
  const weft = problems.length === 0 ? "accepts" : `refuses (${problems.join("; ")})`;
  return `Istio ${istio}, Weft ${weft}${remark}: \`${JSON.stringify(line.input ?? line.spec)}\``;
}
