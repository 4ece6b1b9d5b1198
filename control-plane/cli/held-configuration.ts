// What a running proxy holds, read from its own configuration dump: listeners, routes, clusters and endpoints as Envoy's messages, as far as they say who is let
// in. Source: Envoy, admin/v3/config_dump.proto.
import { createRegistry, type DescMessage, fromJson, type JsonObject, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import { z } from "zod";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import { ExtAuthzSchema as HttpExtAuthzSchema } from "../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import { JwtAuthenticationSchema } from "../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import { RBACSchema as HttpRbacSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { ExtAuthzSchema as NetworkExtAuthzSchema } from "../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import { HttpConnectionManagerSchema } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { RBACSchema as NetworkRbacSchema } from "../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
import { TcpProxySchema } from "../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
import { UriTemplateMatchConfigSchema } from "../gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";
import { UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { askAdmin } from "./control-plane-answers.ts";
import type { HeldConfiguration } from "./explain-authorization.ts";
import { entriesIn, type ProxyConfigPart } from "./proxy-config.ts";

/** A proxy's configuration with its route configurations, virtual hosts that came by themselves included. */
export interface RunningConfiguration extends HeldConfiguration {
  readonly routeConfigurations: readonly RouteConfiguration[];
}

/** What is read; of everything else a dump holds there is no need. */
const REGISTRY = createRegistry(
  ...[HttpConnectionManagerSchema, TcpProxySchema, UpstreamTlsContextSchema, UriTemplateMatchConfigSchema],
  ...[JwtAuthenticationSchema, HttpRbacSchema, HttpExtAuthzSchema, NetworkRbacSchema, NetworkExtAuthzSchema],
);

const object = z.record(z.string(), z.json());
const dump = z.object({ configs: z.array(object).default([]) });
const endpointConfigs = z.object({ dynamic_endpoint_configs: z.array(z.object({ endpoint_config: object.default({}) })).default([]) });

/** Asks the proxy's admin API. Rejects with a CommandError where it does not answer. */
export async function askConfiguration(admin: string, who: string): Promise<RunningConfiguration> {
  const { configs } = await askAdmin(admin, "/config_dump?include_eds", dump, who);
  return configurationIn(configs);
}

/** Reads the sections of a dump. */
export function configurationIn(configs: readonly JsonObject[]): RunningConfiguration {
  const part = <Desc extends DescMessage>(name: Exclude<ProxyConfigPart, "endpoints">, schema: Desc): readonly MessageShape<Desc>[] =>
    entriesIn(name, configs).map((entry) => messageOf(schema, object.parse(entry)));
  const listeners = part("listeners", ListenerSchema);
  const clusters = new Map(part("clusters", ClusterSchema).map((cluster) => [cluster.name, cluster]));
  const assignments = configs
    .filter((config) => String(config["@type"]).endsWith(".EndpointsConfigDump"))
    .flatMap((config) => endpointConfigs.parse(config).dynamic_endpoint_configs)
    .map(({ endpoint_config }) => messageOf(ClusterLoadAssignmentSchema, endpoint_config));
  const byService = new Map(assignments.map((assignment) => [assignment.clusterName, assignment]));
  return {
    listenerAt: ({ address, port }) =>
      listeners.find(({ address: bound }) => {
        const socket = bound?.address.case === "socketAddress" ? bound.address.value : undefined;
        return socket?.address === address && socket.portSpecifier.value === port;
      }),
    cluster: (name) => clusters.get(name),
    endpoints: (name) => byService.get(clusters.get(name)?.edsClusterConfig?.serviceName || name) ?? byService.get(name),
    routeConfigurations: part("routes", RouteConfigurationSchema),
  };
}

function messageOf<Desc extends DescMessage>(schema: Desc, { "@type": _, ...json }: JsonObject): MessageShape<Desc> {
  return fromJson(schema, known(json) ?? {}, { registry: REGISTRY, ignoreUnknownFields: true });
}

/** The same without extensions that are not read. */
function known(value: JsonValue): JsonValue | undefined {
  if (Array.isArray(value)) return value.flatMap((entry) => known(entry) ?? []);
  if (typeof value !== "object" || value === null) return value;
  const type = value["@type"];
  if (typeof type === "string" && REGISTRY.getMessage(type.slice(type.lastIndexOf("/") + 1)) === undefined) return undefined;
  const fields = Object.entries(value).flatMap(([name, inner]): [string, JsonValue][] => {
    const kept = known(inner);
    return kept === undefined ? [] : [[name, kept]];
  });
  return Object.fromEntries(fields);
}
