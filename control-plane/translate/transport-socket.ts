// Mutual TLS between proxies of the mesh, as transport sockets: what a cluster calls with, and what an inbound filter chain answers with. The certificates
// themselves are not here: both sides name them, and the certificate authority supplies them on the proxy's own stream.
import type { JsonObject } from "@bufbuild/protobuf";
import type { Cluster_TransportSocketMatchSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import type { TransportSocketSchema } from "../gen/envoy/config/core/v3/base_pb.js";
import { RawBufferSchema } from "../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js";
import {
  SubjectAltNameMatcher_SanType,
  type SubjectAltNameMatcherSchema,
  TlsParameters_TlsProtocol,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
import type { SdsSecretConfigSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import { type CommonTlsContextSchema, DownstreamTlsContextSchema, UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { packAny } from "./any.ts";
import { nameMatcher } from "./client-tls.ts";
import { ADS_WITHOUT_LIMIT } from "./config-source.ts";
import type { Init } from "./init.ts";
import { type ClusterKey, LEAF_SECRET, ROOTS_SECRET } from "./names.ts";

const TLS = "envoy.transport_sockets.tls";

/** What goes on inside the connection; `any-http`: whichever version the request came in. */
export type InnerProtocol = "http" | "http2" | "any-http" | "tcp";

/** By what the metadata of an endpoint say it, Envoy chooses the transport to it. */
const SOCKET_MATCH = "envoy.transport_socket_match";
const PLAIN = { plain: true };

/** Metadata of an endpoint that takes no mutual TLS: most take it, so that most have no byte of this. */
export const PLAIN_ENDPOINT: Readonly<Record<string, JsonObject>> = { [SOCKET_MATCH]: PLAIN };

/** The transport to endpoints with {@link PLAIN_ENDPOINT}. All clusters with mutual TLS have it, so that an endpoint without a sidecar changes no cluster. */
export const PLAIN_SOCKET_MATCH: Init<typeof Cluster_TransportSocketMatchSchema> & { readonly transportSocket: Init<typeof TransportSocketSchema> } = {
  name: "plain",
  match: PLAIN,
  transportSocket: { name: "envoy.transport_sockets.raw_buffer", configType: { case: "typedConfig", value: packAny(RawBufferSchema, {}) } },
};

export interface UpstreamMutualTls {
  /** Where the connection goes; becomes the SNI. */
  readonly key: Pick<ClusterKey, "port" | "subset" | "hostname">;
  readonly protocol: InnerProtocol;
  /**
   * Names that the server's certificate must have one of: the SPIFFE ids of the endpoints' service accounts, or a rule's `subjectAltNames`. Sorted, so that the
   * same set gives the same bytes. Empty: any certificate of the mesh will do, which no cluster should ask for.
   */
  readonly spiffeIds: readonly string[];
  /** Default: Istio's, made of the key. */
  readonly sni?: string;
}

/** The transport socket of a cluster to workloads with a sidecar (Istio's ISTIO_MUTUAL). */
export function upstreamMutualTls({ key, protocol, spiffeIds, sni = sniOf(key) }: UpstreamMutualTls): Init<typeof TransportSocketSchema> {
  const names = [...spiffeIds].sort().map(nameMatcher);
  const alpnProtocols = ["istio", ...INNER_ALPN[protocol]];
  const context = { sni, commonTlsContext: { ...commonContext(names), alpnProtocols } };
  return { name: TLS, configType: { case: "typedConfig", value: packAny(UpstreamTlsContextSchema, context) } };
}

/**
 * What a client offers besides "istio", which is in no server's list: it tells filter chains apart. The server picks the first of its own list that it finds, and
 * where there is none it reads the version from the first bytes.
 */
const INNER_ALPN: Readonly<Record<InnerProtocol, readonly string[]>> = { http: ["http/1.1"], http2: ["h2"], "any-http": [], tcp: [] };

/**
 * The transport socket of an inbound filter chain that mutual TLS alone may enter: whoever has no certificate of these trust domains is refused in the
 * handshake. Who may do what is for RBAC, which reads the same certificate.
 */
export function downstreamMutualTls({
  trustDomains,
  protocol,
}: {
  readonly trustDomains: readonly string[];
  readonly protocol: InnerProtocol;
}): Init<typeof TransportSocketSchema> {
  const names = trustDomains.map((domain) => uriMatcher({ case: "prefix", value: `spiffe://${domain}/` }));
  const alpnProtocols = protocol === "tcp" ? [] : ["h2", "http/1.1"];
  const context = { requireClientCertificate: true, commonTlsContext: { ...commonContext(names), alpnProtocols } };
  return { name: TLS, configType: { case: "typedConfig", value: packAny(DownstreamTlsContextSchema, context) } };
}

/** Istio's: `outbound_.80_.v1_.reviews.default.svc.cluster.local`. */
export function sniOf({ port, subset, hostname }: Pick<ClusterKey, "port" | "subset" | "hostname">): string {
  return `outbound_.${port}_.${subset}_.${hostname}`;
}

/** Both ends are Envoys of the mesh: nothing older than TLS 1.3 is needed, and Envoy as a client goes no further than 1.2 by itself. */
function commonContext(matchTypedSubjectAltNames: readonly Init<typeof SubjectAltNameMatcherSchema>[]): Init<typeof CommonTlsContextSchema> {
  return {
    tlsParams: { tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3, tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3 },
    tlsCertificateSdsSecretConfigs: [secretOf(LEAF_SECRET)],
    validationContextType: {
      case: "combinedValidationContext",
      value: {
        defaultValidationContext: { matchTypedSubjectAltNames: [...matchTypedSubjectAltNames] },
        validationContextSdsSecretConfig: secretOf(ROOTS_SECRET),
      },
    },
  };
}

/** A listener without its certificate would refuse everybody: it waits, without Envoy's limit of 15 s. */
function secretOf(name: string): Init<typeof SdsSecretConfigSchema> {
  return { name, sdsConfig: ADS_WITHOUT_LIMIT };
}

function uriMatcher(matchPattern: { readonly case: "exact" | "prefix"; readonly value: string }): Init<typeof SubjectAltNameMatcherSchema> {
  return { sanType: SubjectAltNameMatcher_SanType.URI, matcher: { matchPattern } };
}
