// The mesh in; out comes what each proxy is to hold: listeners, route configurations, virtual hosts, the filter, and the clusters that the routes name.
import { serversAt } from "../mesh/gateway-servers.ts";
import { inboundProtocol } from "../mesh/inbound.ts";
import { inboundPorts } from "../mesh/ingress.ts";
import type { Proxy, ServiceListener } from "../mesh/instance.ts";
import type { Host, HostPort, Mesh } from "../mesh/mesh.ts";
import { portMutualTls, trustDomainsOf } from "../mesh/mutual-tls.ts";
import { scopeOf } from "../mesh/scope.ts";
import { isHttp } from "../mesh/services.ts";
import { compareDiagnostics, type Diagnostic, formatDiagnostic } from "../model/diagnostic.ts";
import { withAddressListeners } from "./address-listeners.ts";
import { addressesOf, callsOf, createAudiences } from "./audiences.ts";
import { type CalledNames, hasAutomaticScope, workloadKey } from "./called-names.ts";
import { captureListeners } from "./capture-listeners.ts";
import { createClusterTranslation, type RememberedClusters } from "./clusters.ts";
import { type Collected, collectAfter } from "./collect.ts";
import { serviceConnections } from "./connection-routes.ts";
import { type Dependencies, dependenciesOf, type RememberedDependencies } from "./dependencies.ts";
import { createFilterResources, type FilterOptions } from "./filter-resources.ts";
import { gatewayPort } from "./gateway-port.ts";
import { type HttpProxyPlan, type HttpProxyRoutes, httpProxyRoutes, planHttpProxy } from "./http-proxy-routes.ts";
import { connectionListener, httpProxyListeners, inboundListener, serviceListeners } from "./listeners.ts";
import { type Remembered, rememberAfter, sameList } from "./memo.ts";
import { createNameLookup } from "./name-lookup.ts";
import { HTTP_PROXY_ROUTE, outboundClusterName } from "./names.ts";
import { type CalledHost, calledHostRoutes, calledHosts, onDemandPorts, onDemandRoutes } from "./on-demand-routes.ts";
import { PASS_THROUGH } from "./pass-through.ts";
import { portSecurity, securityUpstreams } from "./port-security.ts";
import { layeredResources, type ProxyResources, resourceOrigin, type TranslatedResource, type Translation } from "./resource.ts";
import type { RoutingResource } from "./route-configurations.ts";
import { serviceRoutes, sidecarPlace } from "./service-routes.ts";
import { indexVirtualServices } from "./virtual-services.ts";

export interface TranslateOptions {
  readonly filter: FilterOptions;
  /** Those of the mesh that are asked about; all of them where it is absent. */
  readonly proxies?: readonly Proxy[];
  /** What workloads have called, for proxies of automatic scope. Where it is absent nobody is there who could be asked: they get all that they may call. */
  readonly called?: CalledNames;
  /** Of the translation of the former mesh. */
  readonly former?: TranslationMemory | undefined;
}

/** What was made for one mesh, so that the translation of the next one makes only what has changed. */
export interface TranslationMemory {
  readonly dependencies: RememberedDependencies;
  readonly clusters: RememberedClusters;
  /** By audience. */
  readonly routes: ReadonlyMap<string, Remembered<RoutedResources>>;
  readonly plans: Remembered<HttpProxyPlan>;
  /** What a group of proxies has in common, by group. */
  readonly groups: ReadonlyMap<string, SharedResources>;
  readonly own: Remembered<OwnResources>;
  readonly shape: readonly unknown[];
}

/** A translation, and the memory of how it came about. */
export interface RememberedTranslation extends Translation {
  readonly memory: TranslationMemory;
  /** The same mesh once more, for some of its proxies and with more that was called: what is in `memory` is not made again. */
  readonly again: (proxies: readonly Proxy[], called: CalledNames) => Translation;
}

/** A route configuration or virtual host, with the clusters that it names and their endpoints. */
interface RoutedResources extends RoutingResource {
  readonly resources: readonly TranslatedResource[];
}

interface SharedResources extends Collected {
  readonly diagnostics: readonly Diagnostic[];
  /** What the workload had called that they were made for; undefined where they are all that it may call. */
  readonly names?: ReadonlySet<string> | undefined;
}

type OwnResources = readonly TranslatedResource[];

/**
 * Everything for every proxy. Pure; resources that proxies share are the same objects. With the memory of a former translation only what has changed is made,
 * and the rest are the former objects: of a mesh whose unchanged parts are those of the former one. The bytes are the same with and without it.
 */
export function translate(mesh: Mesh, options: TranslateOptions): RememberedTranslation {
  const tools = createTools(mesh, options);
  const translated = translateProxies(options.proxies ?? mesh.proxies, tools, options.called);
  const { dependencies, clusters, routes, plans, groups, own, shape } = tools;
  return {
    ...translated,
    memory: { dependencies: dependencies.remembered, clusters: clusters.remembered, routes, plans, groups, own, shape },
    again: (proxies, called) => translateProxies(proxies, tools, called),
  };
}

function translateProxies(proxies: readonly Proxy[], tools: Tools, called: CalledNames | undefined): Translation {
  const diagnostics = new Map<string, Diagnostic>();
  const entries = proxies.map((given): [string, ProxyResources] => {
    const proxy = withAddressListeners(tools.mesh, given);
    const { resources, shared } = proxy.kind === "gateway" ? gatewayResources(proxy, tools) : sidecarResources(proxy, tools, called);
    for (const diagnostic of shared.diagnostics) diagnostics.set(formatDiagnostic(diagnostic), diagnostic);
    return [proxy.id, resources];
  });
  return { proxies: new Map(entries), diagnostics: [...diagnostics.values()].sort(compareDiagnostics) };
}

type Tools = ReturnType<typeof createTools>;

/** What is made once for the mesh, or once for all proxies that a result is the same for. */
function createTools(mesh: Mesh, { filter, former }: TranslateOptions) {
  const dependencies = dependenciesOf(mesh, former?.dependencies);
  const routes = new Map<string, Remembered<RoutedResources>>();
  const plans = rememberAfter(former?.plans);
  const shape = sameList(former?.shape, shapeOf(mesh));
  const virtualServices = indexVirtualServices(mesh);
  const lookup = createNameLookup(mesh, virtualServices);
  const audienceOf = createAudiences(mesh);
  const clusters = createClusterTranslation(mesh, { audienceOf, dependencies, former: former?.clusters });
  const routesFor = (proxy: Proxy): Remembered<RoutedResources> => {
    const audience = audienceOf(proxy);
    const known = routes.get(audience) ?? rememberAfter(former?.routes.get(audience));
    routes.set(audience, known);
    return known;
  };
  const shared = createSharing();
  const routed = (proxy: Proxy, routing: RoutingResource): RoutedResources => {
    const resource = shared(routing.resource);
    return { ...routing, resource, resources: [resource, ...routing.clusters.flatMap((key) => clusters.outbound(proxy, key))] };
  };
  return {
    mesh,
    virtualServices,
    dependencies,
    routes,
    audienceOf,
    clusters,
    routed,
    filterResources: createFilterResources(filter),
    generationOf: filter.generationOf,
    formerGroups: former?.groups,
    groups: new Map<string, SharedResources>(),
    own: rememberAfter(former?.own),
    plans,
    shape,
    lookup,
    calledHostRoutes: (proxy: Proxy, host: CalledHost): RoutedResources =>
      routesFor(proxy).recall(host.name, calledHostInputs(host, dependencies), () => routed(proxy, calledHostRoutes(mesh, virtualServices, proxy, host))),
    serviceRoutes: (proxy: Proxy, host: Host, port: number): RoutedResources =>
      routesFor(proxy).recall(`${host.hostname}:${port}`, [dependencies.of(host.hostname)], () =>
        routed(proxy, serviceRoutes(mesh, virtualServices, proxy, host, port)),
      ),
    httpProxyRoutes: (proxy: Proxy): HttpProxyRoutes<RoutedResources> => {
      const { recall } = routesFor(proxy);
      const plan = plans.recall(audienceOf(proxy), [shape, dependencies.ofAll], () => planHttpProxy(mesh, proxy));
      return httpProxyRoutes(mesh, virtualServices, proxy, plan, (planned, make) => {
        if (planned === undefined) return routed(proxy, make());
        const { hostname, port, domains } = planned;
        return recall(`${HTTP_PROXY_ROUTE} ${hostname}:${port}`, [dependencies.of(hostname), domains], () => routed(proxy, make()));
      });
    },
  };
}

/** Audiences differ by their place above all, and routes seldom depend on it: what is made again for another audience is kept once. */
function createSharing(): (resource: TranslatedResource) => TranslatedResource {
  const made = new Map<string, TranslatedResource>();
  return (resource) => {
    const key = `${resource.type}/${resource.name}`;
    const known = made.get(key);
    if (known !== undefined && sameResource(known, resource)) return known;
    made.set(key, resource);
    return resource;
  };
}

function sameResource(a: TranslatedResource, b: TranslatedResource): boolean {
  return Buffer.compare(a.body, b.body) === 0 && sameList(a.needs, b.needs) === a.needs && sameList(a.origins, b.origins) === a.origins;
}

/** All that the virtual host of a name depends on, but for the proxy that asks. What the name leads to is looked up each time. */
function calledHostInputs({ target, domain }: CalledHost, dependencies: Dependencies): readonly unknown[] {
  switch (target.kind) {
    case "port":
      return [dependencies.of(target.host.hostname), target.host, target.port];
    case "rule":
      return [dependencies.of(target.hostname), target.port];
    case "unknown":
      return [dependencies.ofAll, domain];
  }
}

/**
 * What there is to listen for: hosts and ports, but not their endpoints; and the ports of each workload. Of a Service that was written again its parts are
 * compared, so that an edit beside it in the file does not count.
 */
function shapeOf(mesh: Mesh): readonly unknown[] {
  const workloads = new Map<string, unknown>();
  for (const { namespace, workload, ports } of mesh.instances) if (!workloads.has(`${namespace}/${workload}`)) workloads.set(`${namespace}/${workload}`, ports);
  const hosts = [...mesh.hosts.values()].flatMap((host) => mesh.namesakes.get(host.hostname) ?? [host]);
  const parts = hosts.flatMap(({ hostname, service, ports }) => [hostname, ports, ...Object.values(service).filter((part) => typeof part !== "function")]);
  return [...parts, ...[...workloads].flat()];
}

interface Collector {
  readonly parts: readonly (readonly TranslatedResource[])[];
  readonly diagnostics: readonly Diagnostic[];
  readonly add: (resources: readonly TranslatedResource[]) => void;
  readonly addRouted: (routed: RoutedResources) => void;
}

function createCollector(): Collector {
  const parts: (readonly TranslatedResource[])[] = [];
  const diagnostics: Diagnostic[] = [];
  const add = (added: readonly TranslatedResource[]): void => {
    parts.push(added);
  };
  const addRouted = (routed: RoutedResources): void => {
    add(routed.resources);
    diagnostics.push(...routed.diagnostics);
  };
  return { parts, diagnostics, add, addRouted };
}

interface GroupedResources {
  readonly resources: ProxyResources;
  readonly shared: SharedResources;
}

function sidecarResources(proxy: Proxy, tools: Tools, called: CalledNames | undefined): GroupedResources {
  const { dependencies, generationOf, mesh } = tools;
  const asked = securityUpstreams(mesh, proxy).clusters.map(outboundClusterName);
  const names = called === undefined || !hasAutomaticScope(mesh, proxy) ? undefined : (called.get(workloadKey(proxy)) ?? NO_NAMES);
  const group = [tools.audienceOf(proxy), callsOf(proxy), ...asked, ...(names === undefined ? [] : [addressesOf(proxy), "called by", workloadKey(proxy)])].join(
    " ",
  );
  const known = tools.groups.get(group);
  const shared = known !== undefined && known.names === names ? known : sharedResources(proxy, tools, names, known ?? tools.formerGroups?.get(group));
  tools.groups.set(group, shared);
  const connections = proxy.outbound.filter(({ hostname, port }) => !isHttpPort(mesh, proxy, hostname, port)).map(({ hostname }) => dependencies.of(hostname));
  const hosts = names === undefined ? "known" : "on demand";
  const inputs = [proxy, hosts, tools.shape, dependencies.ofAll, generationOf(proxy.id), ...connections];
  const own = tools.own.recall(proxy.id, inputs, () => ownResources(proxy, tools, hosts));
  return { resources: layeredResources(proxy.id, shared.resources, own), shared };
}

const NO_NAMES: ReadonlySet<string> = new Set();

/** Routes, clusters and endpoints. `names`: what the workload has called, where the proxy is to get nothing else. */
function sharedResources(proxy: Proxy, tools: Tools, names: ReadonlySet<string> | undefined, former: SharedResources | undefined): SharedResources {
  const collector = createCollector();
  for (const outbound of proxy.outbound) if (names === undefined || hasListener(tools.mesh, proxy, outbound)) collectRoutes(proxy, outbound, tools, collector);
  for (const key of securityUpstreams(tools.mesh, proxy).clusters) collector.add(tools.clusters.outbound(proxy, key));
  if (names !== undefined) collectCalledHosts(proxy, names, tools, collector);
  else if (proxy.httpProxy !== undefined) {
    const routes = tools.httpProxyRoutes(proxy);
    collector.add(routes.resources);
    for (const host of routes.hosts) collector.addRouted(host);
  }
  return { ...collectAfter(former, collector.parts), diagnostics: collector.diagnostics, names };
}

/** The hosts that a proxy of automatic scope has been asked for, and what it needs to ask for others. */
function collectCalledHosts(proxy: Proxy, names: ReadonlySet<string>, tools: Tools, collector: Collector): void {
  const { mesh, lookup } = tools;
  const ports = onDemandPorts(mesh, proxy);
  for (const port of ports) collector.add(onDemandRoutes(port));
  if (ports.length > 0 && scopeOf(mesh, proxy).outboundTrafficPolicy.mode === "ALLOW_ANY") collector.add([PASS_THROUGH]);
  for (const host of calledHosts(mesh, lookup, proxy, names)) collector.addRouted(tools.calledHostRoutes(proxy, host));
}

/**
 * Under automatic scope a program that calls addresses has a listener for each, since an address says all that is known of a connection; where connections
 * are captured, requests are told apart by their authority instead (capture-listeners.ts), and only connections that are no requests by their address.
 */
function hasListener(mesh: Mesh, proxy: Proxy, { hostname, port }: ServiceListener): boolean {
  return proxy.capture === undefined || !isHttpPort(mesh, proxy, hostname, port);
}

/** Listeners, each proxy's at addresses of its own, the application's clusters, and the filter. */
function ownResources(proxy: Proxy, tools: Tools, hosts: "known" | "on demand"): OwnResources {
  const { mesh } = tools;
  const listeners = proxy.outbound.flatMap((outbound) => (hosts === "known" || hasListener(mesh, proxy, outbound) ? listenersOf(proxy, outbound, tools) : []));
  const inbound = inboundPorts(mesh, proxy).flatMap((port) => [
    inboundListener(
      proxy,
      port,
      isHttp(inboundProtocol(mesh, proxy, port.containerPort)),
      portSecurity(mesh, proxy, { known: port.containerPort, bound: port.listen.port }),
      { mode: portMutualTls(mesh, proxy, port.containerPort), trustDomains: trustDomainsOf(mesh.settings) },
    ),
    tools.clusters.inbound(proxy, port),
  ]);
  const httpProxy = proxy.httpProxy === undefined ? [] : httpProxyListeners(proxy, proxy.httpProxy, hosts);
  const { resources } = securityUpstreams(mesh, proxy);
  return [
    ...listeners,
    ...httpProxy,
    ...inbound,
    ...captureListeners(mesh, proxy, hosts),
    ...resources,
    ...tools.filterResources(tools.generationOf(proxy.id)),
  ];
}

interface CalledPort {
  readonly host: Host;
  readonly port: HostPort;
}

/** A service that is gone, or outside of what the proxy sees, has no listener. */
function calledPort(mesh: Mesh, proxy: Proxy, hostname: string, number: number): CalledPort | undefined {
  const scope = scopeOf(mesh, proxy);
  const host = scope.sees(hostname, number) ? scope.hosts.get(hostname) : undefined;
  const port = host?.ports.find((candidate) => candidate.number === number);
  return host === undefined || port === undefined || port.protocol === "udp" ? undefined : { host, port };
}

function isHttpPort(mesh: Mesh, proxy: Proxy, hostname: string, number: number): boolean {
  const called = calledPort(mesh, proxy, hostname, number);
  return called !== undefined && isHttp(called.port.protocol);
}

function collectRoutes(proxy: Proxy, outbound: ServiceListener, tools: Tools, collector: Collector): void {
  const called = calledPort(tools.mesh, proxy, outbound.hostname, outbound.port);
  if (called === undefined) return;
  if (isHttp(called.port.protocol)) collector.addRouted(tools.serviceRoutes(proxy, called.host, called.port.number));
  else for (const { clusters } of connectionRoutes(proxy, called, tools)) for (const key of clusters) collector.add(tools.clusters.outbound(proxy, key));
}

function listenersOf(proxy: Proxy, outbound: ServiceListener, tools: Tools): readonly TranslatedResource[] {
  const called = calledPort(tools.mesh, proxy, outbound.hostname, outbound.port);
  if (called === undefined) return [];
  const origin = resourceOrigin(called.host.service);
  if (isHttp(called.port.protocol)) return serviceListeners(proxy, outbound, origin);
  return [connectionListener(proxy, outbound, connectionRoutes(proxy, called, tools), origin)];
}

function connectionRoutes(proxy: Proxy, { host, port }: CalledPort, { mesh, virtualServices }: Tools): ReturnType<typeof serviceConnections> {
  return serviceConnections(sidecarPlace(mesh, proxy, port.number), virtualServices.forHost(host.hostname, proxy), host, port.number);
}

function gatewayResources(proxy: Proxy, tools: Tools): GroupedResources {
  const { mesh, virtualServices } = tools;
  const collector = createCollector();
  const security = securityUpstreams(mesh, proxy);
  collector.add(security.resources);
  for (const key of security.clusters) collector.add(tools.clusters.outbound(proxy, key));
  for (const port of proxy.gatewayPorts) {
    const { servers } = serversAt(mesh, proxy, port.number);
    const { listeners, routes, clusters } = gatewayPort(mesh, virtualServices, proxy, port, servers);
    collector.add(listeners);
    for (const route of routes) collector.addRouted(tools.routed(proxy, route));
    for (const key of clusters) collector.add(tools.clusters.outbound(proxy, key));
  }
  collector.add(tools.filterResources(tools.generationOf(proxy.id)));
  return {
    resources: { proxyId: proxy.id, resources: collectAfter(undefined, collector.parts).resources },
    shared: { parts: [], resources: [], diagnostics: collector.diagnostics },
  };
}
