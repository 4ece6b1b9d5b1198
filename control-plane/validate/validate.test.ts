import { describe, expect, it } from "vitest";
import { compareDiagnostics, formatDiagnostic } from "../model/diagnostic.ts";
import { parseFile } from "../source/parse-file.ts";
import { validate } from "./validate.ts";

/** The findings on one resource, without its file and name. */
function findings(text: string): readonly string[] {
  const file = parseFile("a.yaml", text);
  expect(file.diagnostics).toEqual([]);
  return validate(file.resources).map(({ code, severity, what, fix, origin }) => `${origin.line} ${code} ${severity} ${what}. Fix: ${fix}`);
}

const resource = (kind: string, spec: string, metadata = "name: reviews"): string =>
  `apiVersion: ${kind === "Service" ? "v1" : kind === "Deployment" ? "apps/v1" : kind === "MeshConfig" ? "weft.mesh/v1alpha1" : kind === "EnvoyFilter" ? "networking.istio.io/v1alpha3" : "networking.istio.io/v1"}\nkind: ${kind}\nmetadata: {${metadata}}\nspec: {${spec}}\n`;
const ROUTE = "hosts: [a], http: [{route: [{destination: {host: a}}]}]";

describe("a file with mistakes of meaning", () => {
  it("gets a line for each", () => {
    const text = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  annotations:
    weft.mesh/stiky: header:x-user
spec:
  hosts:
    - reviews
    - "*"
  http:
    - match:
        - uri:
            regex: "/a(?=b)"
      route:
        - destination:
            host: reviews
            subset: V_1
          weight: 0
        - destination:
            host: "*"
          weight: 0
      retries:
        attempts: 3
        retryOn: 5xx,gateway_error
      timeout: 0.5ms
      headers:
        response:
          set:
            x-share: 100%
    - redirect:
        redirectCode: 200
      fault:
        abort:
          httpStatus: 42
      corsPolicy:
        allowOrigins:
          - exact: https://example.com
    - route:
        - destination:
            host: reviews
`;
    expect(
      [...validate(parseFile("reviews.yaml", text).resources)]
        .sort(compareDiagnostics)
        .map(formatDiagnostic)
        .map((line) => line.replace("VirtualService default/reviews: ", "")),
    ).toMatchInlineSnapshot(`
      [
        "reviews.yaml:6:5 WEFT0382 error there is no annotation "weft.mesh/stiky". Fix: did you mean \`weft.mesh/sticky\`.",
        "reviews.yaml:10:7 WEFT0352 error the host * would take all traffic of the mesh. Fix: name the hosts, or bind the VirtualService to a gateway with \`gateways:\`.",
        "reviews.yaml:14:13 WEFT0312 error "/a(?=b)" is not a regular expression that Envoy (RE2) takes: error parsing regexp: invalid or unsupported Perl syntax: \`(?=\`. Fix: RE2 has no look-around and no back-references; see https://github.com/google/re2/wiki/Syntax.",
        "reviews.yaml:15:7 WEFT0333 error all destinations have weight 0. Fix: give at least one a weight above 0.",
        "reviews.yaml:18:13 WEFT0331 error "V_1" is not the name of a subset. Fix: use letters, digits and -, at most 63.",
        "reviews.yaml:21:13 WEFT0330 error a destination cannot be every host (*). Fix: name a service, such as reviews or reviews.default.svc.cluster.local.",
        "reviews.yaml:25:9 WEFT0321 error "gateway_error" is not a condition of retryOn. Fix: write \`gateway-error\`.",
        "reviews.yaml:26:7 WEFT0305 error timeout must be at least 1ms. Fix: write a duration such as 500ms or 2s, or remove the field.",
        "reviews.yaml:30:13 WEFT0316 error the % in "100%" begins a variable that never ends. Fix: double it (\`100%%\`) for a plain percent sign.",
        "reviews.yaml:31:7 WEFT0322 error the redirect leads nowhere. Fix: set at least one of uri, prefixRewrite, authority, port, scheme.",
        "reviews.yaml:32:9 WEFT0322 error 200 is not a redirect. Fix: use a code from 300 to 399; 301 is the default.",
        "reviews.yaml:33:7 WEFT0340 error a route cannot have both fault and redirect. Fix: remove one, or make two routes with a match each.",
        "reviews.yaml:35:11 WEFT0324 error 42 is not the status of a response. Fix: use a status from 200 to 599.",
        "reviews.yaml:39:7 WEFT0355 warning no request reaches this route: route #2 before it has no match and takes all. Fix: move the route without a match to the end.",
      ]
    `);
  });
});

describe("names", () => {
  it.each(["A_b", "-a", "a.", "å"])("%s is none of a resource", (name) => {
    expect(findings(resource("Service", "ports: [{port: 80}]", `name: "${name}"`)).join()).toContain(`WEFT0302 error "${name}" is not the name of a resource`);
  });
});

describe("annotations", () => {
  it.each([["header:x-user"], ["cookie:user"], ["cookie:user;Path=/;Max-Age=3600"], ["cookie:user; Path=/; SameSite=Lax; Secure"]])(
    "weft.mesh/sticky: %s is right",
    (value) => {
      expect(findings(resource("VirtualService", ROUTE, `name: a, annotations: {weft.mesh/sticky: "${value}", weft.mesh/sticky-group: beta}`))).toEqual([]);
    },
  );

  it.each([
    ["VirtualService", 'weft.mesh/sticky: "x-user"', 'WEFT0381 error "x-user" is not a key that users stick by'],
    ["VirtualService", 'weft.mesh/sticky: "header:"', 'WEFT0381 error "" is not the name of a header'],
    ["VirtualService", 'weft.mesh/sticky: "header:a b"', "WEFT0381"],
    ["VirtualService", 'weft.mesh/sticky: "cookie:a b"', "WEFT0381"],
    ["VirtualService", 'weft.mesh/sticky: "cookie:a;Pth=/"', "Fix: did you mean `Path`"],
    ["VirtualService", 'weft.mesh/sticky: "cookie:a;Max-Age=1h"', "Max-Age counts seconds"],
    ["VirtualService", 'weft.mesh/sticky: "cookie:a;Path"', "needs a value"],
    ["VirtualService", "weft.mesh/sticky-group: beta", "WEFT0381 error weft.mesh/sticky-group says"],
    ["VirtualService", "weft.mesh/sticky-gruop: beta", "Fix: did you mean `weft.mesh/sticky-group`"],
    ["VirtualService", "weft.mesh/colour: blue", "Fix: the annotations are weft.mesh/sticky, weft.mesh/sticky-group"],
  ])("on a %s: %s", (kind, annotation, expected) => {
    expect(findings(resource(kind, ROUTE, `name: a, annotations: {${annotation}}`)).join("\n")).toContain(expected);
  });

  it("belong on a VirtualService", () => {
    expect(findings(resource("Service", "ports: [{port: 80}]", "name: a, annotations: {weft.mesh/sticky: 'header:x'}")).join()).toContain(
      "means nothing on a Service",
    );
  });
});

describe("fields that are not built yet", () => {
  it.each([
    ["EnvoyFilter", "configPatches: []", "EnvoyFilter is not implemented: no proxy is patched. Fix: use the fields of VirtualService"],
    [
      "Gateway",
      'servers: [{port: {number: 443, name: tls, protocol: TLS}, hosts: ["*"], tls: {mode: AUTO_PASSTHROUGH}}]',
      "mode is not implemented: AUTO_PASSTHROUGH leads between meshes",
    ],
  ])("%s {%s} gets a warning by name", (kind, spec, expected) => {
    const found = findings(resource(kind, spec));
    expect(found.join("\n")).toContain(expected);
    expect(found.every((line) => line.includes("warning"))).toBe(true);
  });

  it.each([
    ["VirtualService", ROUTE],
    ["Gateway", 'servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: c}}]'],
    ["DestinationRule", "host: a, trafficPolicy: {tls: {mode: DISABLE}, loadBalancer: {simple: RANDOM}}, subsets: [{name: v1, labels: {version: v1}}]"],
    ["Gateway", 'selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]'],
  ])("%s {%s} gets none", (kind, spec) => {
    expect(findings(resource(kind, spec))).toEqual([]);
  });
});

describe("Services, Deployments and the MeshConfig", () => {
  const deployment = (selector: string, labels: string): string =>
    `selector: {matchLabels: {${selector}}}, template: {metadata: {labels: {${labels}}}, spec: {containers: [{name: a, image: a}]}}`;

  it.each([
    ["Service", "selector: {app: a}", "the Service has no ports"],
    ["Service", "ports: [{port: 80}, {port: 81, name: b}]", "each of several ports needs a name"],
    ["Service", "ports: [{port: 80, name: a}, {port: 81, name: a}]", 'the port name "a" stands twice'],
    ["Service", "ports: [{port: 80, name: a}, {port: 80, name: b}]", "the port 80 stands twice"],
    ["Service", "ports: [{port: 53, protocol: UDP}]", "warning the mesh does not carry UDP"],
    ["Service", "type: ExternalName", "names no host"],
    ["Deployment", deployment("app: a", "app: b"), "the selector does not select the Deployment's own pods"],
    ["Deployment", deployment("app: a", "app: a, 'x y': z"), '"x y" is not the name of a label'],
    ["MeshConfig", "localityLbSetting: {distribute: [{from: a, to: {b: 50}}]}", "the shares add up to 50"],
  ])("%s {%s}", (kind, spec, expected) => {
    expect(findings(resource(kind, spec)).join("\n")).toContain(expected);
  });

  it.each([
    ["Service", "ports: [{port: 53, name: a}, {port: 53, name: b, protocol: UDP}]"],
    ["Service", "clusterIP: None, selector: {app: a}"],
    ["Deployment", deployment("app: a", "app: a, version: v1")],
  ])("%s {%s} is right", (kind, spec) => {
    expect(findings(resource(kind, spec)).filter((line) => line.includes("error"))).toEqual([]);
  });
});
