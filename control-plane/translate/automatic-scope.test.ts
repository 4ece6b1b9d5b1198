// Automatic scope: what a proxy gets of what its workload has called, and that each name leads where it leads in the scope `all`.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type RouteAction, type VirtualHost, VirtualHostSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import type { Mesh } from "../mesh/mesh.ts";
import { matchVirtualHost } from "../simulate/match-virtual-host.ts";
import { sidecar } from "../test/mesh-of.ts";
import { wiredMesh } from "../test/wired-mesh.ts";
import type { TranslatedResource } from "./resource.ts";
import { translate } from "./translate.ts";

const FILTER = { wasm: Uint8Array.of(0), generationOf: () => 0 };

const service = (name: string, ports: readonly number[], namespace = "default", protocol = "http"): string =>
  `---\napiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {selector: {app: web}, ports: [${ports.map((port) => `{name: ${protocol}-${port}, port: ${port}}`).join(", ")}]}\n`;
const entry = (name: string, hosts: readonly string[], port = 80): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: ${name}}\nspec: {hosts: [${hosts.map((host) => `"${host}"`).join(", ")}], ports: [{number: ${port}, name: http, protocol: HTTP}], resolution: NONE}\n`;
const rule = (name: string, hosts: readonly string[], to: string): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: ${name}}\nspec: {hosts: [${hosts.map((host) => `"${host}"`).join(", ")}], http: [{match: [{uri: {prefix: /${name}}}], route: [{destination: {host: ${to}}}]}]}\n`;
const caller = `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: "main:1", ports: [{containerPort: 8080}]}]}}
`;
const settings = (scope: string, mode = "ALLOW_ANY"): string =>
  `---\napiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {scope: ${scope}, outboundTrafficPolicy: {mode: ${mode}}}\n`;

/** Hosts whose names could be each other's. */
const HOSTS = [
  service("a", [80, 8080]),
  service("b", [9090]),
  service("c", [8080, 9090]),
  service("bytes", [80], "default", "tcp"),
  service("a", [80], "other"),
  entry("a-default", ["a.default", "b.other", "c"]),
  entry("many", ["*.many.example", "one.many.example"]),
  entry("more", ["*.more.many.example"], 8080),
  rule("of-a", ["a"], "b"),
  rule("only", ["only.example", "*.only.example", "x.only.example", "a.other.svc"], "a"),
  rule("wide", ["*.many.example"], "c"),
];

const names = [
  ...[
    "a",
    "b",
    "c",
    "d",
    "bytes",
    "only.example",
    "x.only.example",
    "y.only.example",
    "many.example",
    "one.many.example",
    "two.many.example",
    "x.more.many.example",
  ],
  ...["more.many.example", "nowhere.example", "10.1.2.3", "svc.cluster.local", "x.y.svc.cluster.local", "*", "*.only.example"],
].flatMap((name) =>
  name.includes(".") ? [name] : [name, `${name}.default`, `${name}.other`, `${name}.default.svc`, `${name}.other.svc`, `${name}.default.svc.cluster.local`],
);
const authorities = names.flatMap((name) => [name, ...[80, 8080, 9090, 1].map((port) => `${name}:${port}`)]);

function hostsOf(mesh: Mesh, called?: readonly string[]): readonly VirtualHost[] {
  const options = called === undefined ? {} : { called: new Map([["default/web", new Set(called.map((name) => `on-demand/${name}`))]]) };
  const { proxies } = translate(mesh, { filter: FILTER, ...options });
  return hostsIn(proxies.get(sidecar(mesh, "web").id)?.resources ?? []);
}

function hostsIn(resources: readonly TranslatedResource[]): readonly VirtualHost[] {
  return resources.filter(({ type }) => type === "virtualHost").map(({ body }) => fromBinary(VirtualHostSchema, body));
}

function hostFor(hosts: readonly VirtualHost[], authority: string): VirtualHost | undefined {
  return matchVirtualHost(create(RouteConfigurationSchema, { virtualHosts: [...hosts] }), authority)?.virtualHost;
}

/** The routes by which a request for this authority goes, without what differs on purpose: a limit on silence, and a last route that says 404. */
function routesFor(hosts: readonly VirtualHost[], authority: string): unknown {
  const found = hostFor(hosts, authority);
  return found?.routes
    .filter(({ name, action }) => name !== "" || action.case !== "directResponse" || action.value.status !== 404)
    .map((route) => {
      const action = route.action.case === "route" ? { ...route.action, value: withoutLimit(route.action.value) } : route.action;
      return Buffer.from(toBinary(VirtualHostSchema, { ...found, name: "", domains: [], typedPerFilterConfig: {}, routes: [{ ...route, action }] })).toString(
        "base64",
      );
    });
}

function withoutLimit(action: RouteAction): RouteAction {
  const { idleTimeout: _, ...rest } = action;
  return rest;
}

describe("a name that was called", () => {
  it.each(["ALLOW_ANY", "REGISTRY_ONLY"])("leads where it leads in the scope `all`, whatever hosts there are (%s)", (mode) => {
    fc.assert(
      fc.property(fc.subarray(HOSTS), fc.subarray(authorities), (hosts, called) => {
        const yaml = caller + hosts.join("");
        const all = hostsOf(wiredMesh(yaml + settings("all", mode), { httpProxy: true }));
        const auto = hostsOf(wiredMesh(yaml + settings("auto", mode), { httpProxy: true }), called);
        for (const authority of called)
          if (!authority.includes("*")) expect([authority, routesFor(auto, authority)]).toEqual([authority, routesFor(all, authority)]);
        const domains = auto.flatMap((host) => host.domains);
        expect(new Set(domains).size).toBe(domains.length);
        expect(auto.filter(({ domains: of }) => of.some((domain) => domain === "*"))).toEqual([]);
      }),
      { numRuns: 12 },
    );
  });

  it("does not open other names, whatever stands in it", () => {
    const auto = hostsOf(wiredMesh(caller + HOSTS.join("") + settings("auto"), { httpProxy: true }), ["*", "*.only.example", "a*"]);
    for (const authority of authorities) expect(hostFor(auto, authority), authority).toBeUndefined();
  });
});

describe("a proxy of automatic scope", () => {
  const mesh = wiredMesh(caller + HOSTS.join("") + settings("auto"), { httpProxy: true });
  const captured: Mesh = {
    ...mesh,
    proxies: mesh.proxies.map((proxy) => ({ ...proxy, captures: true, capture: { outboundPort: 15_001, inboundPort: 15_006 } })),
  };
  const resourcesOf = (of: Mesh, called: readonly string[]): readonly TranslatedResource[] =>
    translate(of, { filter: FILTER, called: new Map([["default/web", new Set(called)]]) }).proxies.get(sidecar(of, "web").id)?.resources ?? [];
  const named = (resources: readonly TranslatedResource[], type: string): readonly string[] =>
    resources
      .filter((resource) => resource.type === type)
      .map(({ name }) => name)
      .sort();

  it("has no route of a service's own where connections are captured, but for ports that are not HTTP", () => {
    const resources = resourcesOf(captured, []);
    expect(named(resources, "cluster").filter((name) => name.startsWith("outbound"))).toEqual(["outbound|80||bytes.default.svc.cluster.local"]);
    expect(named(resources, "listener").filter((name) => name.startsWith("outbound"))).toEqual([
      "outbound-unknown|80",
      "outbound-unknown|8080",
      "outbound-unknown|9090",
      "outbound|80||bytes.default.svc.cluster.local",
    ]);
    expect(named(resources, "route")).toEqual(["on-demand", "on-demand|80", "on-demand|8080", "on-demand|9090"]);
  });

  it("finds a service by its address, and takes the port that was called for the one that is meant", () => {
    const address = sidecar(captured, "web").outbound.find(({ hostname, port }) => hostname.startsWith("c.default.") && port === 9090)?.listen.address ?? "";
    const resources = resourcesOf(captured, [
      `on-demand|9090/${address}`,
      `on-demand|9090/c`,
      "on-demand|8080/c:8080",
      "on-demand|8080/b",
      "on-demand|9090/10.9.9.9",
    ]);
    expect(named(resources, "cluster").filter((name) => name.startsWith("outbound|") && !name.includes("bytes"))).toEqual([
      "outbound|8080||c.default.svc.cluster.local",
      "outbound|9090||b.default.svc.cluster.local",
      "outbound|9090||c.default.svc.cluster.local",
    ]);
    expect(
      hostsIn(resources)
        .flatMap(({ domains }) => domains)
        .sort(),
    ).toEqual(["10.9.*", address, "b", "c", "c:8080", ...["", "", "", ""].map(() => "placeholder.invalid")].sort());
  });

  it("is all that is made again for what is called next, with the same resources for what is known", () => {
    const translation = translate(mesh, { filter: FILTER, called: new Map([["default/web", new Set(["on-demand/a"])]]) });
    const [first] = mesh.proxies;
    if (first === undefined) throw new Error("no proxy");
    const before = translation.proxies.get(first.id)?.resources ?? [];
    const again = translation.again([first], new Map([["default/web", new Set(["on-demand/a", "on-demand/b"])]]));
    expect([...again.proxies.keys()]).toEqual([first.id]);
    const after = new Set(again.proxies.get(first.id)?.resources);
    expect(before.filter((resource) => !after.has(resource)).map(({ name }) => name)).toEqual([]);
    expect(after.size).toBeGreaterThan(before.length);
  });

  it.each([
    [
      "a Sidecar resource says what it gets",
      `---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default}\nspec: {egress: [{hosts: ["./*"]}]}\n`,
      settings("auto"),
    ],
    ["the scope is `all`", "", settings("all")],
  ])("is none where %s", (_, sidecarYaml, config) => {
    const other = wiredMesh(caller + HOSTS.join("") + sidecarYaml + config, { httpProxy: true });
    expect(named(resourcesOf(other, ["on-demand/a"]), "route")).toContain("http-proxy");
  });
});
