// Clusters: one per (host, port, subset), one more per zone where traffic is divided over zones, each with its endpoints; and the one to the application.
import { create, toBinary } from "@bufbuild/protobuf";
import { Cluster_DiscoveryType, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { endpointsOf, visibleHost } from "../mesh/destination.ts";
import { inboundProtocol } from "../mesh/inbound.ts";
import type { InboundPort, Locality, Proxy } from "../mesh/instance.ts";
import type { Viewpoint } from "../mesh/istio-locality.ts";
import { type LocalityPlan, localityPlan } from "../mesh/locality.ts";
import type { Endpoint, Mesh, PortProtocol } from "../mesh/mesh.ts";
import { destinationRuleFor, type EffectivePolicy, policyFor } from "../mesh/policy.ts";
import { orderEndpoints, viewName } from "../mesh/priorities.ts";
import { zoneName } from "../mesh/zones.ts";
import type { DestinationRule } from "../model/resource.ts";
import { ADS } from "./config-source.ts";
import { circuitBreakers, connectionFields, inboundHttpOptions, outboundHttpOptions } from "./connection-pool.ts";
import { CLUSTER_DEFAULTS } from "./defaults.ts";
import { loadAssignment } from "./endpoints.ts";
import type { Init } from "./init.ts";
import { loadBalancing, localityConfig } from "./load-balancing.ts";
import { type ClusterKey, inboundClusterName, outboundClusterName } from "./names.ts";
import { outlierFields } from "./outlier-detection.ts";
import { type ResourceOrigin, resourceOrigin, type TranslatedResource } from "./resource.ts";

/** Gives the clusters of one mesh, made when first asked for. */
export interface ClusterTranslation {
  /**
   * The cluster of a destination and its endpoint assignment, as a proxy sees them. Proxies with the same view (rule, place) get the same objects. A host that
   * does not exist gives a cluster without endpoints: requests to it are answered 503.
   */
  readonly outbound: (proxy: Proxy, key: ClusterKey) => readonly [cluster: TranslatedResource, endpoints: TranslatedResource];
  /** The cluster of a workload's own port: the application beside the proxy. */
  readonly inbound: (proxy: Proxy, port: InboundPort) => TranslatedResource;
}

/** Makes the translation for one mesh. */
export function createClusterTranslation(mesh: Mesh): ClusterTranslation {
  const translated = new Map<string, readonly [TranslatedResource, TranslatedResource]>();
  return {
    outbound: (proxy, key) => {
      const destination = destinationOf(mesh, proxy, key);
      const rule = destination.rule === undefined ? "" : `${destination.rule.namespace}/${destination.rule.name}`;
      const view = [destination.serviceName, rule, destination.host === undefined ? "hidden" : ""].join("\n");
      const known = translated.get(view);
      if (known !== undefined) return known;
      const resources = translateDestination(mesh, destination);
      translated.set(view, resources);
      return resources;
    },
    inbound: (proxy, port) => inboundCluster(mesh, proxy, port),
  };
}

/** A destination as one place sees it. */
interface SeenDestination {
  readonly key: ClusterKey;
  readonly name: string;
  /** EDS name: the cluster's, and the place that its endpoints are ordered for. */
  readonly serviceName: string;
  readonly host: ReturnType<typeof visibleHost>;
  readonly protocol: PortProtocol;
  readonly rule: DestinationRule | undefined;
  readonly policy: EffectivePolicy;
  readonly plan: LocalityPlan;
  readonly from: Viewpoint;
  readonly endpoints: readonly Endpoint[];
}

function destinationOf(mesh: Mesh, proxy: Proxy, key: ClusterKey): SeenDestination {
  const { hostname, port, subset, zone } = key;
  const host = visibleHost(mesh, hostname, proxy.namespace);
  const rule = destinationRuleFor(mesh, proxy, hostname);
  const policy = policyFor(rule, port, subset);
  const plan = localityPlan(mesh.settings, policy);
  const endpoints = host === undefined ? [] : endpointsOf(mesh, rule, hostname, port, subset);
  const name = outboundClusterName(key);
  // A zone cluster is the same for every caller: its zone first, then that zone's region.
  const from = zone === undefined ? proxy : { locality: localityOfZone(zone, endpoints), labels: {} };
  const view = zone === undefined ? viewName(mesh.settings.defaults, plan, from) : "";
  const protocol = host?.ports.find(({ number }) => number === port)?.protocol ?? "http";
  return { key, name, serviceName: view === "" ? name : `${name};${view}`, host, protocol, rule, policy, plan, from, endpoints };
}

function localityOfZone(zone: string, endpoints: readonly Endpoint[]): Locality {
  const there = endpoints.find(({ instance }) => zoneName(instance.locality) === zone);
  return there?.instance.locality ?? { region: "", zone, subzone: "" };
}

function translateDestination(mesh: Mesh, destination: SeenDestination): readonly [TranslatedResource, TranslatedResource] {
  const { name, serviceName, host, rule, plan, from } = destination;
  const origins = [...(rule === undefined ? [] : [resourceOrigin(rule)]), ...(host === undefined ? [] : [resourceOrigin(host.service)])];
  const groups = orderEndpoints(mesh.settings.defaults, plan, from, destination.endpoints);
  const assignment = loadAssignment(serviceName, groups, plan.kind === "weights", origins);
  const body = toBinary(ClusterSchema, create(ClusterSchema, outboundCluster(mesh, destination)));
  return [{ type: "cluster", name, body, origins, needs: [`endpoint/${serviceName}`] }, assignment];
}

function outboundCluster(mesh: Mesh, { name, serviceName, protocol, policy, plan }: SeenDestination): Init<typeof ClusterSchema> {
  const defaults = CLUSTER_DEFAULTS[mesh.settings.defaults];
  const { outlierDetection, panic } = outlierFields(policy.outlierDetection, defaults);
  return {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: ADS, serviceName },
    ...connectionFields(policy.connectionPool, defaults),
    circuitBreakers: circuitBreakers(policy, defaults),
    ...outboundHttpOptions(protocol, policy.connectionPool, defaults),
    ...loadBalancing(policy.loadBalancer),
    ...(outlierDetection && { outlierDetection }),
    commonLbConfig: { ...localityConfig(plan), ...(panic && { healthyPanicThreshold: panic }) },
  };
}

function inboundCluster(mesh: Mesh, proxy: Proxy, { containerPort, application }: InboundPort): TranslatedResource {
  const defaults = CLUSTER_DEFAULTS[mesh.settings.defaults];
  const name = inboundClusterName(containerPort);
  const socketAddress = { address: application.address, portSpecifier: { case: "portValue", value: application.port } } as const;
  const lbEndpoint = { hostIdentifier: { case: "endpoint", value: { address: { address: { case: "socketAddress", value: socketAddress } } } } } as const;
  const cluster: Init<typeof ClusterSchema> = {
    name,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    ...connectionFields(undefined, defaults),
    circuitBreakers: circuitBreakers({}, defaults),
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [lbEndpoint] }] },
    ...inboundHttpOptions(inboundProtocol(mesh, proxy, containerPort), defaults),
  };
  const origins: readonly ResourceOrigin[] = [];
  return { type: "cluster", name, body: toBinary(ClusterSchema, create(ClusterSchema, cluster)), origins, needs: [] };
}
