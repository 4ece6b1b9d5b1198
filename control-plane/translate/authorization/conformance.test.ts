// Istio's policies give Istio's filters: message for message, where what is written differs in nothing that decides.
import { create, createRegistry, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { authorizationCases, filtersOf, hasAuthorizationData } from "../../conformance/authorization.ts";
import { FilterSchema } from "../../gen/envoy/config/listener/v3/listener_components_pb.js";
import { ExtAuthzSchema as HttpExtAuthzSchema } from "../../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import { RBACSchema as HttpRbacSchema } from "../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { ExtAuthzSchema as NetworkExtAuthzSchema } from "../../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import { HttpFilterSchema } from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { RBACSchema as NetworkRbacSchema } from "../../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
import { UriTemplateMatchConfigSchema } from "../../gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";

const registry = createRegistry(HttpRbacSchema, NetworkRbacSchema, HttpExtAuthzSchema, NetworkExtAuthzSchema, UriTemplateMatchConfigSchema);
const filterJson = z.object({ name: z.string(), typedConfig: z.record(z.string(), z.unknown()) });

/** Istio names a statistics prefix where there is nothing to count, and knows its providers by a shorter prefix: `default` also by that of `default-2`. */
function normalised(json: JsonValue): unknown {
  const { name, typedConfig } = filterJson.parse(json);
  const { shadowRulesStatPrefix, ...rest } = typedConfig;
  const config = rest.shadowRules === undefined ? rest : { ...rest, shadowRulesStatPrefix };
  return { name, typedConfig: JSON.parse(JSON.stringify(config).replaceAll("istio-ext-authz-default-ns[", "istio-ext-authz-default"), unwrapped) };
}

const sets = z.union([
  z.strictObject({ andRules: z.object({ rules: z.tuple([z.unknown()]) }) }).transform(({ andRules }) => andRules.rules),
  z.strictObject({ orRules: z.object({ rules: z.tuple([z.unknown()]) }) }).transform(({ orRules }) => orRules.rules),
  z.strictObject({ andIds: z.object({ ids: z.tuple([z.unknown()]) }) }).transform(({ andIds }) => andIds.ids),
  z.strictObject({ orIds: z.object({ ids: z.tuple([z.unknown()]) }) }).transform(({ orIds }) => orIds.ids),
]);

/** All or any of one thing is that thing, which is how we write it. */
function unwrapped(_key: string, value: unknown): unknown {
  const [field, ...others] = typeof value === "object" && value !== null ? Object.keys(value) : [];
  if (others.length > 0 || !["andRules", "orRules", "andIds", "orIds"].includes(field ?? "")) return value;
  const { success, data } = sets.safeParse(value);
  return success ? data[0] : value;
}

/** Hosts in the form that Istio gave them before 1.11: decides the same, and is compared on a real Envoy. */
const OTHER_FORM = ["http allow-host-before-111"];

describe("filters of AuthorizationPolicies (needs conformance data)", () => {
  const cases = authorizationCases().filter(({ name }) => !OTHER_FORM.includes(name));

  it.skipIf(!hasAuthorizationData)("are compared case by case", () => expect(cases.length).toBeGreaterThan(0));

  it.each(cases)("are Istio's: $name", (given) => {
    const schema = given.transport === "http" ? HttpFilterSchema : FilterSchema;
    const ours = filtersOf(given).map((filter) => normalised(toJson(schema, create(schema, filter), { registry })));
    const istios = z
      .array(z.json())
      .parse(given.expected)
      .map((filter) => normalised(toJson(schema, fromJson(schema, filter, { registry }), { registry })));
    expect(ours).toEqual(istios);
  });
});
