// TLS to a destination outside of the mesh's own certificates: a DestinationRule's tls (SIMPLE, MUTUAL) to Envoy's transport socket.
import type { TransportSocketSchema } from "../gen/envoy/config/core/v3/base_pb.js";
import type { UpstreamHttpProtocolOptionsSchema } from "../gen/envoy/config/core/v3/protocol_pb.js";
import {
  type CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType as SanType,
  type SubjectAltNameMatcherSchema,
  TlsParameters_TlsProtocol,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
import type { SdsSecretConfigSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import { type CommonTlsContextSchema, UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import type { ClientCredential } from "../mesh/client-credentials.ts";
import type { Host, PortProtocol } from "../mesh/mesh.ts";
import type { EffectivePolicy } from "../mesh/policy.ts";
import { isHttp } from "../mesh/services.ts";
import { isIpAddress } from "../mesh/workload-entries.ts";
import { packAny } from "./any.ts";
import { ADS } from "./config-source.ts";
import { duration } from "./duration.ts";
import type { Init } from "./init.ts";
import { clientCaSecretName, gatewaySecretName } from "./names.ts";

export type TransportSocketInit = Init<typeof TransportSocketSchema>;
type Tls = NonNullable<EffectivePolicy["tls"]>;

/** What TLS adds to a cluster. */
export interface ClientTls {
  readonly socket: TransportSocketInit;
  /** Options of HTTP that take server name and certificate's name from the request. */
  readonly http: Init<typeof UpstreamHttpProtocolOptionsSchema>;
  /** Whether names of requests are not all verified. */
  readonly insecure: boolean;
}

/** Where TLS goes. */
export interface TlsTarget {
  readonly host: Host | undefined;
  readonly protocol: PortProtocol;
  /** HTTP/2 is spoken inside. */
  readonly http2: boolean;
  /** What the rule's credentialName means for the proxy. */
  readonly credential: ClientCredential | undefined;
  readonly defaults: "weft" | "istio";
  /** The file of the roots that the proxy's machine trusts. */
  readonly systemRoots: string;
}

/** After it, a proxy goes on without the secret: its cluster then answers 503. */
const SECRET_WAIT_MS = 5_000;

/** TLS as written; undefined where the connection is in plain text, or where the mesh's own certificates are used. */
export function clientTls(tls: Tls | undefined, target: TlsTarget): ClientTls | undefined {
  if (tls === undefined || (tls.mode !== "SIMPLE" && tls.mode !== "MUTUAL")) return undefined;
  const { host, protocol, defaults } = target;
  // Behind a port that is called https there is HTTP where the proxy is to speak TLS itself.
  const http = isHttp(protocol) || protocol === "tls";
  // Bytes carry no name, so without one the server could not tell which certificate to show, and any would do.
  const known = defaults === "weft" && !http && host?.external === true && !host.hostname.startsWith("*") ? host.hostname : undefined;
  const sni = tls.sni || known;
  const skips = tls.insecureSkipVerify === true;
  const written = tls.subjectAltNames.length > 0 ? tls.subjectAltNames : (host?.subjectAltNames ?? []);
  const names = written.length > 0 || sni === undefined || http ? written : [sni];
  const autoSni = http && !tls.sni;
  const dynamic = host?.resolution === "dynamic-dns" || host?.hostname.startsWith("*") === true;
  // Source: Istio, setAutoSniAndAutoSanValidation.
  const autoSanValidation = http && !skips && (dynamic || (autoSni && names.length === 0));
  const commonTlsContext = tlsContext(tls, names, target);
  return {
    socket: {
      name: "envoy.transport_sockets.tls",
      configType: { case: "typedConfig", value: packAny(UpstreamTlsContextSchema, { commonTlsContext, ...(sni ? { sni } : {}) }) },
    },
    http: { ...(autoSni ? { autoSni } : {}), ...(autoSanValidation ? { autoSanValidation } : {}) },
    insecure: !autoSni || !autoSanValidation,
  };
}

type ContextInit = Init<typeof CommonTlsContextSchema>;

function tlsContext(tls: Tls, names: readonly string[], { credential, http2, systemRoots }: TlsTarget): ContextInit {
  const base: ContextInit = {
    tlsParams: { tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2, tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3 },
    ...(http2 ? { alpnProtocols: ["h2"] } : {}),
  };
  return { ...base, ...(credential === undefined ? fromFiles(tls, names, systemRoots) : fromSecrets(credential, names)) };
}

/** Keys never stand in a resource: what a Secret holds comes by SDS. */
function fromSecrets({ identity, roots }: ClientCredential, names: readonly string[]): ContextInit {
  return {
    ...(identity === undefined ? {} : { tlsCertificateSdsSecretConfigs: [bySds(gatewaySecretName(identity))] }),
    validationContextType:
      roots === undefined
        ? { case: "validationContext", value: {} }
        : {
            case: "combinedValidationContext",
            value: { defaultValidationContext: namesOf(names), validationContextSdsSecretConfig: bySds(clientCaSecretName(roots)) },
          },
  };
}

/** Files beside the proxy. Without roots of its own a client trusts those of the system, as in Istio. */
function fromFiles(tls: Tls, names: readonly string[], systemRoots: string): ContextInit {
  const file = (filename: string) => ({ specifier: { case: "filename", value: filename } }) as const;
  const { clientCertificate, privateKey, caCertificates, caCrl } = tls;
  const identity =
    tls.mode === "MUTUAL" && clientCertificate && privateKey ? { certificateChain: file(clientCertificate), privateKey: file(privateKey) } : undefined;
  const roots: Init<typeof CertificateValidationContextSchema> =
    caCertificates && caCertificates !== "system" ? { trustedCa: file(caCertificates) } : { trustedCa: file(systemRoots) };
  return {
    ...(identity === undefined ? {} : { tlsCertificates: [identity] }),
    validationContextType: {
      case: "validationContext",
      value: tls.insecureSkipVerify === true ? {} : { ...roots, ...namesOf(names), ...(caCrl ? { crl: file(caCrl) } : {}) },
    },
  };
}

function bySds(name: string): Init<typeof SdsSecretConfigSchema> {
  return { name, sdsConfig: { ...ADS, initialFetchTimeout: duration(SECRET_WAIT_MS) } };
}

/** Names that the server's certificate may carry; none: any. */
function namesOf(names: readonly string[]): Init<typeof CertificateValidationContextSchema> {
  return names.length === 0 ? {} : { matchTypedSubjectAltNames: names.map(nameMatcher) };
}

/** A name in a certificate, by the kind that its text shows. */
export function nameMatcher(name: string): Init<typeof SubjectAltNameMatcherSchema> {
  const sanType = name.includes("://") ? SanType.URI : isIpAddress(name) ? SanType.IP_ADDRESS : SanType.DNS;
  return { sanType, matcher: { matchPattern: { case: "exact", value: name } } };
}
