// How a cluster finds its endpoints: told by the control plane, by DNS, by where a connection was going, or by the name in each request.
import { Cluster_DiscoveryType, Cluster_LbPolicy, type ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { DnsLookupFamily } from "../gen/envoy/extensions/clusters/common/dns/v3/dns_pb.js";
import { DnsClusterSchema } from "../gen/envoy/extensions/clusters/dns/v3/dns_cluster_pb.js";
import { ClusterConfigSchema } from "../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js";
import type { Proxy } from "../mesh/instance.ts";
import type { LocalityGroup } from "../mesh/istio-locality.ts";
import type { Endpoint, Host } from "../mesh/mesh.ts";
import type { EffectivePolicy } from "../mesh/policy.ts";
import type { PlacedEndpoint } from "../mesh/priorities.ts";
import { isHttp } from "../mesh/services.ts";
import { inlineInstance, isIpAddress } from "../mesh/workload-entries.ts";
import { packAny } from "./any.ts";
import { ADS } from "./config-source.ts";
import type { ClusterDefaults } from "./defaults.ts";
import { duration } from "./duration.ts";
import { assignment } from "./endpoints.ts";
import type { Init } from "./init.ts";
import { DNS_CACHE } from "./pass-through.ts";

type ClusterInit = Init<typeof ClusterSchema>;

/** How endpoints are found, and which are known beforehand. */
export type Discovery =
  | { readonly kind: "eds"; readonly endpoints: readonly Endpoint[] }
  | { readonly kind: "strict-dns" | "logical-dns"; readonly endpoints: readonly [Endpoint, ...Endpoint[]] }
  /** Where the connection was going, at this port if one is given. */
  | { readonly kind: "original"; readonly port: number | undefined }
  /** The name that a request is for. */
  | { readonly kind: "request-name" };

const UNKNOWN: Discovery = { kind: "eds", endpoints: [] };

/**
 * The discovery of a host's port (or of the part of its endpoints that is given) by a proxy. A connection's own destination is known to proxies that capture
 * connections, gateways excepted (Istio, convertResolution); the others look the host's name up.
 */
export function discoveryOf(host: Host | undefined, port: number, endpoints: readonly Endpoint[], policy: EffectivePolicy, proxy: Proxy): Discovery {
  const written = host?.ports.find(({ number }) => number === port);
  if (host === undefined || written === undefined) return UNKNOWN;
  const captures = proxy.captures === true && proxy.kind === "sidecar";
  const target = typeof written.targetPort === "number" && written.targetPort !== port ? written.targetPort : undefined;
  if (captures && policy.loadBalancer?.simple === "PASSTHROUGH") return { kind: "original", port: undefined };
  switch (host.resolution) {
    case "known":
      return captures && isHeadless(host) ? { kind: "original", port: undefined } : { kind: "eds", endpoints };
    case "dns":
    case "dns-round-robin": {
      const [first, ...others] = endpoints;
      if (first === undefined) return UNKNOWN;
      // Of several names Envoy's logical DNS takes none.
      return host.resolution === "dns-round-robin" ? { kind: "logical-dns", endpoints: [first] } : { kind: "strict-dns", endpoints: [first, ...others] };
    }
    case "original": {
      if (captures) return { kind: "original", port: target };
      return host.hostname.startsWith("*") ? byRequestName(written) : lookedUp(host, target ?? port);
    }
    case "dynamic-dns":
      return byRequestName(written);
  }
}

function isHeadless({ service }: Host): boolean {
  return service.kind === "Service" && service.spec.clusterIP === "None";
}

/** Only a request has a name. */
function byRequestName({ protocol }: Host["ports"][number]): Discovery {
  return isHttp(protocol) || protocol === "tls" ? { kind: "request-name" } : UNKNOWN;
}

/** The addresses that the ServiceEntry gives, if they are single ones, else what DNS says. */
function lookedUp(host: Host, port: number): Discovery {
  const { hostname, service, addresses } = host;
  const at = (address: string): Endpoint => ({
    instance: inlineInstance({ address, ports: {}, labels: {} }, service.name, service.namespace, 0),
    address,
    port,
    weight: 1,
    ...(host.serviceAccounts.length > 0 ? { plain: true } : {}),
  });
  if (addresses.length > 0 && addresses.every(isIpAddress)) return { kind: "eds", endpoints: addresses.map(at) };
  return { kind: "logical-dns", endpoints: [at(hostname)] };
}

/** The cluster's fields for it. `name` is the cluster's, `serviceName` that of its endpoints by EDS. */
export function discoveryFields(
  discovery: Discovery,
  names: { readonly name: string; readonly serviceName: string },
  groups: readonly LocalityGroup<PlacedEndpoint>[],
  weighted: boolean,
  defaults: ClusterDefaults,
): ClusterInit {
  switch (discovery.kind) {
    case "eds":
      return { clusterDiscoveryType: type("EDS"), edsClusterConfig: { edsConfig: ADS, serviceName: names.serviceName } };
    case "strict-dns":
      return { ...dnsFields(defaults, false), loadAssignment: assignment(names.name, groups, weighted) };
    case "logical-dns":
      return { ...dnsFields(defaults, true), loadAssignment: assignment(names.name, groups, false) };
    case "original":
      return {
        clusterDiscoveryType: type("ORIGINAL_DST"),
        lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
        ...(discovery.port === undefined ? {} : { lbConfig: { case: "originalDstLbConfig", value: { upstreamPortOverride: discovery.port } } }),
      };
    case "request-name":
      return { clusterDiscoveryType: requestNames(false), lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED };
  }
}

/** Discovery by the name of each request. Envoy wants to be told where a name may not be verified by the certificate (`insecure`). */
export function requestNames(insecure: boolean): NonNullable<ClusterInit["clusterDiscoveryType"]> {
  const typedConfig = packAny(ClusterConfigSchema, {
    clusterImplementationSpecifier: { case: "dnsCacheConfig", value: DNS_CACHE },
    allowInsecureClusterOptions: insecure,
  });
  return { case: "clusterType", value: { name: "envoy.clusters.dynamic_forward_proxy", typedConfig } };
}

function type(name: keyof typeof Cluster_DiscoveryType): { readonly case: "type"; readonly value: Cluster_DiscoveryType } {
  return { case: "type", value: Cluster_DiscoveryType[name] };
}

/** Names are asked for again as often as their answers say. `logical`: the addresses of one name are one endpoint. */
function dnsFields({ dns }: ClusterDefaults, logical: boolean): ClusterInit {
  const { refreshMs, failureRefreshMs, waits } = dns;
  const typedConfig = packAny(DnsClusterSchema, {
    dnsLookupFamily: DnsLookupFamily.V4_PREFERRED,
    respectDnsTtl: true,
    dnsRefreshRate: duration(refreshMs),
    ...(failureRefreshMs === undefined
      ? {}
      : { dnsFailureRefreshRate: { baseInterval: duration(failureRefreshMs.base), maxInterval: duration(failureRefreshMs.max) } }),
    allAddressesInSingleEndpoint: logical,
  });
  return { clusterDiscoveryType: { case: "clusterType", value: { name: "envoy.clusters.dns", typedConfig } }, ...(waits ? {} : { waitForWarmOnInit: false }) };
}
