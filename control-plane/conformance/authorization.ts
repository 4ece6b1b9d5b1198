// Istio's own AuthorizationPolicies with the filters that it makes of them, and the filters that we make: for the tests that compare the two.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, parseAllDocuments, stringify } from "yaml";
import { meshOf } from "../test/mesh-of.ts";
import { type HttpFilterInit, httpAuthorization, type NetworkFilterInit, tcpAuthorization } from "../translate/authorization/filters.ts";
import { CONFORMANCE } from "./lines.ts";

const FOLDER = join(CONFORMANCE, "data/istio/pilot/pkg/security/authz/builder/testdata");

/** Whether the conformance data are on this machine. */
export const hasAuthorizationData = existsSync(FOLDER);

/** One of Istio's tests: what goes in, and the filters that come out. */
export interface AuthorizationCase {
  readonly name: string;
  readonly transport: "http" | "tcp";
  /** The policies, as YAML. */
  readonly policies: string;
  /** MeshConfig of Istio's test, as far as it matters. */
  readonly settings: object;
  /** Istio's filters, as JSON of Envoy's API. */
  readonly expected: readonly unknown[];
}

const GRPC = {
  name: "default",
  envoyExtAuthzGrpc: { service: "foo/my-custom-ext-authz.foo.svc.cluster.local", port: 9000, failOpen: true, statusOnError: "403" },
};
/** Its time is what the recorded filter says. */
const GRPC_FOR_TCP = { ...GRPC, envoyExtAuthzGrpc: { ...GRPC.envoyExtAuthzGrpc, timeout: "2ms" } };
const HTTP = {
  name: "default",
  envoyExtAuthzHttp: {
    service: "foo/my-custom-ext-authz.foo.svc.cluster.local",
    port: 9000,
    timeout: "10s",
    failOpen: true,
    statusOnError: "403",
    pathPrefix: "/check",
    includeRequestHeadersInCheck: ["x-custom-id", "x-prefix-*", "*-suffix"],
    includeAdditionalHeadersInCheck: { "x-header-1": "value-1", "x-header-2": "value-2" },
    includeRequestBodyInCheck: { maxRequestBytes: 2048, allowPartialMessage: true, packAsBytes: true },
    headersToUpstreamOnAllow: ["Authorization", "x-prefix-*", "*-suffix"],
    headersToDownstreamOnDeny: ["Set-cookie", "x-prefix-*", "*-suffix"],
    headersToDownstreamOnAllow: ["Set-cookie", "x-prefix-*", "*-suffix"],
  },
};

const domains = (trustDomain: string, ...trustDomainAliases: string[]): object => ({ trustDomain, trustDomainAliases });
const policy = (name: string, spec: object, annotations: object = {}): string =>
  stringify({ apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name, namespace: "foo", annotations }, spec });

/** Name, input (a file, or the policies of a file that is not among the data), Istio's output, and settings. */
type Row = readonly [name: string, input: string, outputs: readonly string[], settings?: object];

const HTTP_ROWS: readonly Row[] = [
  ["allow-empty-rule", policy("allow-all", { rules: [{}] }), ["extended-allow-empty-rule-out"]],
  ["allow-full-rule", "allow-full-rule-in", ["allow-full-rule-out"]],
  ["allow-nil-rule", "allow-nil-rule-in", ["allow-nil-rule-out"]],
  ["allow-path", "allow-path-in", ["allow-path-out"]],
  ["allow-host-before-111", "allow-host-before-111-in", ["allow-host-before-111-out"]],
  ["audit-full-rule", policy("audit-all", { action: "AUDIT", rules: [{}] }), ["extended-audit-full-rule-out"]],
  [
    "custom-grpc-provider",
    "custom-simple-http-in",
    [1, 2].map((part) => `extended-custom-grpc-provider-no-namespace-out${part}`),
    { extensionProviders: [GRPC] },
  ],
  ["custom-http-provider", "custom-simple-http-in", ["custom-http-provider-out1", "custom-http-provider-out2"], { extensionProviders: [HTTP] }],
  ["custom-bad", "custom-simple-http-in", ["custom-bad-out"]],
  ["deny-and-allow", "deny-and-allow-in", ["deny-and-allow-out1", "deny-and-allow-out2"]],
  ["deny-empty-rule", policy("deny-all", { action: "DENY", rules: [{}] }), ["extended-deny-empty-rule-out"]],
  ["dry-run-allow", "dry-run-allow-in", ["dry-run-allow-out"]],
  [
    "dry-run-mix",
    `${policy("httpbin-1", { rules: [{ to: [{ operation: { paths: ["/allow"] } }] }] }, { "istio.io/dry-run": "true" })}---
${policy("httpbin-2", { rules: [{ to: [{ operation: { paths: ["/another"] } }] }] })}`,
    ["extended-dry-run-mix-out"],
  ],
  ["multiple-policies", "multiple-policies-in", ["multiple-policies-out"]],
  ["single-policy", "single-policy-in", ["single-policy-out"]],
  ["trust-domain-one-alias", "simple-policy-td-aliases-in", ["simple-policy-td-aliases-out"], domains("td1", "cluster.local")],
  [
    "trust-domain-multiple-aliases",
    policy("httpbin", {
      rules: [
        {
          from: [
            { source: { principals: ["cluster.local/ns/rule[0]/sa/from[0]-principal[0]"] } },
            {
              source: {
                principals: ["cluster.local/ns/rule[0]/sa/from[1]-principal[0]", "cluster.local/ns/rule[0]/sa/from[1]-principal[1]"],
                namespaces: ["rule[0]-from[1]-ns[0]"],
              },
            },
          ],
        },
      ],
    }),
    ["extended-simple-policy-multiple-td-aliases-out"],
    domains("td1", "cluster.local", "some-td"),
  ],
  ["trust-domain-wildcard", "simple-policy-principal-with-wildcard-in", ["simple-policy-principal-with-wildcard-out"], domains("td1", "foobar")],
  [
    "trust-domain-aliases-in-source-principal",
    "td-aliases-source-principal-in",
    ["td-aliases-source-principal-out"],
    domains("new-td", "old-td", "some-trustdomain"),
  ],
  ["trust-domains-field", "trust-domains-in", ["trust-domains-out"]],
];

const TCP_ROWS: readonly Row[] = [
  ["allow-both-http-tcp", "allow-both-http-tcp-in", ["allow-both-http-tcp-out"]],
  ["audit-both-http-tcp", "audit-both-http-tcp-in", ["audit-both-http-tcp-out"]],
  ["custom-both-http-tcp", "custom-both-http-tcp-in", ["custom-both-http-tcp-out1", "custom-both-http-tcp-out2"], { extensionProviders: [GRPC_FOR_TCP] }],
  ["custom-only-http", "custom-only-http-in", [], { extensionProviders: [HTTP] }],
  ["deny-both-http-tcp", "deny-both-http-tcp-in", ["deny-both-http-tcp-out"]],
];

/** All cases; none where the data are missing. `rewrite` changes the text of input and output alike. */
export function authorizationCases(rewrite: (text: string) => string = (text) => text): readonly AuthorizationCase[] {
  if (!hasAuthorizationData) return [];
  const read = (transport: string, file: string): string => readFileSync(join(FOLDER, transport, `${file}.yaml`), "utf8");
  const cases = (transport: "http" | "tcp", rows: readonly Row[]): readonly AuthorizationCase[] =>
    rows.map(([name, input, outputs, settings = {}]) => ({
      name: `${transport} ${name}`,
      transport,
      policies: rewrite(input.includes("\n") ? input : read(transport, input)),
      settings,
      expected: outputs.map((output): unknown => parse(rewrite(read(transport, output)))),
    }));
  return [...cases("http", HTTP_ROWS), ...cases("tcp", TCP_ROWS)];
}

/** The workload of Istio's tests. */
const WORKLOAD = { namespace: "foo", labels: { app: "httpbin", version: "v1" } };
const SERVICE = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "my-custom-ext-authz", namespace: "foo" },
  spec: { selector: { app: "authz" }, ports: [{ name: "grpc", port: 9000 }] },
};

/** Our filters for a case: with `istio` as they are under `defaults: istio`, which leaves out what Weft refuses beyond that. */
export function filtersOf(
  { transport, policies, settings }: AuthorizationCase,
  defaults: "istio" | "weft" = "istio",
): readonly (HttpFilterInit | NetworkFilterInit)[] {
  const meshConfig = { apiVersion: "weft.mesh/v1alpha1", kind: "MeshConfig", metadata: { name: "default" }, spec: { ...settings, defaults } };
  const written = parseAllDocuments(policies)
    .map((document): unknown => document.toJS())
    .filter((value) => value !== null);
  const mesh = meshOf([meshConfig, SERVICE, ...written].map((value) => stringify(value)).join("---\n"));
  const port = { known: 80, bound: 80 };
  return transport === "http" ? httpAuthorization(mesh, WORKLOAD, port).filters : tcpAuthorization(mesh, WORKLOAD, port).filters;
}
