// Random YAML of a small mesh, and requests for it, from a seed: equal seeds give equal cases. Who runs and what is called stays the same; the rules differ.

import type { HeaderMap } from "../../control-plane/simulate/request.ts";
import { deployment } from "../../control-plane/test/mesh-of.ts";
import type { Dice } from "./random-routes.ts";

/** Where a request is sent. */
export type Entrance =
  | { readonly kind: "service"; readonly hostname: string; readonly port: number }
  | { readonly kind: "http proxy" }
  | { readonly kind: "gateway"; readonly port: number };

/** One request. */
export interface MeshRequest {
  readonly entrance: Entrance;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: HeaderMap;
}

/** The only workload with a sidecar. */
export const CALLER = "caller";
/** The headers that rules look at and change. */
export const COMPARED_HEADERS: readonly string[] = ["x-a", "x-b", "x-user", "x-canary", "x-gone", "x-answer"];

const PORTS: Readonly<Record<string, number>> = { reviews: 9080, ratings: 80 };
const SERVICES = ["reviews", "ratings"] as const;
const GATEWAY_HOSTS = ["shop.example", "*.example", "*"] as const;

/** The documents of one mesh: the same services and workloads every time, with other rules. */
export function randomMesh(dice: Dice): string {
  const rules: object[] = [
    ...SERVICES.filter(() => dice.chance(0.9)).map((service) => virtualService(dice, service, [service], undefined)),
    ...(dice.chance(0.3) ? [virtualService(dice, "shared", ["reviews"], undefined)] : []),
    ...(dice.chance(0.3) ? [virtualService(dice, "outside", ["shop.example"], undefined)] : []),
    ...GATEWAY_HOSTS.filter(() => dice.chance(0.6)).map((host, index) => virtualService(dice, `entry-${index}`, [host], ["entry"])),
    ...SERVICES.map((service) => destinationRule(dice, service)),
    GATEWAY,
    ...(dice.chance(0.3) ? [meshConfig(dice)] : []),
  ];
  return [WORKLOADS, ...rules.map((rule) => `---\n${JSON.stringify(rule)}\n`)].join("");
}

/** A request that has a chance to match the pools of `randomMesh`. */
export function randomMeshRequest(dice: Dice): MeshRequest {
  const service = dice.pick(SERVICES);
  const port = PORTS[service] ?? 80;
  const entrance = dice.pick<Entrance>([
    { kind: "service", hostname: `${service}.default.svc.cluster.local`, port },
    { kind: "service", hostname: `${service}.default.svc.cluster.local`, port },
    { kind: "http proxy" },
    { kind: "gateway", port: 80 },
    { kind: "gateway", port: 80 },
  ]);
  const proxied = dice.pick([`${service}:${port}`, `${service}.default:${port}`, `${service}.default.svc.cluster.local:${port}`, "ratings", "shop.example"]);
  const authorities = {
    service: `${service}:${port}`,
    "http proxy": proxied,
    gateway: dice.pick(["shop.example", "a.example", "other.test", "Shop.Example:80"]),
  };
  const headers = ["x-a", "x-b", "x-user", "x-gone", "cookie"]
    .filter(() => dice.chance(0.5))
    .map((name): [string, string[]] => [name, [headerValue(dice, name)]]);
  return {
    entrance,
    method: dice.pick(["GET", "GET", "GET", "POST", "PUT", "DELETE"]),
    authority: authorities[entrance.kind],
    path: randomPath(dice),
    headers: Object.fromEntries(headers),
  };
}

function randomPath(dice: Dice): string {
  const path = dice.pick(["/", "/a", "/A", "/ab", "/a/b", "/a/b/c", "/b/1", "/b/22", "/a/../b/1", "/%61/b", "/a/./b", "/a//b", "/said", "/moved/x"]);
  return path + dice.pick(["", "", "?q=1", "?q=2&r=1", "?r"]);
}

function headerValue(dice: Dice, name: string): string {
  if (name === "cookie") return `other=1; user=u${dice.below(50)}`;
  return name === "x-user" ? `u${dice.below(50)}` : dice.pick(["1", "2", "abc", "ABC", "a,b"]);
}

function virtualService(dice: Dice, name: string, hosts: readonly string[], gateways: readonly string[] | undefined): object {
  const sticky = dice.pick([undefined, undefined, "header:x-user", "cookie:user", "header:x-a"]);
  const routes = Array.from({ length: 1 + dice.below(4) }, (_, index) => route(dice, `${name}-${index}`, gateways !== undefined));
  const last = dice.chance(0.7) ? [{ name: `${name}-last`, ...action(dice, true) }] : [];
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name, ...(sticky === undefined ? {} : { annotations: { "weft.mesh/sticky": sticky } }) },
    spec: { hosts, ...(gateways === undefined ? {} : { gateways }), http: [...routes, ...last] },
  };
}

function route(dice: Dice, name: string, atGateway: boolean): object {
  const matches = Array.from({ length: 1 + dice.below(2) }, () => match(dice, atGateway));
  return {
    ...(dice.chance(0.8) ? { name } : {}),
    match: matches,
    ...action(
      dice,
      matches.every((each) => "uri" in each && "prefix" in each.uri),
    ),
  };
}

function match(dice: Dice, atGateway: boolean): { readonly uri: object } | object {
  const header = (): object => ({ [dice.pick(["x-a", "x-b", "x-user"])]: stringMatch(dice) });
  return {
    ...(dice.chance(0.85)
      ? {
          uri: dice.pick<object>([
            { prefix: dice.pick(["/a", "/b", "/a/", "/moved", "/"]) },
            { exact: dice.pick(["/a", "/a/b", "/said", "/ab"]) },
            { regex: dice.pick(["/b/\\d+", "/a(/.*)?", ".*b", "/(a|b)/.*"]) },
          ]),
        }
      : {}),
    ...(dice.chance(0.2) ? { ignoreUriCase: true } : {}),
    ...(dice.chance(0.3) ? { headers: header() } : {}),
    ...(dice.chance(0.1) ? { withoutHeaders: header() } : {}),
    ...(dice.chance(0.15) ? { queryParams: { [dice.pick(["q", "r"])]: dice.pick<object>([{ exact: "1" }, { regex: "\\d" }]) } } : {}),
    ...(dice.chance(0.15) ? { method: dice.pick<object>([{ exact: "GET" }, { regex: "P.*" }]) } : {}),
    ...(atGateway && dice.chance(0.15) ? { authority: dice.pick<object>([{ exact: "shop.example" }, { prefix: "a." }]) } : {}),
    ...(!atGateway && dice.chance(0.1) ? { sourceLabels: { app: dice.pick([CALLER, "other"]) } } : {}),
    ...(!atGateway && dice.chance(0.1) ? { port: dice.pick([80, 9080]) } : {}),
  };
}

function stringMatch(dice: Dice): object {
  return dice.pick<object>([
    { exact: dice.pick(["1", "abc", "u7"]) },
    { prefix: dice.pick(["a", "u", "1"]) },
    { regex: dice.pick(["u\\d+", "[a-c]+", "1|2"]) },
    {},
  ]);
}

/** `prefixes`: every match is a prefix, so that a prefix can be rewritten. */
function action(dice: Dice, prefixes: boolean): object {
  return dice.pick<() => object>([
    () => ({
      redirect: {
        ...dice.pick<object>([{ uri: "/to" }, ...(prefixes ? [{ prefixRewrite: "/to" }] : []), { authority: "to.example" }]),
        ...(dice.chance(0.4) ? { redirectCode: dice.pick([302, 307, 308]) } : {}),
        ...(dice.chance(0.3) ? dice.pick<object>([{ port: 8443 }, { derivePort: "FROM_REQUEST_PORT" }]) : {}),
        ...(dice.chance(0.3) ? { scheme: "https" } : {}),
      },
    }),
    () => ({ directResponse: { status: dice.pick([200, 404, 503]), ...(dice.chance(0.7) ? { body: { string: "hello é" } } : {}) } }),
    ...Array.from({ length: 6 }, () => () => forwarding(dice, prefixes)),
  ])();
}

function forwarding(dice: Dice, prefixes: boolean): object {
  const several = dice.chance(0.6);
  const weights = dice.pick([
    [90, 10],
    [50, 50],
    [1, 3],
    [0, 100],
    [33, 67],
  ]);
  const service = dice.pick(SERVICES);
  const destination = (subset: string | undefined): object => ({
    host: service,
    port: { number: PORTS[service] },
    ...(subset === undefined ? {} : { subset }),
  });
  const entry = (subset: string, weight: number | undefined): object => ({
    destination: destination(subset),
    ...(weight === undefined ? {} : { weight }),
    ...(dice.chance(0.3)
      ? { headers: { request: { set: { "x-canary": subset } }, ...(dice.chance(0.5) ? { response: { add: { "x-answer": subset } } } : {}) } }
      : {}),
  });
  return {
    route: several
      ? [entry("v1", weights[0]), entry(dice.pick(["v2", "v2", "nobody"]), weights[1])]
      : [dice.chance(0.5) ? entry(dice.pick(["v1", "v2", "nobody"]), undefined) : { destination: destination(undefined) }],
    ...(dice.chance(0.3)
      ? {
          rewrite: dice.pick<object>([
            { authority: "new.example" },
            { uriRegexRewrite: { match: "^/([ab])(.*)$", rewrite: "/r\\2/\\1" } },
            ...(prefixes ? [{ uri: "/new" }] : []),
          ]),
        }
      : {}),
    ...(dice.chance(0.4) ? { headers: { request: operations(dice), ...(dice.chance(0.5) ? { response: operations(dice) } : {}) } } : {}),
    ...(dice.chance(0.12) ? { fault: { abort: { httpStatus: dice.pick([500, 503, 418]), percentage: { value: dice.pick([0, 100]) } } } } : {}),
    ...(dice.chance(0.2) ? { timeout: "5s" } : {}),
    ...(dice.chance(0.2) ? { retries: { attempts: dice.pick([0, 2]) } } : {}),
    ...(dice.chance(0.1) ? { mirrors: [{ destination: destination("v2"), percentage: { value: 100 } }] } : {}),
  };
}

function operations(dice: Dice): object {
  return {
    ...(dice.chance(0.6) ? { set: { [dice.pick(["x-a", "x-b", "x-answer"])]: dice.pick(["set", "%REQ(x-user)%"]) } } : {}),
    ...(dice.chance(0.4) ? { add: { [dice.pick(["x-a", "x-answer"])]: "added" } } : {}),
    ...(dice.chance(0.4) ? { remove: [dice.pick(["x-gone", "x-b"])] } : {}),
  };
}

function destinationRule(dice: Dice, host: string): object {
  const loadBalancer = dice.pick<object>([
    {},
    {},
    { localityLbSetting: { enabled: true } },
    {
      localityLbSetting: {
        distribute: [{ from: "ap-northeast-2/ap-northeast-2a/*", to: { "ap-northeast-2/ap-northeast-2a/*": 60, "ap-northeast-2/ap-northeast-2b/*": 40 } }],
      },
    },
    { consistentHash: { httpHeaderName: "x-user" } },
  ]);
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: { name: host },
    spec: {
      host,
      ...(Object.keys(loadBalancer).length === 0 ? {} : { trafficPolicy: { loadBalancer } }),
      subsets: ["v1", "v2", "nobody"].map((name) => ({ name, labels: { version: name } })),
    },
  };
}

function meshConfig(dice: Dice): object {
  const spec = dice.pick<object>([{ decisions: "native" }, { defaults: "istio" }, {}]);
  return { apiVersion: "weft.mesh/v1alpha1", kind: "MeshConfig", metadata: { name: "default", namespace: "weft-system" }, spec };
}

const GATEWAY = {
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name: "entry" },
  spec: { selector: { istio: "ingressgateway" }, servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }] },
};

const WORKLOADS = [
  deployment(CALLER, `app: ${CALLER}`, "ap-northeast-2a"),
  ...SERVICES.flatMap((service) => [
    deployment(`${service}-v1`, `app: ${service}, version: v1`, "ap-northeast-2a"),
    deployment(`${service}-v1b`, `app: ${service}, version: v1`, "ap-northeast-2b"),
    deployment(`${service}-v2`, `app: ${service}, version: v2`, "ap-northeast-2b"),
    `---\n${JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name: service, namespace: "default" }, spec: { selector: { app: service }, ports: [{ name: "http", port: PORTS[service], targetPort: "http" }] } })}\n`,
  ]),
].join("");
