import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import type { Route } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import { deployment } from "../test/mesh-of.ts";
import { wiredMesh } from "../test/wired-mesh.ts";
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
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
${deployment("reviews-v1", "app: reviews, version: v1", "z-a")}
${deployment("reviews-v2", "app: reviews, version: v2", "z-a")}
${deployment("caller", "app: caller", "z-a", 1, 7000)}
`;
const VIRTUAL_SERVICE = `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - name: api
      match: [{uri: {prefix: /api}}]
      rewrite: {uri: /v1}
      route: [{destination: {host: reviews, subset: v1}}]
    - name: rest
      route: [{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v2}, weight: 10}]
`;
const INTERCEPT_CLUSTER = "outbound|80|weft.mesh/intercept:x-dev=alice|reviews.default.svc.cluster.local";

/** The routes of the caller for reviews, where reviews-v2's copy has an intercept and is ready or not, and the clusters that it holds. */
function translated(yaml: string, ready: boolean): { readonly routes: readonly Route[]; readonly clusters: readonly string[] } {
  const mesh = wiredMesh(WORKLOADS + yaml, {
    httpProxy: false,
    change: (instance) => (instance.workload === "reviews-v2" ? { ...instance, ready, intercept: { header: "x-dev", value: "alice" } } : instance),
  });
  const resources = translate(mesh, { filter: { wasm: Uint8Array.of(1), generationOf: () => 0 } }).proxies.get("caller-1.default")?.resources ?? [];
  const route = resources.find(({ type, name }) => type === "route" && name === "reviews.default.svc.cluster.local:80");
  if (route === undefined) throw new Error("the caller has routes for reviews");
  return {
    routes: fromBinary(RouteConfigurationSchema, route.body).virtualHosts.flatMap(({ routes }) => routes),
    clusters: resources.filter(({ type }) => type === "cluster").map(({ name }) => name),
  };
}

/** `name: conditions on headers -> cluster`; methods and weights aside. */
function summaries(routes: readonly Route[]): readonly string[] {
  const texts = routes.map(({ name, match, action }) => {
    const headers = (match?.headers ?? []).filter((header) => header.name !== ":method").map((header) => header.name);
    const specifier = action.case === "route" ? action.value.clusterSpecifier : undefined;
    return `${name}${headers.map((header) => ` with ${header}`).join("")} -> ${specifier?.case === "cluster" ? specifier.value : specifier?.case}`;
  });
  return [...new Set(texts)];
}

describe("an intercept", () => {
  it("takes the requests with its header before the route of all others, and its endpoint serves nothing else", () => {
    const { routes, clusters } = translated("", true);
    expect(summaries(routes)).toEqual([`default with x-dev -> ${INTERCEPT_CLUSTER}`, "default -> outbound|80||reviews.default.svc.cluster.local"]);
    expect(clusters).toContain(INTERCEPT_CLUSTER);
  });

  it("stands before each route that leads to its service, under the route's own conditions", () => {
    const { routes } = translated(VIRTUAL_SERVICE, true);
    expect(summaries(routes)).toEqual([
      `reviews.default/api with x-dev -> ${INTERCEPT_CLUSTER}`,
      "reviews.default/api -> outbound|80|v1|reviews.default.svc.cluster.local",
      `reviews.default/rest with x-dev -> ${INTERCEPT_CLUSTER}`,
      // Nothing of v2 is left for others.
      "reviews.default/rest -> outbound|80|v1|reviews.default.svc.cluster.local",
    ]);
    expect(routes[0]).toMatchObject({ match: { pathSpecifier: { case: "prefix", value: "/api" } } });
  });

  it("is not there while its program is not", () => {
    expect(summaries(translated(VIRTUAL_SERVICE, false).routes).filter((text) => text.includes("x-dev"))).toEqual([]);
  });
});
