import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.js";
import { type Route, VirtualHostSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import { WasmSchema } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.js";
import { buildSnapshot } from "../snapshot/snapshot.ts";
import { deployment } from "../test/mesh-of.ts";
import { wiredMesh } from "../test/wired-mesh.ts";
import { parseDecisionRecord } from "./decision-record.ts";
import type { FilterOptions } from "./filter-resources.ts";
import type { TranslatedResource, Translation } from "./resource.ts";
import { translate } from "./translate.ts";

const WORKLOADS = `
---
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
${deployment("reviews-v1", "app: reviews, version: v1", "z-a")}
${deployment("reviews-v2", "app: reviews, version: v2", "z-a")}
${deployment("caller", "app: caller", "z-a", 2, 7000)}
${deployment("other", "app: other", "z-a", 1, 7000)}
`;

function virtualService(http: string, annotations = "{}", more = ""): string {
  return `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, annotations: ${annotations}}
spec:
  hosts: [reviews]
  ${more}
  http: ${http}
`;
}

const FILTER: FilterOptions = { wasm: Uint8Array.of(1, 2, 3), generationOf: () => 0 };

function translated(yaml: string, filter: FilterOptions = FILTER): Translation {
  const translation = translate(wiredMesh(WORKLOADS + yaml, { httpProxy: true }), { filter });
  const snapshot = buildSnapshot({ translation, quarantine: new Map(), accepted: new Map(), revision: 1 });
  expect(snapshot.diagnostics.filter(({ code }) => code === "WEFT0702")).toEqual([]);
  return translation;
}

function resource(translation: Translation, proxy: string, name: string): TranslatedResource | undefined {
  return translation.proxies.get(proxy)?.resources.find((candidate) => `${candidate.type}/${candidate.name}` === name);
}

const SERVICE_ROUTES = "route/reviews.default.svc.cluster.local:80";

/** The routes of a proxy's listener for reviews. */
function routes(translation: Translation, proxy = "caller-1.default"): readonly Route[] {
  const found = resource(translation, proxy, SERVICE_ROUTES);
  return found === undefined ? [] : fromBinary(RouteConfigurationSchema, found.body).virtualHosts.flatMap((host) => host.routes);
}

/** Names of the routes, each pair once. */
function names(list: readonly Route[]): readonly string[] {
  return [...new Set(list.map(({ name }) => name))];
}

/** The decision records of all routes. */
function records(list: readonly Route[]) {
  return list.flatMap(({ metadata }) => {
    const text = metadata?.filterMetadata.weft?.decision;
    const parsed = typeof text === "string" ? parseDecisionRecord(text) : undefined;
    return parsed?.kind === "record" ? [parsed.record] : [];
  });
}

const SPLIT = "route: [{destination: {host: reviews, subset: v1}, weight: 9}, {destination: {host: reviews, subset: v2}, weight: 1}]";
const TO_V1 = "route: [{destination: {host: reviews, subset: v1}}]";

describe("routes of a VirtualService", () => {
  it("have names and salts that no other route's coming or going changes", () => {
    const unnamed = `{match: [{uri: {prefix: /a}}], ${SPLIT}}`;
    const alone = translated(virtualService(`[${unnamed}]`));
    const amongOthers = translated(virtualService(`[{match: [{uri: {prefix: /b}}], ${TO_V1}}, ${unnamed}, {name: last, ${TO_V1}}]`));
    const [name] = names(routes(alone));
    expect(name).toMatch(/^reviews\.default\/match-[0-9a-f]{8}$/);
    expect(names(routes(amongOthers))).toContain(name);
    expect(records(routes(amongOthers))[0]).toEqual(records(routes(alone))[0]);
  });

  it("take their salt from a named group", () => {
    const list = routes(translated(virtualService(`[{name: a, ${SPLIT}}]`, '{weft.mesh/sticky: "header:x-user", weft.mesh/sticky-group: shop}')));
    expect(records(list)[0]).toMatchObject({ salt: "shop", key: { kind: "header", name: "x-user" } });
  });

  it("leave out a destination with weight 0, and need no filter for one that is left", () => {
    const [route] = routes(translated(virtualService(`[{name: a, ${SPLIT.replace("weight: 1", "weight: 0")}}]`)));
    expect(route?.action).toMatchObject({ value: { clusterSpecifier: { case: "cluster", value: "outbound|80|v1|reviews.default.svc.cluster.local" } } });
    expect(route?.typedPerFilterConfig).toEqual({});
  });

  it("are Envoy's own to decide where the mesh asks for that, unless they are sticky", () => {
    const native = "\n---\napiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {decisions: native}\n";
    const http = `[{name: a, ${SPLIT}}]`;
    expect(records(routes(translated(virtualService(http) + native)))).toEqual([]);
    expect(records(routes(translated(virtualService(http, '{weft.mesh/sticky: "header:x-user"}') + native)))).not.toEqual([]);
  });

  it("leave out a delegate that is not there, and hide nothing behind it", () => {
    const list = routes(translated(virtualService(`[{name: handed-on, match: [{uri: {prefix: /a}}], delegate: {name: other}}, {name: rest, ${TO_V1}}]`)));
    expect(names(list)).toEqual(["reviews.default/rest"]);
  });

  it("hold where they are exported to, for the callers that they name", () => {
    expect(names(routes(translated(virtualService(`[{name: a, ${TO_V1}}]`, "{}", "exportTo: [elsewhere]"))))).toEqual(["default"]);
    const bySource = translated(virtualService(`[{name: a, match: [{sourceLabels: {app: caller}}], ${TO_V1}}]`));
    expect(names(routes(bySource))).toEqual(["reviews.default/a"]);
    expect(names(routes(bySource, "other-1.default"))).toEqual(["default"]);
  });

  it("belong to the first VirtualService of a host by name, and the most specific", () => {
    const second = virtualService(`[{name: b, ${TO_V1}}]`).replace("name: reviews,", "name: second,");
    const wide = virtualService(`[{name: c, ${TO_V1}}]`)
      .replace("name: reviews,", "name: a-wide,")
      .replace("hosts: [reviews]", 'hosts: ["*.default.svc.cluster.local"]');
    expect(names(routes(translated(virtualService(`[{name: a, ${TO_V1}}]`) + second + wide)))).toEqual(["reviews.default/a"]);
    expect(names(routes(translated(wide)))).toEqual(["a-wide.default/c"]);
  });
});

describe("proxies", () => {
  it("share what does not depend on them, as one object", () => {
    const translation = translated(virtualService(`[{name: a, ${SPLIT}}]`));
    const shared = [SERVICE_ROUTES, "extension/weft", "virtualHost/http-proxy/reviews.default.svc.cluster.local:80"];
    for (const name of shared) {
      const first = resource(translation, "caller-1.default", name);
      expect(first, name).toBeDefined();
      for (const proxy of ["caller-2.default", "other-1.default"]) expect(resource(translation, proxy, name), name).toBe(first);
    }
  });

  it("give the same bytes whatever the order of the YAML", () => {
    const documents = (WORKLOADS + virtualService(`[{name: a, ${SPLIT}}]`)).split("\n---\n");
    const bodies = (yaml: string) =>
      [...translate(wiredMesh(yaml, { httpProxy: true }), { filter: FILTER }).proxies].map(([id, { resources }]) => [
        id,
        resources.map(({ type, name, body }) => [type, name, Buffer.from(body).toString("hex")]),
      ]);
    expect(bodies([...documents].reverse().join("\n---\n"))).toEqual(bodies(documents.join("\n---\n")));
  });

  it("get a fresh filter one by one", () => {
    const translation = translated("", { ...FILTER, generationOf: (proxy) => (proxy === "caller-1.default" ? 1 : 0) });
    const vmId = (proxy: string): string => {
      const body = resource(translation, proxy, "extension/weft")?.body ?? new Uint8Array();
      const { typedConfig } = fromBinary(TypedExtensionConfigSchema, body);
      const vm = typedConfig === undefined ? undefined : anyUnpack(typedConfig, WasmSchema)?.config?.vm;
      return vm?.case === "vmConfig" ? vm.value.vmId : "";
    };
    expect(vmId("caller-1.default")).toMatch(/^weft-[0-9a-f]{12}-1$/);
    expect(vmId("caller-2.default")).toMatch(/^weft-[0-9a-f]{12}-0$/);
  });

  it("have no listener for a service that is gone", () => {
    const mesh = wiredMesh(WORKLOADS, { httpProxy: false });
    const translation = translate({ ...mesh, hosts: new Map() }, { filter: FILTER });
    expect(
      translation.proxies
        .get("caller-1.default")
        ?.resources.filter(({ type }) => type === "listener")
        .map(({ name }) => name),
    ).toEqual(["inbound|7000"]);
  });
});

describe("unknown names at the HTTP proxy port", () => {
  const unknown = (yaml: string) => {
    const translation = translated(yaml);
    const host = resource(translation, "caller-1.default", "virtualHost/http-proxy/*");
    const list = host === undefined ? [] : fromBinary(VirtualHostSchema, host.body).routes;
    return { names: list.map(({ name }) => name), cluster: resource(translation, "caller-1.default", "cluster/PassthroughCluster") };
  };

  it("pass, unless the mesh forbids it", () => {
    const open = unknown("");
    expect(open.names).toEqual(["tunnel", "allow_any"]);
    expect(open.cluster).toBeDefined();
    const closed = unknown(
      "\n---\napiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}\n",
    );
    expect(closed.names).toEqual(["block_all", "block_all"]);
    expect(closed.cluster).toBeUndefined();
  });
});
