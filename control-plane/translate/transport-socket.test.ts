import { type DescMessage, fromBinary, toJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DownstreamTlsContextSchema, UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { downstreamMutualTls, upstreamMutualTls } from "./transport-socket.ts";

const key = { port: 80, subset: "v1", hostname: "reviews.default.svc.cluster.local" };
const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";

function contextOf(schema: DescMessage, socket: ReturnType<typeof upstreamMutualTls>): unknown {
  const { configType } = socket;
  const bytes = configType?.case === "typedConfig" ? configType.value.value : undefined;
  if (!(bytes instanceof Uint8Array)) throw new Error("no typed config");
  return toJson(schema, fromBinary(schema, bytes));
}

const SECRETS = {
  tlsCertificateSdsSecretConfigs: [{ name: "default", sdsConfig: { ads: {}, initialFetchTimeout: "0s" } }],
  tlsParams: { tlsMinimumProtocolVersion: "TLSv1_3", tlsMaximumProtocolVersion: "TLSv1_3" },
};

describe("mutual TLS of the mesh", () => {
  it.each([
    { protocol: "http" as const, alpnProtocols: ["istio", "http/1.1"] },
    { protocol: "http2" as const, alpnProtocols: ["istio", "h2"] },
    { protocol: "any-http" as const, alpnProtocols: ["istio"] },
    { protocol: "tcp" as const, alpnProtocols: ["istio"] },
  ])("calls with its own certificate, and takes only the server's identity, over $protocol", ({ protocol, alpnProtocols }) => {
    expect(contextOf(UpstreamTlsContextSchema, upstreamMutualTls({ key, protocol, spiffeIds: [REVIEWS] }))).toMatchObject({
      sni: "outbound_.80_.v1_.reviews.default.svc.cluster.local",
      commonTlsContext: {
        ...SECRETS,
        alpnProtocols,
        combinedValidationContext: {
          defaultValidationContext: { matchTypedSubjectAltNames: [{ sanType: "URI", matcher: { exact: REVIEWS } }] },
          validationContextSdsSecretConfig: { name: "ROOTCA", sdsConfig: { ads: {} } },
        },
      },
    });
  });

  it("gives the same bytes for the same identities in any order", () => {
    const sockets = [
      [REVIEWS, "spiffe://a/ns/b/sa/c"],
      ["spiffe://a/ns/b/sa/c", REVIEWS],
    ].map((spiffeIds) => upstreamMutualTls({ key, protocol: "http", spiffeIds }));
    expect(sockets[0]).toEqual(sockets[1]);
  });

  it.each([
    { protocol: "http" as const, alpnProtocols: ["h2", "http/1.1"] },
    { protocol: "tcp" as const, alpnProtocols: undefined },
  ])("lets nobody in without a certificate of the trust domain, over $protocol", ({ protocol, alpnProtocols }) => {
    const context = contextOf(DownstreamTlsContextSchema, downstreamMutualTls({ trustDomains: ["cluster.local"], protocol }));
    expect(context).toMatchObject({
      requireClientCertificate: true,
      commonTlsContext: {
        ...SECRETS,
        ...(alpnProtocols === undefined ? {} : { alpnProtocols }),
        combinedValidationContext: {
          defaultValidationContext: { matchTypedSubjectAltNames: [{ sanType: "URI", matcher: { prefix: "spiffe://cluster.local/" } }] },
        },
      },
    });
  });
});
