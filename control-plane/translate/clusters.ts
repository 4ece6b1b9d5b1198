// Clusters: one per (host, port, subset), one more per zone where traffic is divided over zones, each with its endpoints; and the one to the application.
import { create, toBinary } from "@bufbuild/protobuf";
import { Cluster_DiscoveryType, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { type ClientCredential, clientCredential } from "../mesh/client-credentials.ts";
import { endpointsOf } from "../mesh/destination.ts";
import { inboundProtocol, inboundService } from "../mesh/inbound.ts";
import type { InboundPort, Locality, Proxy } from "../mesh/instance.ts";
import type { LocalityGroup, Viewpoint } from "../mesh/istio-locality.ts";
import { type LocalityPlan, localityPlan } from "../mesh/locality.ts";
import type { Endpoint, Host, MergedRule, Mesh, PortProtocol } from "../mesh/mesh.ts";
import { markPlain } from "../mesh/mutual-tls.ts";
import { destinationRuleFor, type EffectivePolicy, policyFor } from "../mesh/policy.ts";
import { orderEndpoints, type PlacedEndpoint, viewName } from "../mesh/priorities.ts";
import { scopeOf } from "../mesh/scope.ts";
import { UNIX_PREFIX } from "../mesh/workload-entries.ts";
import { zoneName } from "../mesh/zones.ts";
import { createAudiences } from "./audiences.ts";
import { type ClientTls, clientTls } from "./client-tls.ts";
import { circuitBreakers, connectionFields, inboundHttpOptions, outboundHttpOptions, speaksHttp2 } from "./connection-pool.ts";
import { CLUSTER_DEFAULTS, type ClusterDefaults } from "./defaults.ts";
import { type Dependencies, dependenciesOf } from "./dependencies.ts";
import { type Discovery, discoveryFields, discoveryOf, requestNames } from "./discovery.ts";
import { envoyAddress, loadAssignment } from "./endpoints.ts";
import type { Init } from "./init.ts";
import { loadBalancing, localityConfig } from "./load-balancing.ts";
import { type Remembered, rememberAfter } from "./memo.ts";
import { meshTransport } from "./mesh-transport.ts";
import { type ClusterKey, inboundClusterName, outboundClusterName } from "./names.ts";
import { outlierFields } from "./outlier-detection.ts";
import { withProxyProtocol } from "./proxy-protocol.ts";
import { type ResourceOrigin, resourceOrigin, type TranslatedResource } from "./resource.ts";
import { serviceMetadata } from "./traffic-metrics.ts";

/** Gives the clusters of one mesh, made when first asked for. */
export interface ClusterTranslation {
  /**
   * The cluster of a destination as a proxy sees it, and its endpoint assignment where the control plane tells the endpoints. Proxies with the same view
   * (rule, place) get the same objects. A host that does not exist gives a cluster without endpoints: requests to it are answered 503.
   */
  readonly outbound: (proxy: Proxy, key: ClusterKey) => readonly [cluster: TranslatedResource, ...endpoints: TranslatedResource[]];
  /** The cluster of a workload's own port: the application beside the proxy. */
  readonly inbound: (proxy: Proxy, port: InboundPort) => TranslatedResource;
}

/** Where Debian keeps the roots that it trusts; so does the image of Envoy. */
const DEBIAN_ROOTS = "/etc/ssl/certs/ca-certificates.crt";

type Translated = ReturnType<ClusterTranslation["outbound"]>;

/** Clusters by audience and name, handed from one translation to the next. */
export type RememberedClusters = ReadonlyMap<string, Remembered<Translated>>;

export interface ClusterOptions {
  /** Names the proxies that all clusters are the same for. */
  readonly audienceOf: (proxy: Proxy) => string;
  readonly dependencies: Pick<Dependencies, "of">;
  readonly former?: RememberedClusters | undefined;
}

/** Of one audience: routes that stand do not ask for their clusters again, so those are kept without being asked for. */
const MOST_CLUSTERS = 20_000;

/** Makes the translation for one mesh. Clusters that nothing has changed for are those of the former one. */
export function createClusterTranslation(
  mesh: Mesh,
  { audienceOf, dependencies, former }: ClusterOptions = { audienceOf: createAudiences(mesh), dependencies: dependenciesOf(mesh, undefined) },
): ClusterTranslation & { readonly remembered: RememberedClusters } {
  const audiences = new Map<string, Remembered<Translated>>();
  const views = new Map<string, Translated>();
  const common: CommonParts = new Map();
  const translated = (proxy: Proxy, key: ClusterKey): Translated => {
    const destination = destinationOf(mesh, proxy, key);
    const resources = views.get(destination.view) ?? translateDestination(mesh, destination, common);
    views.set(destination.view, resources);
    return resources;
  };
  return {
    outbound: (proxy, key) => {
      const audience = audienceOf(proxy);
      const clusters = audiences.get(audience) ?? rememberAfter(former?.get(audience), MOST_CLUSTERS);
      audiences.set(audience, clusters);
      return clusters.recall(outboundClusterName(key), [dependencies.of(key.hostname)], () => translated(proxy, key));
    },
    inbound: (proxy, port) => inboundCluster(mesh, proxy, port),
    remembered: audiences,
  };
}

/** A destination as one place sees it. */
interface SeenDestination {
  readonly key: ClusterKey;
  readonly name: string;
  /** EDS name: the cluster's, and the place that its endpoints are ordered for. */
  readonly serviceName: string;
  /** All that the cluster depends on, as text. */
  readonly view: string;
  readonly credential: ClientCredential | undefined;
  readonly systemRoots: string;
  readonly host: Host | undefined;
  readonly protocol: PortProtocol;
  readonly rule: MergedRule | undefined;
  readonly policy: EffectivePolicy;
  readonly plan: LocalityPlan;
  readonly from: Viewpoint;
  readonly discovery: Discovery;
  /** Those that the mesh knows, also where Envoy finds them otherwise. */
  readonly endpoints: readonly Endpoint[];
}

/** What a rule says for one part of a host: the same for all proxies that the rule and the host hold for. */
interface Described {
  readonly policy: EffectivePolicy;
  readonly plan: LocalityPlan;
  readonly endpoints: readonly Endpoint[];
  readonly protocol: PortProtocol;
}

const DESCRIBED = new WeakMap<Mesh, Map<string, Described>>();

function describe(mesh: Mesh, host: Host | undefined, rule: MergedRule | undefined, { hostname, port, subset }: ClusterKey): Described {
  const known = DESCRIBED.get(mesh) ?? new Map<string, Described>();
  DESCRIBED.set(mesh, known);
  const key = [hostname, port, subset, host?.namespace, rule?.namespace, rule?.name].join("\n");
  const found = known.get(key);
  if (found !== undefined) return found;
  const policy = policyFor(rule, port, subset);
  const described: Described = {
    policy,
    plan: localityPlan(mesh.settings, policy),
    endpoints: markPlain(mesh, host, endpointsOf(host, rule, port, subset)),
    protocol: host?.ports.find(({ number }) => number === port)?.protocol ?? "http",
  };
  known.set(key, described);
  return described;
}

function destinationOf(mesh: Mesh, proxy: Proxy, key: ClusterKey): SeenDestination {
  const { hostname, port, zone } = key;
  const host = scopeOf(mesh, proxy).destination(hostname);
  const rule = destinationRuleFor(mesh, proxy, hostname);
  const { policy, plan, endpoints, protocol } = describe(mesh, host, rule, key);
  const systemRoots = proxy.systemRoots ?? DEBIAN_ROOTS;
  const credential = clientCredential(mesh, proxy, policy.tls);
  // Without its certificates a cluster would call in the open: better not at all.
  const discovery: Discovery = credential?.unusable === undefined ? discoveryOf(host, port, endpoints, policy, proxy) : { kind: "eds", endpoints: [] };
  const name = outboundClusterName(key);
  // A zone cluster is the same for every caller: its zone first, then that zone's region.
  const from = zone === undefined ? proxy : { locality: localityOfZone(zone, endpointsIn(discovery)), labels: {} };
  const place = zone === undefined ? viewName(mesh.settings.defaults, plan, from) : "";
  const serviceName = place === "" ? name : `${name};${place}`;
  // Credentials are looked up in the proxy's namespace, so that only there clusters with one are alike.
  const credentials = policy.tls?.credentialName ? proxy.namespace : "";
  const view = [serviceName, rule?.namespace, rule?.name, host?.namespace, discovery.kind, credentials, systemRoots].join("\n");
  return { key, name, serviceName, view, endpoints, credential, systemRoots, host, protocol, rule, policy, plan, from, discovery };
}

function endpointsIn(discovery: Discovery): readonly Endpoint[] {
  return "endpoints" in discovery ? discovery.endpoints : [];
}

function localityOfZone(zone: string, endpoints: readonly Endpoint[]): Locality {
  const there = endpoints.find(({ instance }) => zoneName(instance.locality) === zone);
  return there?.instance.locality ?? { region: "", zone, subzone: "" };
}

function translateDestination(mesh: Mesh, destination: SeenDestination, common: CommonParts): Translated {
  const { name, serviceName, host, rule, plan, from, discovery } = destination;
  const origins = [...(rule?.from ?? []).map(resourceOrigin), ...(host === undefined ? [] : [resourceOrigin(host.service)])];
  const groups = orderEndpoints(mesh.settings.defaults, plan, from, endpointsIn(discovery));
  const body = encodeCluster(mesh, destination, groups, common);
  if (discovery.kind !== "eds") return [{ type: "cluster", name, body, origins, needs: [] }];
  const cluster: TranslatedResource = { type: "cluster", name, body, origins, needs: [`endpoint/${serviceName}`] };
  return [cluster, loadAssignment(serviceName, groups, plan.kind === "weights", origins)];
}

/** Envoy demands it of clusters whose names come from requests, though without TLS it means nothing. */
const VERIFIED_NAMES = { autoSni: true, autoSanValidation: true } as const;

/** Encoded parts of clusters that many have in common, by all that they depend on. */
type CommonParts = Map<string, Uint8Array>;

/**
 * A mesh has a cluster for each host, subset and place, and few kinds of them. So what a kind has in common is encoded once: protobuf merges messages whose
 * bytes stand one after the other. Source: Protocol Buffers, "Encoding", last one wins.
 */
function encodeCluster(mesh: Mesh, destination: SeenDestination, groups: readonly LocalityGroup<PlacedEndpoint>[], common: CommonParts): Uint8Array {
  const { name, serviceName, credential, systemRoots, host, protocol, policy, plan, discovery } = destination;
  const defaults = defaultsFor(mesh, host);
  const http2 = speaksHttp2(protocol, policy.connectionPool);
  const tls = clientTls(policy.tls, { host, protocol, http2, credential, defaults: mesh.settings.defaults, systemRoots });
  const own: Init<typeof ClusterSchema> = {
    name,
    ...serviceMetadata(host),
    ...discoveryFields(discovery, { name, serviceName }, groups, plan.kind === "weights", defaults),
    ...(discovery.kind === "request-name" && tls?.insecure ? { clusterDiscoveryType: requestNames(true) } : {}),
    ...withProxyProtocol(tls === undefined ? meshTransport(mesh, destination) : { transportSocket: tls.socket }, policy.proxyProtocol),
  };
  const kind = JSON.stringify([policy, plan, protocol, discovery.kind, host?.external === true, tls?.http]);
  const shared = common.get(kind) ?? toBinary(ClusterSchema, create(ClusterSchema, commonFields(destination, defaults, tls?.http)));
  common.set(kind, shared);
  return Buffer.concat([toBinary(ClusterSchema, create(ClusterSchema, own)), shared]);
}

function defaultsFor(mesh: Mesh, host: Host | undefined): ClusterDefaults {
  const inside = CLUSTER_DEFAULTS[mesh.settings.defaults];
  return host?.external === true ? { ...inside, connectTimeoutMs: inside.externalConnectTimeoutMs } : inside;
}

function commonFields(
  { protocol, policy, plan, discovery }: SeenDestination,
  defaults: ClusterDefaults,
  namesOfTls: ClientTls["http"] | undefined,
): Init<typeof ClusterSchema> {
  // Behind a name of a request stands one host: to eject it would be to refuse. Only who writes a policy wants that.
  const outlier = discovery.kind === "request-name" || discovery.kind === "original" ? { ...defaults, outlier: undefined } : defaults;
  const { outlierDetection, panic } = outlierFields(policy.outlierDetection, outlier);
  return {
    ...connectionFields(policy.connectionPool, defaults),
    circuitBreakers: circuitBreakers(policy, defaults),
    ...outboundHttpOptions(protocol, policy, defaults, namesOfTls ?? (discovery.kind === "request-name" ? VERIFIED_NAMES : {})),
    ...(discovery.kind === "original" || discovery.kind === "request-name" ? {} : loadBalancing(policy.loadBalancer)),
    ...(outlierDetection && { outlierDetection }),
    commonLbConfig: {
      ...(discovery.kind === "eds" || discovery.kind === "strict-dns" ? localityConfig(plan) : {}),
      ...(panic && { healthyPanicThreshold: panic }),
    },
  };
}

function inboundCluster(mesh: Mesh, proxy: Proxy, { containerPort, application }: InboundPort): TranslatedResource {
  const defaults = CLUSTER_DEFAULTS[mesh.settings.defaults];
  const name = inboundClusterName(containerPort);
  const { ingress, inboundConnectionPool, sidecar } = scopeOf(mesh, proxy);
  const written = ingress.find(({ port }) => port.number === containerPort);
  const pool = written?.connectionPool ?? inboundConnectionPool;
  const { address, port } = applicationAddress(proxy, written?.defaultEndpoint, application);
  const cluster: Init<typeof ClusterSchema> = {
    name,
    ...serviceMetadata(inboundService(mesh, proxy, containerPort)),
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    ...inboundSource(proxy),
    ...connectionFields(pool, defaults),
    circuitBreakers: circuitBreakers(pool === undefined ? {} : { connectionPool: pool }, defaults),
    loadAssignment: {
      clusterName: name,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: { address: envoyAddress(address, port) } } }] }],
    },
    ...inboundHttpOptions(inboundProtocol(mesh, proxy, containerPort), pool, defaults),
  };
  const origins: readonly ResourceOrigin[] =
    sidecar === undefined || (written === undefined && inboundConnectionPool === undefined) ? [] : [resourceOrigin(sidecar)];
  return { type: "cluster", name, body: toBinary(ClusterSchema, create(ClusterSchema, cluster)), origins, needs: [] };
}

/** Where the proxy calls its workload from: see Capture. */
export function inboundSource({ capture }: Proxy): Pick<Init<typeof ClusterSchema>, "upstreamBindConfig"> {
  return capture?.inboundSource === undefined
    ? {}
    : { upstreamBindConfig: { sourceAddress: { address: capture.inboundSource, portSpecifier: { case: "portValue", value: 0 } } } };
}

/** A Sidecar may lead a port to another one, or to a socket; a port that a container declares is where the application really has it. */
function applicationAddress(proxy: Proxy, defaultEndpoint: string | undefined, application: InboundPort["application"]): InboundPort["application"] {
  if (defaultEndpoint === undefined || defaultEndpoint === "") return application;
  if (defaultEndpoint.startsWith(UNIX_PREFIX)) return { address: defaultEndpoint, port: 0 };
  const port = Number(defaultEndpoint.slice(defaultEndpoint.lastIndexOf(":") + 1));
  return proxy.inbound.find(({ containerPort }) => containerPort === port)?.application ?? { address: application.address, port };
}
