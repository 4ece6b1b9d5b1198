// What one proxy would hold, decoded when it is first asked for: listeners, route configurations with their virtual hosts, endpoints.
import { create, fromBinary } from "@bufbuild/protobuf";
import { type Cluster, ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { type Listener, ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.js";
import { VirtualHostSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import type { ListenAddress, Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { routeConfigurationOf } from "../snapshot/encode.ts";
import type { ResourceOrigin, TranslatedResource, XdsType } from "../translate/resource.ts";
import { translate } from "../translate/translate.ts";

/** The resources of one proxy. */
export interface ProxyConfiguration {
  readonly resources: readonly TranslatedResource[];
  readonly listeners: () => readonly Listener[];
  /** The one that is bound there. */
  readonly listenerAt: (place: ListenAddress) => Listener | undefined;
  /** With its virtual hosts, those that come by VHDS included. */
  readonly routeConfiguration: (name: string) => RouteConfiguration | undefined;
  /** Of a route configuration and of its virtual hosts. */
  readonly originsOf: (routeConfiguration: string) => readonly ResourceOrigin[];
  readonly cluster: (name: string) => Cluster | undefined;
  /** Undefined for a cluster that is unknown or whose endpoints are not assigned by name. */
  readonly endpoints: (cluster: string) => ClusterLoadAssignment | undefined;
}

/** Translates for one proxy at a time, when it is first asked for. */
export function createConfigurations(mesh: Mesh): (proxy: Proxy) => ProxyConfiguration {
  const made = new Map<string, ProxyConfiguration>();
  return (proxy) => {
    const known = made.get(proxy.id);
    if (known !== undefined) return known;
    // The filter's code plays no part in what is routed where.
    const { proxies } = translate(mesh, { filter: { wasm: Uint8Array.of(0), generationOf: () => 0 }, proxies: [proxy] });
    const configuration = readConfiguration(proxies.get(proxy.id)?.resources ?? []);
    made.set(proxy.id, configuration);
    return configuration;
  };
}

/** Makes resources readable. */
export function readConfiguration(resources: readonly TranslatedResource[]): ProxyConfiguration {
  const byKey = new Map(resources.map((resource) => [`${resource.type}/${resource.name}`, resource]));
  const ofType = (type: XdsType): readonly TranslatedResource[] => resources.filter((resource) => resource.type === type);
  const hosts = new Map<string, TranslatedResource[]>();
  for (const host of ofType("virtualHost")) hosts.set(routeConfigurationOf(host.name), [...(hosts.get(routeConfigurationOf(host.name)) ?? []), host]);
  const listeners = once(() => ofType("listener").map(({ body }) => fromBinary(ListenerSchema, body)));
  const places = once(() => new Map(listeners().map((listener) => [placeOf(listener), listener])));
  const routeConfiguration = remembered((name: string) => {
    const resource = byKey.get(`route/${name}`);
    if (resource === undefined) return undefined;
    const own = fromBinary(RouteConfigurationSchema, resource.body);
    const joined = (hosts.get(name) ?? []).map(({ body }) => fromBinary(VirtualHostSchema, body));
    return joined.length === 0 ? own : create(RouteConfigurationSchema, { ...own, virtualHosts: [...own.virtualHosts, ...joined] });
  });
  const cluster = remembered((name: string) => {
    const resource = byKey.get(`cluster/${name}`);
    return resource && fromBinary(ClusterSchema, resource.body);
  });
  return {
    resources,
    listeners,
    listenerAt: ({ address, port }) => places().get(`${address}:${port}`),
    routeConfiguration,
    originsOf: (name) => [byKey.get(`route/${name}`), ...(hosts.get(name) ?? [])].flatMap((resource) => resource?.origins ?? []),
    cluster,
    endpoints: remembered((name: string) => {
      const { edsClusterConfig, loadAssignment } = cluster(name) ?? {};
      const assignment = edsClusterConfig === undefined ? undefined : byKey.get(`endpoint/${edsClusterConfig.serviceName || name}`);
      return assignment === undefined ? loadAssignment : fromBinary(ClusterLoadAssignmentSchema, assignment.body);
    }),
  };
}

function placeOf({ address }: Listener): string {
  const socket = address?.address.case === "socketAddress" ? address.address.value : undefined;
  const port = socket?.portSpecifier.case === "portValue" ? socket.portSpecifier.value : 0;
  return `${socket?.address}:${port}`;
}

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function remembered<Value>(make: (key: string) => Value): (key: string) => Value {
  const known = new Map<string, Value>();
  return (key) => {
    if (!known.has(key)) known.set(key, make(key));
    return known.get(key) ?? make(key);
  };
}
