// ServerTLSSettings of a Gateway's server. Source: Istio validateTLSOptions.
import type { GatewayServer } from "../model/gateway.ts";
import { nearest } from "../model/nearest.ts";
import type { FieldPath } from "../model/resource.ts";
import { error, type Problem, warning } from "./problem.ts";

type ServerTls = NonNullable<GatewayServer["tls"]>;

/** `tls` of a server. */
export function checkServerTls(tls: ServerTls | undefined, path: FieldPath): readonly Problem[] {
  if (tls === undefined) return [];
  const mode = tls.mode ?? "PASSTHROUGH";
  const versions = checkCiphers(tls, path);
  if (mode === "ISTIO_MUTUAL") return [...versions, ...checkIstioMutual(tls, path)];
  if (mode === "PASSTHROUGH" || mode === "AUTO_PASSTHROUGH")
    return [...versions, ...checkPassthrough(tls, mode, path), ...checkSources(tls, path), ...checkCrl(tls, mode, path)];
  const byReference = (tls.credentialName ?? "") !== "" || tls.credentialNames.length > 0;
  // Certificates that come by reference are not the Gateway's to check.
  return [...versions, ...checkSources(tls, path), ...(byReference ? [] : [...checkCertificates(tls, mode, path), ...checkCrl(tls, mode, path)])];
}

const CERTIFICATE_FIELDS = ["serverCertificate", "privateKey", "caCertificates", "tlsCertificates", "credentialName", "credentialNames"] as const;

function isSet(value: string | readonly unknown[] | undefined): boolean {
  return value !== undefined && value.length > 0;
}

function checkIstioMutual(tls: ServerTls, path: FieldPath): readonly Problem[] {
  return CERTIFICATE_FIELDS.filter((field) => isSet(tls[field])).map((field) =>
    error("WEFT0393", [...path, field], `mode ISTIO_MUTUAL uses the mesh's own certificates and takes no ${field}`, "remove it"),
  );
}

function checkPassthrough(tls: ServerTls, mode: string, path: FieldPath): readonly Problem[] {
  if (![...CERTIFICATE_FIELDS, "caCrl" as const].some((field) => isSet(tls[field]))) return [];
  return [warning("WEFT0393", path, `mode ${mode} opens no TLS, so that its certificates are not used`, "set mode: SIMPLE, or remove them")];
}

function checkSources(tls: ServerTls, path: FieldPath): readonly Problem[] {
  const files = isSet(tls.serverCertificate) && isSet(tls.privateKey);
  const sources = [files, isSet(tls.credentialName), isSet(tls.credentialNames), isSet(tls.tlsCertificates)].filter(Boolean);
  if (sources.length < 2) return [];
  return [
    error(
      "WEFT0393",
      path,
      "the certificates come from more than one place",
      "keep one of credentialName, credentialNames, tlsCertificates, serverCertificate with privateKey",
    ),
  ];
}

/** SIMPLE, MUTUAL and OPTIONAL_MUTUAL with certificates in files. */
function checkCertificates(tls: ServerTls, mode: string, path: FieldPath): readonly Problem[] {
  const problems: Problem[] = [];
  if (mode !== "SIMPLE" && !isSet(tls.caCertificates))
    problems.push(error("WEFT0393", path, `mode ${mode} needs the clients' CA`, "set caCertificates, or credentialName"));
  if (tls.tlsCertificates.length > 2)
    problems.push(warning("WEFT0393", [...path, "tlsCertificates"], "at most two certificates are used", "remove the others"));
  const certificates = tls.tlsCertificates.length > 0 ? tls.tlsCertificates : [tls];
  for (const [index, { serverCertificate, privateKey }] of certificates.entries()) {
    const at = tls.tlsCertificates.length > 0 ? [...path, "tlsCertificates", index] : path;
    if (!isSet(serverCertificate)) problems.push(error("WEFT0393", at, `mode ${mode} needs a server certificate`, "set serverCertificate, or credentialName"));
    if (!isSet(privateKey)) problems.push(error("WEFT0393", at, `mode ${mode} needs a private key`, "set privateKey, or credentialName"));
  }
  return problems;
}

function checkCrl(tls: ServerTls, mode: string, path: FieldPath): readonly Problem[] {
  if (!isSet(tls.caCrl)) return [];
  const problems: Problem[] = [];
  if (isSet(tls.credentialName)) problems.push(error("WEFT0393", [...path, "caCrl"], "with credentialName the CRL stands in the credential", "remove caCrl"));
  if (mode === "SIMPLE")
    problems.push(
      error(
        "WEFT0393",
        [...path, "caCrl"],
        "mode SIMPLE asks clients for no certificate, so that there is none to revoke",
        "set mode: MUTUAL, or remove caCrl",
      ),
    );
  return problems;
}

const CIPHERS: ReadonlySet<string> = new Set([
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA",
  "ECDHE-ECDSA-AES256-SHA",
  "ECDHE-RSA-AES256-SHA",
  "AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-SHA",
  "AES256-SHA",
  "DES-CBC3-SHA",
]);

function checkCiphers(tls: ServerTls, path: FieldPath): readonly Problem[] {
  const problems: Problem[] = [];
  if ((tls.minProtocolVersion === "TLSV1_0" || tls.minProtocolVersion === "TLSV1_1") && tls.cipherSuites.length === 0) {
    problems.push(
      warning(
        "WEFT0394",
        [...path, "minProtocolVersion"],
        `the default cipher suites do not work with ${tls.minProtocolVersion}`,
        "name fitting cipherSuites, or use TLSV1_2",
      ),
    );
  }
  const seen = new Set<string>();
  for (const [index, suite] of tls.cipherSuites.entries()) {
    const at = [...path, "cipherSuites", index];
    // BoringSSL's expressions (`-X`, `[A|B]`) are taken as they are.
    const known = suite === "" || suite === "ALL" || !/^[\p{L}\p{N}]/u.test(suite) || CIPHERS.has(suite);
    const meant = known ? undefined : nearest(suite, CIPHERS);
    if (!known)
      problems.push(
        warning("WEFT0394", at, `there is no cipher suite "${suite}", it is ignored`, meant === undefined ? "remove it" : `did you mean \`${meant}\``),
      );
    else if (seen.has(suite)) problems.push(warning("WEFT0394", at, `the cipher suite "${suite}" stands twice`, "remove one"));
    seen.add(suite);
  }
  return problems;
}
