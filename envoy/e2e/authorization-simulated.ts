// What the simulation says of a probe, in the words of the real Envoys beside it: a case and a probe in, allowed, refused, or undefined where it depends on what
// nobody can know out.
import { create } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { type AuthorizationCase, filtersOf } from "../../control-plane/conformance/authorization.ts";
import { FilterSchema } from "../../control-plane/gen/envoy/config/listener/v3/listener_components_pb.js";
import { JwtAuthenticationSchema } from "../../control-plane/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import { HttpFilterSchema } from "../../control-plane/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { authorize, type SecurityFilter } from "../../control-plane/simulate/authorize.ts";
import { packAny } from "../../control-plane/translate/any.ts";
import type { Probe } from "./authorization-probes.ts";

/** As the listener of the test has it: any issuer's token holds. */
const ANY_TOKEN: SecurityFilter = {
  name: "jwt",
  typedConfig: create(AnySchema, packAny(JwtAuthenticationSchema, { providers: { any: { payloadInMetadata: "payload", forward: true } } })),
};

/** Asks the filters of a case as they stand, once for all of its probes. */
export function createSimulation(given: AuthorizationCase, defaults: "istio" | "weft" = "istio"): (probe: Probe) => "allowed" | "refused" | undefined {
  const own = filtersOf(given, defaults).map((init): SecurityFilter => {
    const { name, configType } = given.transport === "http" ? create(HttpFilterSchema, init) : create(FilterSchema, init);
    return { name, typedConfig: configType.case === "typedConfig" ? configType.value : undefined };
  });
  return (probe) => decisionOn(given.transport === "http" ? [ANY_TOKEN, ...own] : own, probe);
}

function decisionOn(filters: readonly SecurityFilter[], probe: Probe): "allowed" | "refused" | undefined {
  const { principal, source, remote, destination, port, sni, host, method, path, headers, token } = probe;
  const values = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), [value]]);
  const { decision, dependsOn, audited, tried } = authorize(filters, {
    request: { method, scheme: "https", authority: host, path, headers: Object.fromEntries(values), random: 0 },
    principals: principal === undefined ? [] : [principal],
    clientAddress: source,
    remoteAddress: remote,
    destination: { address: destination, port },
    serverName: sni,
    token: token === undefined ? { kind: "as-sent" } : { kind: "valid", claims: token },
  });
  // In the test, what is only noted is refused: see authorization-targets.ts.
  if (decision === "denied" || audited.length > 0 || tried.some(({ would }) => would === "deny")) return "refused";
  if (decision === "allowed") return tried.some(({ would }) => would === "unknown") ? undefined : "allowed";
  return dependsOn.every((what) => what.startsWith("what the authorizer")) ? "refused" : undefined;
}
