// Certificates of gateways as secrets for their streams. Like all secrets they enter a snapshot after translation, whose output is printed and kept.
import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import { clientSecrets } from "../mesh/client-credentials.ts";
import { type Credential, clientCaNamed, credentialNamed, credentialNames, credentialOf } from "../mesh/credentials.ts";
import { gatewaysServedBy } from "../mesh/gateways.ts";
import type { Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { Secret } from "../model/resource.ts";
import type { SecretText } from "../model/secret.ts";
import { clientCaSecretName, gatewaySecretName } from "../translate/names.ts";
import { type EncodedResource, encodeSecret } from "./encode.ts";
import type { ProxySecrets } from "./secrets.ts";

/**
 * What a proxy needs for its Gateways, and for the destinations that it calls with certificates of DestinationRules, by name in byte order. Equal Secrets give
 * the same objects.
 */
export function gatewaySecrets(mesh: Mesh, proxy: Proxy): ReadonlyMap<string, EncodedResource> {
  if (mesh.secrets.length === 0) return NONE;
  const called = clientSecrets(mesh, proxy).flatMap(encodedSecret);
  const found = [...gatewaysServedBy(mesh, proxy).values()].flatMap((gateway) =>
    gateway.spec.servers.flatMap(({ tls }) => {
      if (tls === undefined) return [];
      const names = credentialNames(tls);
      const own = [...names, ...((tls.caCertCredentialName ?? "") === "" ? [] : [tls.caCertCredentialName ?? ""])];
      const lookups = [...own.map((name) => credentialNamed(mesh, proxy, gateway, name)), ...names.map((name) => clientCaNamed(mesh, proxy, gateway, name))];
      return lookups.flatMap((lookup) => (lookup.kind === "found" ? encoded(lookup.credential) : []));
    }),
  );
  return new Map(
    [...called, ...found].map((resource): [string, EncodedResource] => [resource.name, resource]).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
  );
}

const NONE: ReadonlyMap<string, EncodedResource> = new Map();

/** Of a proxy without an identity. */
export const NO_SECRETS: ProxySecrets = { resources: NONE, awaited: new Set() };

/** Both kinds of secrets of a proxy; the same object for the same two, as streams compare them by identity. */
export function createSecretJoiner(): (proxyId: string, identity: ProxySecrets, gateway: ReadonlyMap<string, EncodedResource> | undefined) => ProxySecrets {
  const made = new Map<string, { readonly identity: ProxySecrets; readonly gateway: string; readonly joined: ProxySecrets }>();
  return (proxyId, identity, gateway) => {
    if (gateway === undefined || gateway.size === 0) return identity;
    const key = [...gateway.values()].map(({ name, version }) => `${name} ${version}`).join("\n");
    const known = made.get(proxyId);
    if (known !== undefined && known.identity === identity && known.gateway === key) return known.joined;
    const joined = { ...identity, resources: new Map([...identity.resources, ...gateway]) };
    made.set(proxyId, { identity, gateway: key, joined });
    return joined;
  };
}

function encodedSecret(secret: Secret): readonly EncodedResource[] {
  const lookup = credentialOf(secret);
  return lookup.kind === "found" ? encoded(lookup.credential) : [];
}

const ENCODED = new WeakMap<Secret, readonly EncodedResource[]>();

function encoded({ secret, certificate, clientCa }: Credential): readonly EncodedResource[] {
  const known = ENCODED.get(secret);
  if (known !== undefined) return known;
  const inline = (text: SecretText) => ({ specifier: { case: "inlineBytes" as const, value: new TextEncoder().encode(text.reveal()) } });
  const resources = [
    ...(certificate === undefined
      ? []
      : [
          resource(gatewaySecretName(secret), {
            case: "tlsCertificate",
            value: { certificateChain: inline(certificate.chain), privateKey: inline(certificate.key) },
          }),
        ]),
    ...(clientCa === undefined ? [] : [resource(clientCaSecretName(secret), { case: "validationContext", value: { trustedCa: inline(clientCa) } })]),
  ];
  ENCODED.set(secret, resources);
  return resources;
}

function resource(name: string, type: NonNullable<Parameters<typeof create<typeof SecretSchema>>[1]>["type"]): EncodedResource {
  const body = toBinary(SecretSchema, create(SecretSchema, { name, ...(type === undefined ? {} : { type }) }));
  return encodeSecret(name, createHash("sha256").update(body).digest("hex").slice(0, 16), body);
}
