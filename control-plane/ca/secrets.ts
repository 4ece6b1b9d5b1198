// Certificates as Envoy takes them on its stream: `Secret` messages, with the versions that say when they are due.
import { create, toBinary } from "@bufbuild/protobuf";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import { type EncodedResource, encodeSecret } from "../snapshot/encode.ts";
import { LEAF_SECRET, ROOTS_SECRET } from "../translate/names.ts";
import type { Leaf } from "./certificates.ts";
import { bundleVersion, leafVersion } from "./sds-version.ts";

/** The secret {@link LEAF_SECRET}: chain and private key. */
export function leafSecret(leaf: Leaf): EncodedResource {
  const inline = (text: string) => ({ specifier: { case: "inlineBytes" as const, value: new TextEncoder().encode(text) } });
  const tlsCertificate = { certificateChain: inline(leaf.chainPem), privateKey: inline(leaf.privateKey.reveal()) };
  const message = create(SecretSchema, { name: LEAF_SECRET, type: { case: "tlsCertificate", value: tlsCertificate } });
  return encodeSecret(LEAF_SECRET, leafVersion(leaf), toBinary(SecretSchema, message));
}

/** The secret {@link ROOTS_SECRET}: whom to trust. */
export function rootsSecret(roots: readonly string[]): EncodedResource {
  const trustedCa = { specifier: { case: "inlineBytes" as const, value: new TextEncoder().encode(roots.join("")) } };
  const message = create(SecretSchema, { name: ROOTS_SECRET, type: { case: "validationContext", value: { trustedCa } } });
  return encodeSecret(ROOTS_SECRET, bundleVersion(roots), toBinary(SecretSchema, message));
}
