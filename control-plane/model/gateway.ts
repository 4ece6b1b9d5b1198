// Gateway: every field of Istio's API (1.32), typed. Rules that involve several fields live in validate/.
// Source: Istio reference, networking.istio.io/v1 Gateway.
import { z } from "zod";
import { portNumber, stringMap } from "./fields.ts";

const tlsVersion = z.enum(["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]);

export const serverTls = z.strictObject({
  httpsRedirect: z.boolean().optional(),
  mode: z.enum(["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]).optional(),
  serverCertificate: z.string().optional(),
  privateKey: z.string().optional(),
  caCertificates: z.string().optional(),
  caCrl: z.string().optional(),
  credentialName: z.string().optional(),
  credentialNames: z.array(z.string()).default([]),
  caCertCredentialName: z.string().optional(),
  tlsCertificates: z
    .array(z.strictObject({ serverCertificate: z.string().optional(), privateKey: z.string().optional(), caCertificates: z.string().optional() }))
    .default([]),
  subjectAltNames: z.array(z.string()).default([]),
  verifyCertificateSpki: z.array(z.string()).default([]),
  verifyCertificateHash: z.array(z.string()).default([]),
  minProtocolVersion: tlsVersion.optional(),
  maxProtocolVersion: tlsVersion.optional(),
  cipherSuites: z.array(z.string()).default([]),
  insecureSkipVerify: z.boolean().optional(),
});

/** 0 stands for none, which is right for a server that binds to a Unix socket. */
const serverPort = z.int().min(0).max(65_535).default(0);

const server = z.strictObject({
  /** `targetPort` is deprecated and means nothing in Istio any more. */
  port: z.strictObject({ number: serverPort, protocol: z.string().min(1), name: z.string().min(1), targetPort: portNumber.optional() }),
  bind: z.string().optional(),
  hosts: z.array(z.string()).min(1),
  tls: serverTls.optional(),
  defaultEndpoint: z.string().optional(),
  name: z.string().optional(),
});

export const gatewaySpec = z.strictObject({
  selector: stringMap.default({}),
  servers: z.array(server).default([]),
});

export type GatewaySpec = z.output<typeof gatewaySpec>;
export type GatewayServer = z.output<typeof server>;
