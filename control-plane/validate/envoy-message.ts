// A part of Envoy's configuration as JSON comes in; why it is none, or undefined, goes out. Unknown fields and unknown extensions pass: the
// messages that Weft knows are those that it sends, and Envoy knows many more.
import { createRegistry, type DescMessage, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { BootstrapSchema } from "../gen/envoy/config/bootstrap/v3/bootstrap_pb.js";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.js";
import { FilterChainSchema, FilterSchema, ListenerFilterSchema } from "../gen/envoy/config/listener/v3/listener_components_pb.js";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.js";
import { RouteSchema, VirtualHostSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import {
  HttpConnectionManagerSchema,
  HttpFilterSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { TcpProxySchema } from "../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";

/** By `applyTo`. */
const MESSAGES: ReadonlyMap<string, DescMessage> = new Map<string, DescMessage>([
  ["CLUSTER", ClusterSchema],
  ["LISTENER", ListenerSchema],
  ["ROUTE_CONFIGURATION", RouteConfigurationSchema],
  ["FILTER_CHAIN", FilterChainSchema],
  ["HTTP_FILTER", HttpFilterSchema],
  ["NETWORK_FILTER", FilterSchema],
  ["VIRTUAL_HOST", VirtualHostSchema],
  ["HTTP_ROUTE", RouteSchema],
  ["EXTENSION_CONFIG", TypedExtensionConfigSchema],
  ["BOOTSTRAP", BootstrapSchema],
  ["LISTENER_FILTER", ListenerFilterSchema],
]);

const REGISTRY = createRegistry(EmptySchema, HttpConnectionManagerSchema, TcpProxySchema);
/** Where Envoy's own extensions and those of Istio's Envoy have their names. */
const EXTENSION = /^(?:type\.googleapis\.com|type\.envoyproxy\.io)?\/?(?:envoy|udpa|xds|google|istio|stats|io|opentelemetry|cel)\.[\w.]+$/;

/** Why `value` is not what `applyTo` names. */
export function envoyMessageFault(applyTo: string, value: Readonly<Record<string, unknown>>): string | undefined {
  const schema = MESSAGES.get(applyTo);
  if (schema === undefined) return undefined;
  const faults: string[] = [];
  const json = withoutUnknownTypes(value, faults, 0);
  if (faults[0] !== undefined) return faults[0];
  try {
    fromJson(schema, json, { ignoreUnknownFields: true, registry: REGISTRY });
    return undefined;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

const MAX_DEPTH = 100;

/** The value as JSON, an extension of a type that is not known here replaced by an empty one. */
function withoutUnknownTypes(value: unknown, faults: string[], depth: number): JsonObject {
  const copy = (child: unknown): JsonValue => {
    if (Array.isArray(child)) return child.map(copy);
    if (typeof child === "object" && child !== null) return withoutUnknownTypes(child, faults, depth + 1);
    return typeof child === "string" || typeof child === "number" || typeof child === "boolean" ? child : null;
  };
  if (depth > MAX_DEPTH) {
    faults.push("it is nested too deep");
    return {};
  }
  const entries = Object.entries(value ?? {}).map(([key, child]): [string, JsonValue] => [key, copy(child)]);
  const type = entries.find(([key]) => key === "@type")?.[1];
  if (type === undefined) return Object.fromEntries(entries);
  if (typeof type !== "string" || !EXTENSION.test(type)) faults.push(`there is no type ${JSON.stringify(type)}`);
  else if (/\.v2(?:alpha)?\./.test(type)) faults.push(`${type} is of Envoy's v2 API, which is gone`);
  const name = String(type).replace(/^.*\//, "");
  if (REGISTRY.getMessage(name) !== undefined && entries.length > 1) return Object.fromEntries(entries);
  return { "@type": "type.googleapis.com/google.protobuf.Empty", value: {} };
}
