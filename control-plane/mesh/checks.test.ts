import { describe, expect, it } from "vitest";
import { formatDiagnostic } from "../model/diagnostic.ts";
import { deployment, gatewayProxy, meshOf } from "../test/mesh-of.ts";

const ORDERS = `
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {selector: {app: orders}, ports: [{name: http, port: 9090}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
  subsets: [{name: stable, labels: {version: stable}}]
${deployment("orders", "app: orders, version: stable", "eu-1a")}
`;
const ROUTE = (name: string, route: string, more = "hosts: [orders]"): string => `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec: {${more}, http: [{route: [${route}]}]}
`;
const RULE = (name: string, spec: string): string => `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}}
spec: ${spec}
`;
const SIDECAR = (name: string, spec: string): string => `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: ${name}}
spec: ${spec}
`;
const GATEWAY = `
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;
const SERVICE = (name: string, spec: string): string => `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: ${spec}
`;

/** `CODE severity what. Fix: …` without places, which the last test covers. */
const findings = (yaml: string, ...running: Parameters<typeof meshOf> extends [string, ...infer Rest] ? Rest : never): readonly string[] =>
  meshOf(yaml, ...running).diagnostics.map(({ code, severity, what, fix }) => `${code} ${severity}: ${what}. Fix: ${fix}`);

describe("checks of a mesh", () => {
  it("finds nothing wrong with what fits together", () => {
    const route = ROUTE("orders", "{destination: {host: orders, subset: stable}}", "hosts: [orders], gateways: [mesh, front]");
    expect(findings(ORDERS + route + GATEWAY, { gateways: [gatewayProxy("eu-1a")] })).toEqual([]);
  });

  it.each([
    {
      what: "a host that no Service has, with the nearest name",
      yaml: ROUTE("orders", "{destination: {host: ordres}}"),
      expected:
        "WEFT0401 warning: no Service or ServiceEntry is called ordres.default.svc.cluster.local, so requests to it are answered 503. Fix: did you mean orders",
    },
    {
      what: "a host of another namespace that was named short",
      yaml: `
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{port: 80}]}
${ROUTE("orders", "{destination: {host: reviews}}")}`,
      expected:
        "WEFT0401 warning: no Service or ServiceEntry is called reviews.default.svc.cluster.local, so requests to it are answered 503. Fix: did you mean reviews.shop",
    },
    {
      what: "a port that the Service has not",
      yaml: ROUTE("orders", "{destination: {host: orders, port: {number: 80}}}"),
      expected: "WEFT0402 warning: the Service orders.default.svc.cluster.local has no port 80, so requests to it are answered 503. Fix: use 9090 (http)",
    },
    {
      what: "a Service of several ports where none is named",
      yaml:
        SERVICE("pages", "{selector: {app: pages}, ports: [{name: http, port: 80}, {name: grpc, port: 81}]}") +
        ROUTE("pages", "{destination: {host: pages}}", "hosts: [pages]"),
      expected:
        "WEFT0403 warning: the Service pages.default.svc.cluster.local has several ports (80 (http), 81 (grpc)), and the destination names none: the port that the request came to is taken. Fix: add port: {number: …} to the destination",
    },
    {
      what: "a subset that the rule has not, with the nearest name",
      yaml: ROUTE("orders", "{destination: {host: orders, subset: stabel}}"),
      expected: "WEFT0404 warning: DestinationRule default/orders has no subset stabel, so requests to it are answered 503. Fix: did you mean stable",
    },
    {
      what: "a subset where there is no rule",
      yaml: SERVICE("pages", "{selector: {app: pages}, ports: [{port: 80}]}") + ROUTE("pages", "{destination: {host: pages, subset: v1}}", "hosts: [pages]"),
      expected:
        "WEFT0404 warning: no DestinationRule for pages.default.svc.cluster.local defines the subset v1, so requests to it are answered 503. Fix: define the subset in a DestinationRule, or leave subset out",
    },
    {
      what: "two VirtualServices for one host that send the same requests elsewhere",
      yaml:
        ROUTE("a-first", "{destination: {host: orders}}") +
        ROUTE("b-second", "{destination: {host: orders, subset: stable}}", "hosts: [orders.default.svc.cluster.local]"),
      expected:
        "WEFT0406 warning: for orders.default.svc.cluster.local, VirtualService default/a-first (in.yaml:33) has a route for the same requests, which comes first: no request reaches this one. Fix: give the two different matches, or keep one of them",
    },
    {
      what: "a delegate that is not there",
      yaml: ROUTE("orders", "{destination: {host: orders}}").replace(/route: .*$/m, "delegate: {name: other}}]}"),
      expected: "WEFT0430 warning: there is no VirtualService default/other for this namespace, so this route is left out. Fix: create it, without hosts",
    },
    {
      what: "a Gateway that is not there",
      yaml: ROUTE("orders", "{destination: {host: orders}}", "hosts: [orders], gateways: [frnt]") + GATEWAY,
      expected: "WEFT0407 warning: there is no Gateway default/frnt, so no request comes through it. Fix: did you mean front",
    },
    {
      what: "a Gateway that no proxy serves",
      yaml: GATEWAY.replace("ingressgateway", "edge"),
      expected:
        "WEFT0410 warning: no gateway proxy carries the labels {istio: edge}, so nothing listens for this Gateway. Fix: use the labels of a gateway proxy that runs (istio: ingressgateway)",
    },
    {
      what: "a rule for a host that no Service has",
      yaml: RULE("other", "{host: order, trafficPolicy: {loadBalancer: {simple: RANDOM}}}"),
      expected: "WEFT0408 warning: no Service or ServiceEntry is called order.default.svc.cluster.local, so the rule has no effect. Fix: did you mean orders",
    },
    {
      what: "a second trafficPolicy for one host",
      yaml:
        RULE("second", "{host: orders.default.svc.cluster.local, trafficPolicy: {loadBalancer: {simple: RANDOM}}}") +
        RULE("third", "{host: orders, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}"),
      expected:
        "WEFT0409 warning: orders has a trafficPolicy already, of DestinationRule default/second (in.yaml:30): that one counts and this one does not. Fix: put the settings of both into one DestinationRule",
    },
    {
      what: "a subset that an earlier rule for the host has too",
      yaml: RULE("second", "{host: orders, subsets: [{name: canary, labels: {version: canary}}, {name: stable, labels: {version: stable}}]}"),
      expected:
        "WEFT0420 warning: orders has a subset stable already, of DestinationRule default/orders (in.yaml:7): that one counts and this one does not. Fix: give the subset another name, or leave it out",
    },
    {
      what: "a ServiceEntry that finds a host otherwise than another one",
      yaml: ["a", "b"]
        .map(
          (name, index) => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec: {hosts: [api.example.com], ports: [{number: 80, name: http}], resolution: ${["DNS", "NONE"][index]}}
`,
        )
        .join(""),
      expected:
        "WEFT0421 warning: api.example.com is found in another way already, by ServiceEntry default/a (in.yaml:30): that one counts. Fix: give both the same resolution, or put the two into one",
    },
    {
      what: "a Secret that is not there to call with",
      yaml: RULE("second", "{host: orders, trafficPolicy: {tls: {mode: MUTUAL, credentialName: orders-client}}}"),
      expected:
        "WEFT0422 warning: there is no Secret default/orders-client, so proxies answer 503 instead of calling without it. Fix: put a Secret with tls.crt, tls.key and ca.crt into the namespace of the workloads that call",
    },
    {
      what: "a second Sidecar for a namespace",
      yaml: SIDECAR("a", '{egress: [{hosts: ["./*"]}]}') + SIDECAR("b", '{egress: [{hosts: ["*/*"]}]}'),
      expected:
        "WEFT0423 warning: namespace default has a Sidecar already, Sidecar default/a (in.yaml:30): that one counts and this one does not. Fix: give this one a workloadSelector, or put the two into one",
    },
    {
      what: "a second Sidecar for a workload",
      yaml: ["a", "b"].map((name) => SIDECAR(name, '{workloadSelector: {labels: {app: orders}}, egress: [{hosts: ["./*"]}]}')).join(""),
      expected:
        "WEFT0423 warning: workloads that this one selects have a Sidecar already, Sidecar default/a (in.yaml:30): that one counts and this one does not. Fix: let their workloadSelectors tell workloads apart",
    },
    {
      what: "a targetPort that no container declares",
      yaml: SERVICE("typo", "{selector: {app: orders}, ports: [{port: 80, targetPort: htpp}]}"),
      expected:
        "WEFT0414 warning: no container of the selected workloads declares port htpp, so port 80 has no endpoints. Fix: use one of http (9090), or declare the port in the Deployment",
    },
  ])("reports $what", ({ yaml, expected }) => {
    expect(findings(ORDERS + yaml, { gateways: [gatewayProxy("eu-1a")] })).toContain(expected);
  });

  it("tells a subset that nothing can match from one that is not ready", () => {
    const canary = ORDERS.replace("labels: {version: stable}}]", "labels: {version: stabel}}]");
    const left = "it is left out of routes, and the other destinations take its share";
    expect(findings(canary)).toEqual([
      `WEFT0405 warning: no workload of the Service orders.default.svc.cluster.local carries the labels {version: stabel} of the subset stable: ${left}. Fix: did you mean version: stable`,
    ]);
    expect(findings(ORDERS, { change: (instance) => ({ ...instance, ready: false }) })).toEqual([
      `WEFT0405 info: the subset stable has no endpoint that is ready: ${left}. Fix: wait until one is ready, or start its workload`,
    ]);
  });

  it("says that limits keep traffic from being divided", () => {
    const limited =
      SERVICE("pages", "{selector: {app: pages}, ports: [{port: 80}]}") +
      RULE("pages", "{host: pages, trafficPolicy: {loadBalancer: {localityLbSetting: {enabled: true}}, connectionPool: {http: {http2MaxRequests: 5}}}}");
    expect(findings(ORDERS + limited).map((text) => text.slice(0, 14))).toEqual(["WEFT0411 info:"]);
  });

  it("lets two VirtualServices for one host be that never meet", () => {
    const apart =
      ROUTE("a-first", "{destination: {host: orders}}", 'hosts: [orders], exportTo: ["."]') +
      ROUTE("b-second", "{destination: {host: orders}}", "hosts: [orders], exportTo: [other]");
    expect(findings(ORDERS + apart)).toEqual([]);
  });

  it("points at the field, not at the document", () => {
    const [first] = meshOf(`${ORDERS}${ROUTE("orders", "{destination: {host: orders, subset: stabel}}")}`).diagnostics;
    expect(first && formatDiagnostic(first)).toMatch(/^in\.yaml:33:70 WEFT0404 warning VirtualService default\/orders: /);
  });
});
