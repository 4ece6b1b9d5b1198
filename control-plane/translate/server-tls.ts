// TLS of a Gateway's server, as Envoy opens it. Certificates come by SDS where a Secret holds them, else from files of the proxy's machine.
import type { TransportSocketSchema } from "../gen/envoy/config/core/v3/base_pb.js";
import {
  type CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js";
import type { SdsSecretConfigSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import { type CommonTlsContextSchema, DownstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { clientCaNamed, credentialNamed, credentialNames } from "../mesh/credentials.ts";
import type { ServedServer } from "../mesh/gateway-servers.ts";
import type { Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { GatewayServer } from "../model/gateway.ts";
import type { Secret } from "../model/resource.ts";
import { packAny } from "./any.ts";
import { ADS } from "./config-source.ts";
import type { Init } from "./init.ts";
import { clientCaSecretName, gatewaySecretName, LEAF_SECRET, ROOTS_SECRET } from "./names.ts";

type ServerTls = NonNullable<GatewayServer["tls"]>;
type CommonTlsInit = Init<typeof CommonTlsContextSchema>;
type ValidationInit = Init<typeof CertificateValidationContextSchema>;

/** Transport socket of a server that opens TLS; whatever it needs was found by {@link ServedServer} before. */
export function serverTls(mesh: Mesh, proxy: Proxy, { gateway, server, as }: ServedServer): Init<typeof TransportSocketSchema> {
  const tls = server.tls;
  if (tls === undefined) throw new Error("a server that opens TLS has settings for it");
  const mutual = tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL" || tls.mode === "ISTIO_MUTUAL";
  const found = (name: string): readonly Secret[] => {
    const lookup = credentialNamed(mesh, proxy, gateway, name);
    return lookup.kind === "found" ? [lookup.credential.secret] : [];
  };
  const names = credentialNames(tls);
  const ca = mutual && names[0] !== undefined ? clientCaNamed(mesh, proxy, gateway, names[0]) : undefined;
  const caSecret = (tls.caCertCredentialName ?? "") !== "" ? found(tls.caCertCredentialName ?? "")[0] : ca?.kind === "found" ? ca.credential.secret : undefined;
  const context: CommonTlsInit = {
    tlsParams: {
      tlsMinimumProtocolVersion: VERSIONS[tls.minProtocolVersion ?? "TLSV1_2"],
      tlsMaximumProtocolVersion: VERSIONS[tls.maxProtocolVersion ?? "TLS_AUTO"],
      // An unknown suite would make Envoy refuse the listener; validation has named it.
      cipherSuites: tls.cipherSuites.filter((suite) => suite !== ""),
    },
    alpnProtocols: as === "https" ? ["h2", "http/1.1"] : [],
    ...certificates(tls, names.flatMap(found)),
    ...(mutual ? validation(tls, caSecret) : {}),
  };
  const typedConfig = packAny(DownstreamTlsContextSchema, { commonTlsContext: context, requireClientCertificate: mutual && tls.mode !== "OPTIONAL_MUTUAL" });
  return { name: "envoy.transport_sockets.tls", configType: { case: "typedConfig", value: typedConfig } };
}

const VERSIONS = {
  TLS_AUTO: TlsParameters_TlsProtocol.TLS_AUTO,
  TLSV1_0: TlsParameters_TlsProtocol.TLSv1_0,
  TLSV1_1: TlsParameters_TlsProtocol.TLSv1_1,
  TLSV1_2: TlsParameters_TlsProtocol.TLSv1_2,
  TLSV1_3: TlsParameters_TlsProtocol.TLSv1_3,
} as const;

function certificates(tls: ServerTls, secrets: readonly Secret[]): CommonTlsInit {
  if (tls.mode === "ISTIO_MUTUAL") return { tlsCertificateSdsSecretConfigs: [byAds(LEAF_SECRET)] };
  if (secrets.length > 0) return { tlsCertificateSdsSecretConfigs: secrets.map((secret) => byAds(gatewaySecretName(secret))) };
  const files = tls.tlsCertificates.length > 0 ? tls.tlsCertificates : [tls];
  const tlsCertificates = files.map(({ serverCertificate = "", privateKey = "" }) => ({
    certificateChain: { specifier: { case: "filename", value: serverCertificate } } as const,
    privateKey: { specifier: { case: "filename", value: privateKey } } as const,
  }));
  return { tlsCertificates };
}

function validation(tls: ServerTls, caSecret: Secret | undefined): CommonTlsInit {
  const rules: ValidationInit = {
    verifyCertificateSpki: [...tls.verifyCertificateSpki],
    verifyCertificateHash: [...tls.verifyCertificateHash],
    matchTypedSubjectAltNames: tls.subjectAltNames.flatMap((value) =>
      SAN_TYPES.map((sanType) => ({ sanType, matcher: { matchPattern: { case: "exact", value } } as const })),
    ),
    ...((tls.caCrl ?? "") === "" ? {} : { crl: { specifier: { case: "filename", value: tls.caCrl ?? "" } } }),
  };
  const name = tls.mode === "ISTIO_MUTUAL" ? ROOTS_SECRET : caSecret === undefined ? undefined : clientCaSecretName(caSecret);
  if (name === undefined) {
    const trustedCa = { specifier: { case: "filename", value: tls.caCertificates ?? "" } } as const;
    return { validationContextType: { case: "validationContext", value: { ...rules, trustedCa } } };
  }
  return {
    validationContextType: { case: "combinedValidationContext", value: { defaultValidationContext: rules, validationContextSdsSecretConfig: byAds(name) } },
  };
}

/** A name counts wherever in the certificate it stands. */
const SAN_TYPES = [
  SubjectAltNameMatcher_SanType.DNS,
  SubjectAltNameMatcher_SanType.URI,
  SubjectAltNameMatcher_SanType.EMAIL,
  SubjectAltNameMatcher_SanType.IP_ADDRESS,
];

function byAds(name: string): Init<typeof SdsSecretConfigSchema> {
  return { name, sdsConfig: ADS };
}
