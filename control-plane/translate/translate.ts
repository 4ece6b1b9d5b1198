// The mesh in; out comes what each proxy is to hold: listeners, route configurations, virtual hosts, the filter, and the clusters that the routes name.
import { serversAt } from "../mesh/gateway-servers.ts";
import { inboundProtocol } from "../mesh/inbound.ts";
import type { Proxy, ServiceListener } from "../mesh/instance.ts";
import type { Host, Mesh } from "../mesh/mesh.ts";
import { scopeOf } from "../mesh/scope.ts";
import { isHttp } from "../mesh/services.ts";
import { compareDiagnostics, type Diagnostic, formatDiagnostic } from "../model/diagnostic.ts";
import { createClusterTranslation } from "./clusters.ts";
import { serviceConnections } from "./connection-routes.ts";
import { createFilterResources, type FilterOptions } from "./filter-resources.ts";
import { gatewayPort } from "./gateway-port.ts";
import { type HttpProxyRoutes, httpProxyRoutes } from "./http-proxy-routes.ts";
import { connectionListener, httpProxyListeners, inboundListener, serviceListeners } from "./listeners.ts";
import { type ClusterKey, outboundClusterName } from "./names.ts";
import { type ProxyResources, resourceOrigin, type TranslatedResource, type Translation } from "./resource.ts";
import type { RoutingResource } from "./route-configurations.ts";
import { serviceRoutes, sidecarPlace } from "./service-routes.ts";
import { indexVirtualServices } from "./virtual-services.ts";

export interface TranslateOptions {
  readonly filter: FilterOptions;
  /** Those of the mesh that are asked about; all of them where it is absent. */
  readonly proxies?: readonly Proxy[];
}

/** Everything for every proxy. Pure; resources that proxies share are the same objects. */
export function translate(mesh: Mesh, options: TranslateOptions): Translation {
  const diagnostics = new Map<string, Diagnostic>();
  const tools = createTools(mesh, options);
  const proxies = (options.proxies ?? mesh.proxies).map((proxy): [string, ProxyResources] => {
    const collector = createCollector(proxy, tools);
    if (proxy.kind === "gateway") collectGateway(proxy, tools, collector);
    else collectSidecar(proxy, tools, collector);
    for (const diagnostic of collector.diagnostics) diagnostics.set(formatDiagnostic(diagnostic), diagnostic);
    return [proxy.id, { proxyId: proxy.id, resources: [...collector.resources.values()] }];
  });
  return { proxies: new Map(proxies), diagnostics: [...diagnostics.values()].sort(compareDiagnostics) };
}

type Tools = ReturnType<typeof createTools>;

/** What is made once for the mesh, or once for all proxies that a result is the same for. */
function createTools(mesh: Mesh, { filter }: TranslateOptions) {
  const virtualServices = indexVirtualServices(mesh);
  const audienceOf = createAudiences(mesh);
  const routesOfService = new Map<string, RoutingResource>();
  const routesOfHttpProxy = new Map<string, HttpProxyRoutes>();
  return {
    mesh,
    virtualServices,
    clusters: createClusterTranslation(mesh),
    filterResources: createFilterResources(filter),
    generationOf: filter.generationOf,
    serviceRoutes: (proxy: Proxy, host: Host, port: number): RoutingResource =>
      remember(routesOfService, `${host.hostname}:${port} ${audienceOf(proxy)}`, () => serviceRoutes(mesh, virtualServices, proxy, host, port)),
    httpProxyRoutes: (proxy: Proxy): HttpProxyRoutes => remember(routesOfHttpProxy, audienceOf(proxy), () => httpProxyRoutes(mesh, virtualServices, proxy)),
  };
}

/** Names the callers for whom routes are the same: one view of the mesh, one locality, and equal values of the labels that any rule asks for. */
function createAudiences(mesh: Mesh): (proxy: Proxy) => string {
  const matches = mesh.virtualServices.flatMap(({ spec }) => spec.http.flatMap(({ match }) => match));
  const rules = [...mesh.destinationRules.values()].flat();
  const selectors = [...matches.map(({ sourceLabels }) => sourceLabels), ...rules.map(({ spec }) => spec.workloadSelector?.matchLabels ?? {})];
  const names = [...new Set(selectors.flatMap((selector) => Object.keys(selector)))].sort();
  return (proxy) => {
    const { kind, locality, labels } = proxy;
    return JSON.stringify([kind, scopeOf(mesh, proxy).name, locality.region, locality.zone, locality.subzone, names.map((name) => labels[name] ?? null)]);
  };
}

interface Collector {
  readonly resources: ReadonlyMap<string, TranslatedResource>;
  readonly diagnostics: readonly Diagnostic[];
  readonly add: (...resources: readonly TranslatedResource[]) => void;
  /** Adds a resource with the clusters that it names. */
  readonly addRouting: (routing: RoutingResource) => void;
  readonly addCluster: (key: ClusterKey) => void;
}

function createCollector(proxy: Proxy, { clusters }: Tools): Collector {
  const resources = new Map<string, TranslatedResource>();
  const diagnostics: Diagnostic[] = [];
  const seen = new Set<string>();
  const add = (...added: readonly TranslatedResource[]): void => {
    for (const resource of added) resources.set(`${resource.type}/${resource.name}`, resource);
  };
  const addCluster = (key: ClusterKey): void => {
    const name = outboundClusterName(key);
    if (!seen.has(name)) add(...clusters.outbound(proxy, key));
    seen.add(name);
  };
  const addRouting = (routing: RoutingResource): void => {
    add(routing.resource);
    for (const key of routing.clusters) addCluster(key);
    diagnostics.push(...routing.diagnostics);
  };
  return { resources, diagnostics, add, addRouting, addCluster };
}

function collectSidecar(proxy: Proxy, tools: Tools, collector: Collector): void {
  const { mesh } = tools;
  for (const outbound of proxy.outbound) collectService(proxy, outbound, tools, collector);
  if (proxy.httpProxy !== undefined) {
    const routes = tools.httpProxyRoutes(proxy);
    collector.add(...httpProxyListeners(proxy, proxy.httpProxy), ...routes.resources);
    for (const host of routes.hosts) collector.addRouting(host);
  }
  for (const port of proxy.inbound) {
    collector.add(inboundListener(proxy, port, isHttp(inboundProtocol(mesh, proxy, port.containerPort))), tools.clusters.inbound(proxy, port));
  }
  collector.add(...tools.filterResources(tools.generationOf(proxy.id)));
}

/** A service that is gone, or outside of what the proxy sees, has no listener. */
function collectService(proxy: Proxy, outbound: ServiceListener, tools: Tools, collector: Collector): void {
  const { mesh } = tools;
  const scope = scopeOf(mesh, proxy);
  const host = scope.sees(outbound.hostname, outbound.port) ? scope.hosts.get(outbound.hostname) : undefined;
  const port = host?.ports.find(({ number }) => number === outbound.port);
  if (host === undefined || port === undefined || port.protocol === "udp") return;
  const origin = resourceOrigin(host.service);
  if (isHttp(port.protocol)) {
    collector.add(...serviceListeners(proxy, outbound, origin));
    collector.addRouting(tools.serviceRoutes(proxy, host, port.number));
    return;
  }
  const routes = serviceConnections(sidecarPlace(mesh, proxy, port.number), tools.virtualServices.forHost(host.hostname, proxy), host, port.number);
  for (const { clusters } of routes) for (const cluster of clusters) collector.addCluster(cluster);
  collector.add(connectionListener(proxy, outbound, routes, origin));
}

function collectGateway(proxy: Proxy, tools: Tools, collector: Collector): void {
  const { mesh, virtualServices } = tools;
  for (const port of proxy.gatewayPorts) {
    const { servers } = serversAt(mesh, proxy, port.number);
    const { listeners, routes, clusters } = gatewayPort(mesh, virtualServices, proxy, port, servers);
    collector.add(...listeners);
    for (const route of routes) collector.addRouting(route);
    for (const cluster of clusters) collector.addCluster(cluster);
  }
  collector.add(...tools.filterResources(tools.generationOf(proxy.id)));
}

function remember<Value>(known: Map<string, Value>, key: string, make: () => Value): Value {
  const found = known.get(key);
  if (found !== undefined) return found;
  const made = make();
  known.set(key, made);
  return made;
}
