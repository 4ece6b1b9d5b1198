// Gateways whose certificate is in no Secret (IST0101), or in one that holds none (IST0161). Source: Istio analyzers/gateway, secret.go.
import { X509Certificate } from "node:crypto";
import { type Finding, notFound } from "./finding.ts";
import { selectorNotFound } from "./gateway-ports.ts";
import { type AnalysisInput, documentsOf, fieldOf } from "./input.ts";
import { selects } from "./selection.ts";

export function gatewaySecrets(input: AnalysisInput): readonly Finding[] {
  const secrets = documentsOf(input, "", "Secret");
  return input.gateways.flatMap((gateway) => {
    const pod = input.pods.find(({ labels }) => selects(gateway.spec.selector, labels));
    if (pod === undefined && input.platform === "istio") return [selectorNotFound(gateway)];
    // Secrets lie beside the gateway's pods; where there are none, beside the Gateway.
    const namespace = pod?.namespace ?? gateway.namespace;
    return gateway.spec.servers.flatMap(({ tls }, index): readonly Finding[] => {
      const name = tls?.credentialName ?? "";
      if (name === "") return [];
      const path = ["spec", "servers", index, "tls", "credentialName"];
      const secret = secrets.find((candidate) => candidate.name === name && candidate.namespace === namespace);
      if (secret === undefined)
        return [notFound(gateway, path, `there is no Secret ${namespace}/${name}`, `create it: a Secret of type kubernetes.io/tls in namespace ${namespace}`)];
      if (holdsCertificate(secret.content, input.nowMs)) return [];
      const what = `the Secret ${namespace}/${name} holds no certificate with its key`;
      return [{ code: "IST0161", severity: "error", subject: gateway, path, what, fix: "give it tls.crt and tls.key, as PEM" }];
    });
  });
}

/** The names that Istio reads a certificate and its key by. */
const PAIRS = [
  ["tls.crt", "tls.key"],
  ["cert", "key"],
] as const;

function holdsCertificate(secret: unknown, nowMs: number): boolean {
  const textOf = (key: string): string => {
    const plain = fieldOf(fieldOf(secret, "stringData"), key);
    const encoded = fieldOf(fieldOf(secret, "data"), key);
    return typeof plain === "string" ? plain : typeof encoded === "string" ? Buffer.from(encoded, "base64").toString("utf8") : "";
  };
  const certificate = PAIRS.map(([certificateKey, privateKey]) => (textOf(privateKey) === "" ? "" : textOf(certificateKey))).find((text) => text !== "");
  return certificate !== undefined && isValidAt(certificate, nowMs);
}

function isValidAt(pem: string, nowMs: number): boolean {
  try {
    const { validFrom, validTo } = new X509Certificate(pem);
    return Date.parse(validFrom) <= nowMs && nowMs <= Date.parse(validTo);
  } catch {
    return false;
  }
}
