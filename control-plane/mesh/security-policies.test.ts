import { describe, expect, it } from "vitest";
import { meshOf } from "../test/mesh-of.ts";
import { authorizationOf, mutualTlsMode, mutualTlsOf, requestAuthenticationsOf } from "./security-policies.ts";

const resource = (kind: string, namespace: string, name: string, spec: string): string => `
---
apiVersion: security.istio.io/v1
kind: ${kind}
metadata: {name: ${name}, namespace: ${namespace}}
spec: ${spec}
`;
const workload = (labels: Readonly<Record<string, string>> = { app: "web" }, namespace = "shop") => ({ namespace, labels });

describe("policies of a workload", () => {
  const policy = (namespace: string, name: string, spec: string) => resource("AuthorizationPolicy", namespace, name, spec);
  const names = (yaml: string, of = workload()) => {
    const { custom, audit, deny, allow } = authorizationOf(meshOf(yaml), of);
    return [...custom, ...audit, ...deny, ...allow].map(({ namespace, name }) => `${namespace}/${name}`);
  };

  it.each([
    ["its namespace's, without a selector", policy("shop", "a", "{rules: [{}]}"), ["shop/a"]],
    [
      "those that select it",
      policy("shop", "a", "{selector: {matchLabels: {app: web}}}") + policy("shop", "b", "{selector: {matchLabels: {app: api}}}"),
      ["shop/a"],
    ],
    ["those with an empty selector", policy("shop", "a", "{selector: {matchLabels: {}}}"), ["shop/a"]],
    ["none of other namespaces", policy("other", "a", "{rules: [{}]}"), []],
    [
      "those of the root namespaces that select it, first",
      policy("shop", "a", "{}") + policy("weft-system", "z", "{selector: {matchLabels: {app: web}}}") + policy("istio-system", "y", "{}"),
      ["istio-system/y", "weft-system/z", "shop/a"],
    ],
    [
      "by what they do: CUSTOM, AUDIT, DENY, ALLOW",
      ["ALLOW", "DENY", "AUDIT", "CUSTOM"].map((action, index) => policy("shop", `p${index}`, `{action: ${action}, rules: [{}]}`)).join(""),
      ["shop/p3", "shop/p2", "shop/p1", "shop/p0"],
    ],
    ["none that are attached to something else", policy("shop", "a", "{targetRefs: [{kind: Service, name: web}]}"), []],
  ])("are %s", (_, yaml, expected) => {
    expect(names(yaml)).toEqual(expected);
  });

  it("are those of the Gateway that a gateway serves, where they name it", () => {
    const target = "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front}]}";
    const yaml = policy("shop", "a", target) + policy("other", "b", target) + policy("shop", "c", target.replace("front", "back"));
    expect(names(yaml, workload({ "gateway.networking.k8s.io/gateway-name": "front" }))).toEqual(["shop/a"]);
    expect(names(yaml, workload())).toEqual([]);
  });

  it("are found once for all workloads alike", () => {
    const mesh = meshOf(policy("shop", "a", "{}"));
    expect(authorizationOf(mesh, workload({ a: "1", b: "2" }))).toBe(authorizationOf(mesh, workload({ b: "2", a: "1" })));
  });

  it("include the tokens that it takes", () => {
    const yaml =
      resource("RequestAuthentication", "weft-system", "a", "{jwtRules: [{issuer: a}]}") +
      resource("RequestAuthentication", "shop", "b", "{jwtRules: [{issuer: b}]}");
    expect(requestAuthenticationsOf(meshOf(yaml), workload()).map(({ name }) => name)).toEqual(["a", "b"]);
  });
});

describe("mutual TLS of a workload", () => {
  const peer = (namespace: string, name: string, spec: string) => resource("PeerAuthentication", namespace, name, spec);
  const WEB = "selector: {matchLabels: {app: web}}";

  it.each([
    ["is PERMISSIVE where nothing is said", "", "PERMISSIVE"],
    ["is what the mesh says", peer("weft-system", "a", "{mtls: {mode: STRICT}}"), "STRICT"],
    ["is what the namespace says, before that", peer("weft-system", "a", "{mtls: {mode: STRICT}}") + peer("shop", "b", "{mtls: {mode: DISABLE}}"), "DISABLE"],
    [
      "is what is said of the workload, before that",
      peer("shop", "b", "{mtls: {mode: DISABLE}}") + peer("shop", "c", `{${WEB}, mtls: {mode: STRICT}}`),
      "STRICT",
    ],
    [
      "is inherited where it is unset",
      peer("weft-system", "a", "{mtls: {mode: STRICT}}") + peer("shop", "b", "{mtls: {mode: UNSET}}") + peer("shop", "c", `{${WEB}}`),
      "STRICT",
    ],
    ["is not what another namespace says", peer("other", "a", "{mtls: {mode: STRICT}}"), "PERMISSIVE"],
    ["is the first of several by name", peer("shop", "b", "{mtls: {mode: DISABLE}}") + peer("shop", "a", "{mtls: {mode: STRICT}}"), "STRICT"],
    ["is not what the root namespace says of workloads", peer("weft-system", "a", `{${WEB}, mtls: {mode: STRICT}}`), "PERMISSIVE"],
  ])("%s", (_, yaml, mode) => {
    expect(mutualTlsOf(meshOf(yaml), workload()).mode).toBe(mode);
  });

  it("may be another one at a port", () => {
    const mesh = meshOf(
      peer("shop", "a", "{mtls: {mode: STRICT}}") + peer("shop", "b", `{${WEB}, portLevelMtls: {8080: {mode: DISABLE}, 9090: {mode: UNSET}}}`),
    );
    expect([8080, 9090, 7070].map((port) => mutualTlsMode(mesh, workload(), port))).toEqual(["DISABLE", "STRICT", "STRICT"]);
    expect(mutualTlsOf(mesh, workload()).policy?.name).toBe("b");
  });
});
