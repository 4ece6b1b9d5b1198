// Automatic scope: the route configurations whose virtual hosts a proxy asks for, and one virtual host for each name that its workload has called. What a name
// leads to is what it would lead to in the scope `all`, also for names that nobody knows: nothing but the moment at which Envoy learns of it differs.
import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import type { Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { scopeOf } from "../mesh/scope.ts";
import { isHttp } from "../mesh/services.ts";
import { duration } from "./duration.ts";
import { FILTER_OFF } from "./filter-resources.ts";
import type { RouteInit } from "./forward.ts";
import { proxiedRoutes } from "./http-proxy-routes.ts";
import { httpPorts, type NameLookup, type NameTarget } from "./name-lookup.ts";
import { type AskedHost, askedHost, onDemandRouteName, PASSTHROUGH_CLUSTER, virtualHostName } from "./names.ts";
import { CONNECT_MATCH, unknownNameRoutes } from "./pass-through.ts";
import type { TranslatedResource } from "./resource.ts";
import { type RoutingResource, vhdsRouteConfiguration, virtualHost } from "./route-configurations.ts";
import { MATCH_ALL } from "./route-match.ts";
import { NO_ROUTES, type RouteSet, routesOf } from "./routes.ts";
import { sidecarPlace } from "./service-routes.ts";
import { type UnknownDomains, unknownDomains } from "./unknown-names.ts";
import type { VirtualServiceIndex } from "./virtual-services.ts";

/** Ports at which a proxy's requests are told apart by their authority; undefined stands for the HTTP proxy port. */
export function onDemandPorts(mesh: Mesh, proxy: Proxy): readonly (number | undefined)[] {
  return [...(proxy.httpProxy === undefined ? [] : [undefined]), ...(proxy.capture === undefined ? [] : httpPorts(mesh))];
}

/** RFC 6761: nobody has a name below `invalid`. */
const PLACEHOLDER = "placeholder.invalid";

/** The route configuration of such a port, and the host that it begins with. */
export function onDemandRoutes(port: number | undefined): readonly TranslatedResource[] {
  const name = onDemandRouteName(port);
  const known = MADE.get(name) ?? [vhdsRouteConfiguration(name), placeholder(name)];
  MADE.set(name, known);
  return known;
}

const MADE = new Map<string, readonly TranslatedResource[]>();

/** Without any host, a listener would wait for its route configuration for ever. */
function placeholder(route: string): TranslatedResource {
  return virtualHost(route, { name: virtualHostName(route, PLACEHOLDER), domains: [PLACEHOLDER], routes: closed([]) }, NO_ROUTES).resource;
}

/** A name that was called, with what it leads to. */
export interface CalledHost {
  readonly name: string;
  readonly asked: AskedHost;
  readonly target: NameTarget;
  /** By which requests find it: the name itself, or more, for names that nobody knows. */
  readonly domain: string;
}

/** Those of `names` that the proxy can ask for, in byte order. */
export function calledHosts(mesh: Mesh, lookup: NameLookup, proxy: Proxy, names: Iterable<string>): readonly CalledHost[] {
  const ports = new Set(onDemandPorts(mesh, proxy));
  const hosts = [...names].sort().flatMap((name): readonly Omit<CalledHost, "domain">[] => {
    const asked = askedHost(name);
    if (asked === undefined || !ports.has(asked.port) || asked.authority === PLACEHOLDER) return [];
    const target = asked.port === undefined ? lookup.byName(proxy, asked.authority) : lookup.atPort(proxy, asked.authority, asked.port);
    return [{ name, asked, target }];
  });
  const unknown = new Map<string, UnknownDomains>();
  for (const route of new Set(hosts.map(({ asked }) => asked.route))) {
    const authorities = hosts.filter(({ asked, target }) => asked.route === route && target.kind === "unknown").map(({ asked }) => asked.authority);
    unknown.set(
      route,
      unknownDomains(authorities, (domain) => lookup.isFree(proxy, domain)),
    );
  }
  return hosts.map((host) => ({ ...host, domain: domainOf(host, unknown.get(host.asked.route)) }));
}

/**
 * A client may write an asterisk into its Host header, which must not become a domain that other names match. Such a name, and one that another's domain covers,
 * gets a host that nobody reaches: Envoy waits for an answer by that name all the same.
 */
function domainOf({ asked: { authority }, target }: Omit<CalledHost, "domain">, unknown: UnknownDomains | undefined): string {
  const nobody = (): string => `${Buffer.from(authority).toString("hex")}.invalid`;
  if (authority === "" || authority.includes("*")) return nobody();
  return target.kind === "unknown" ? (unknown?.get(authority) ?? nobody()) : authority;
}

/** The virtual host of one name. */
export function calledHostRoutes(mesh: Mesh, virtualServices: VirtualServiceIndex, proxy: Proxy, { name, asked, target, domain }: CalledHost): RoutingResource {
  const { mode } = scopeOf(mesh, proxy).outboundTrafficPolicy;
  const set = targetRoutes(mesh, virtualServices, proxy, target, mode);
  const needs = target.kind === "unknown" && mode === "ALLOW_ANY" ? [`cluster/${PASSTHROUGH_CLUSTER}`] : [];
  const init = { name, domains: [domain], routes: closed(set.routes), typedPerFilterConfig: FILTER_OFF };
  return virtualHost(asked.route, init, set, needs);
}

function targetRoutes(mesh: Mesh, virtualServices: VirtualServiceIndex, proxy: Proxy, target: NameTarget, mode: "ALLOW_ANY" | "REGISTRY_ONLY"): RouteSet {
  switch (target.kind) {
    case "port":
      return proxiedRoutes(mesh, virtualServices, proxy, target.host, { port: target.port.number, http: isHttp(target.port.protocol) });
    case "rule":
      return routesOf(sidecarPlace(mesh, proxy, target.port), virtualServices.forHost(target.hostname, proxy));
    case "unknown":
      return { ...NO_ROUTES, routes: unknownNameRoutes(mode) };
  }
}

/**
 * A request that no route matches would be held while its host is asked for again, which is known: so there is a last route, with the answer that Envoy gives.
 * And the listener's limit on silence, which bounds that wait, is not one on the requests themselves.
 */
function closed(routes: readonly RouteInit[]): RouteInit[] {
  const action = { case: "directResponse", value: { status: 404 } } as const;
  return [...routes.map(unlimited), { match: CONNECT_MATCH, action }, { match: MATCH_ALL, action }];
}

const NO_LIMIT = create(DurationSchema, duration(0));

function unlimited(route: RouteInit): RouteInit {
  if (route.action?.case !== "route") return route;
  return { ...route, action: { case: "route", value: { ...route.action.value, idleTimeout: NO_LIMIT } } };
}
