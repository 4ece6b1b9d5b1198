// The type URLs of the resources on a delta stream. Source: xDS protocol, "Resource Types".
import type { XdsType } from "../translate/resource.ts";

/** Type URL of each xDS type; the key set is {@link XdsType}'s, so that a new type cannot be forgotten. */
export const TYPE_URLS: Readonly<Record<XdsType, string>> = {
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
  endpoint: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  virtualHost: "type.googleapis.com/envoy.config.route.v3.VirtualHost",
  extension: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
};
