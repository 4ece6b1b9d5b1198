import { describe, expect, it } from "vitest";
import { deployment, meshOf } from "../test/mesh-of.ts";

const MESH = `
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {selector: {app: orders}, ports: [{name: http, port: 9090}]}
---
apiVersion: v1
kind: Service
metadata: {name: bytes}
spec: {selector: {app: bytes}, ports: [{name: tcp, port: 7070}]}
${deployment("orders", "app: orders", "eu-1a")}
${deployment("bytes", "app: bytes", "eu-1a", 1, 7070)}
`;
const resource = (kind: string, name: string, spec: string, namespace = "default", group = "security.istio.io"): string => `
---
apiVersion: ${group}/v1
kind: ${kind}
metadata: {name: ${name}, namespace: ${namespace}}
spec: ${spec}
`;
const policy = (name: string, spec: string, namespace?: string): string => resource("AuthorizationPolicy", name, spec, namespace);
const peer = (name: string, spec: string, namespace?: string): string => resource("PeerAuthentication", name, spec, namespace);
const rule = (tls: string): string => resource("DestinationRule", "orders", `{host: orders, trafficPolicy: {${tls}}}`, "default", "networking.istio.io");
const settings = (spec: string): string => `
---
apiVersion: weft.mesh/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: ${spec}
`;

/** `CODE at line: what`. */
const findings = (yaml: string): readonly string[] =>
  meshOf(MESH + yaml)
    .diagnostics.filter(({ code }) => code.startsWith("WEFT044"))
    .map(({ code, severity, what }) => `${code} ${severity}: ${what}`);

const ORDERS = "selector: {matchLabels: {app: orders}}";
const BYTES = "selector: {matchLabels: {app: bytes}}";

describe("checks of security", () => {
  it("find nothing wrong with what fits", () => {
    const yaml = [
      policy("allow", `{${ORDERS}, rules: [{from: [{source: {principals: ["*"]}}], to: [{operation: {methods: [GET]}}]}]}`),
      policy("deny", `{${BYTES}, action: DENY, rules: [{to: [{operation: {ports: ["80"], paths: [/x]}}]}, {from: [{source: {ipBlocks: [10.0.0.1]}}]}]}`),
      policy("asked", `{${ORDERS}, action: CUSTOM, provider: {name: gate}, rules: [{}]}`),
      settings("{extensionProviders: [{name: gate, envoyExtAuthzGrpc: {service: orders.default.svc.cluster.local, port: 9090}}]}"),
      peer("default", "{mtls: {mode: STRICT}}"),
      rule("tls: {mode: ISTIO_MUTUAL}"),
      resource("RequestAuthentication", "tokens", `{${ORDERS}, jwtRules: [{issuer: a, jwksUri: "https://a/keys"}]}`),
    ];
    expect(findings(yaml.join(""))).toEqual([]);
  });

  it.each([
    [
      "a policy for waypoints",
      policy("p", "{targetRefs: [{kind: Service, name: orders}], rules: [{}]}"),
      "WEFT0440 warning: there are no waypoint proxies, so nothing enforces a policy that is attached to the Service orders",
    ],
    [
      "a policy whose labels nobody carries",
      policy("p", "{selector: {matchLabels: {app: order}}, rules: [{}]}"),
      "WEFT0441 warning: no workload of default carries the labels {app: order}: the policy protects nothing",
    ],
    [
      "a workload that no rule lets anybody call",
      policy("p", `{${ORDERS}}`),
      "WEFT0442 warning: no ALLOW policy that selects default/orders has a rule, so it can no longer be called",
    ],
    [
      "a rule that refuses everything",
      policy("p", `{${ORDERS}, action: DENY, rules: [{}]}`),
      "WEFT0442 warning: an empty rule matches every request, so default/orders can no longer be called",
    ],
    [
      "a TCP port for which only requests are let through",
      policy("p", `{${BYTES}, rules: [{to: [{operation: {methods: [GET]}}]}, {when: [{key: "request.headers[x]", values: [y]}]}]}`),
      "WEFT0443 warning: port 7070 of default/bytes is not HTTP, and every ALLOW rule for it asks for what only requests have (methods, request.headers[x]): nobody can connect to it",
    ],
    [
      "a DENY for requests at a TCP port",
      policy("p", `{${BYTES}, action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}`),
      "WEFT0444 warning: port 7070 of default/bytes is not HTTP, where the rule is read without paths: it refuses connections that it does not mean",
    ],
    [
      "an authorizer that nobody knows",
      policy("p", `{${ORDERS}, action: CUSTOM, provider: {name: gate}, rules: [{}]}`),
      "WEFT0445 warning: the MeshConfig has no extension provider gate: every request that the rules match is refused",
    ],
    [
      "an authorizer whose service does not exist",
      policy("p", `{${ORDERS}, action: CUSTOM, provider: {name: gate}, rules: [{}]}`) +
        settings("{extensionProviders: [{name: gate, envoyExtAuthzGrpc: {service: gone.default.svc.cluster.local, port: 80}}]}"),
      "WEFT0445 warning: the extension provider gate names the service gone.default.svc.cluster.local and its port 80, which the mesh does not have: every request that the rules match is refused",
    ],
    [
      "plain text to a workload that takes mutual TLS alone",
      peer("strict", "{mtls: {mode: STRICT}}") + rule("tls: {mode: DISABLE}"),
      "WEFT0446 warning: orders.default.svc.cluster.local:9090 is called with the tls mode DISABLE, and orders takes the mesh's mutual TLS alone (PeerAuthentication STRICT): every request fails",
    ],
    [
      "the same for one port",
      peer("strict", `{${ORDERS}, portLevelMtls: {9090: {mode: STRICT}}}`) + rule("portLevelSettings: [{port: {number: 9090}, tls: {mode: DISABLE}}]"),
      "WEFT0446 warning: orders.default.svc.cluster.local:9090 is called with the tls mode DISABLE, and orders takes the mesh's mutual TLS alone (PeerAuthentication STRICT): every request fails",
    ],
    [
      "mutual TLS to a workload that takes plain text alone",
      peer("off", "{mtls: {mode: DISABLE}}") + rule("tls: {mode: ISTIO_MUTUAL}"),
      "WEFT0446 warning: orders.default.svc.cluster.local:9090 is called with the tls mode ISTIO_MUTUAL, and orders takes plain text alone: every request fails",
    ],
    [
      "identities where nobody has one",
      peer("off", "{mtls: {mode: DISABLE}}") + policy("p", `{${ORDERS}, rules: [{from: [{source: {namespaces: [default]}}]}]}`),
      "WEFT0447 warning: port 9090 of default/orders takes plain text alone (PeerAuthentication DISABLE), so nobody's identity is known there and namespaces matches nobody",
    ],
    [
      "identities in a mesh without mutual TLS",
      settings("{enableAutoMtls: false}") + policy("p", `{${ORDERS}, rules: [{when: [{key: source.principal, values: ["*"]}]}]}`),
      "WEFT0447 warning: the MeshConfig turns automatic mutual TLS off (enableAutoMtls), so nobody's identity is known there and source.principal matches nobody",
    ],
    [
      "keys that cannot be read",
      resource("RequestAuthentication", "t", `{${ORDERS}, jwtRules: [{issuer: a, jwks: "{}"}]}`),
      "WEFT0448 warning: the key set is not JSON with a list `keys` of public keys: every token of this issuer is refused",
    ],
    [
      "no keys",
      resource("RequestAuthentication", "t", `{${ORDERS}, jwtRules: [{issuer: a}]}`),
      "WEFT0448 warning: neither jwks nor jwksUri is set, and keys are not looked for at the issuer: every token of this issuer is refused",
    ],
    [
      "two PeerAuthentications of one namespace",
      peer("a", "{mtls: {mode: STRICT}}") + peer("b", "{mtls: {mode: DISABLE}}"),
      "WEFT0449 warning: PeerAuthentication default/a (in.yaml:43) is for the namespace default already, and this one has no effect",
    ],
    [
      "a PeerAuthentication for a workload in the root namespace",
      peer("a", `{${ORDERS}, mtls: {mode: STRICT}}`, "weft-system"),
      "WEFT0449 warning: in the root namespace only a PeerAuthentication without a selector counts, which is for the whole mesh: this one has no effect",
    ],
  ])("find %s", (_, yaml, said) => {
    expect(findings(yaml)).toEqual([said]);
  });
});
