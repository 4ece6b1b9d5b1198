// Certificates that Gateways name, found among the mesh's Secrets and looked at before a proxy gets them: one whose key does not fit would keep a port shut.
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { GatewayServer } from "../model/gateway.ts";
import type { Gateway, Secret } from "../model/resource.ts";
import type { SecretText } from "../model/secret.ts";
import type { Proxy } from "./instance.ts";
import type { Mesh } from "./mesh.ts";

/** A Secret's content that can be used. */
export interface Credential {
  readonly secret: Secret;
  readonly certificate?: { readonly chain: SecretText; readonly key: SecretText };
  /** Whose certificates clients must carry. */
  readonly clientCa?: SecretText;
}

export type CredentialLookup =
  | { readonly kind: "found"; readonly credential: Credential }
  /** `what` says why it cannot be used, without a full stop. */
  | { readonly kind: "unusable"; readonly what: string };

/** Istio's keys of a Secret, the ones of `kubectl create secret tls` first. Source: Istio, pilot/pkg/credentials/kube. */
const KEYS = { chain: ["tls.crt", "cert"], key: ["tls.key", "key"], clientCa: ["ca.crt", "cacert"] } as const;

/**
 * The Secret of a name: in the gateway proxy's namespace, as in Istio, else beside the Gateway, since on a laptop a proxy is in no namespace of its own.
 * Of several Secrets that a Gateway names each is looked up alone.
 */
export function credentialNamed(mesh: Mesh, proxy: Pick<Proxy, "namespace">, gateway: Pick<Gateway, "namespace">, name: string): CredentialLookup {
  const bare = name.replace(/^kubernetes:\/\//, "");
  const namespaces = [proxy.namespace, gateway.namespace];
  const secret = namespaces.flatMap((namespace) => mesh.secrets.filter((candidate) => candidate.namespace === namespace && candidate.name === bare))[0];
  if (secret === undefined)
    return { kind: "unusable", what: `there is no Secret ${[...new Set(namespaces)].map((namespace) => `${namespace}/${bare}`).join(" or ")}` };
  return credentialOf(secret);
}

/** Where clients' CAs stand: a Secret of the same name with `-cacert` behind it, else the same Secret. Source: Istio reference, ServerTLSSettings.credentialName. */
export function clientCaNamed(mesh: Mesh, proxy: Pick<Proxy, "namespace">, gateway: Pick<Gateway, "namespace">, name: string): CredentialLookup {
  const apart = credentialNamed(mesh, proxy, gateway, `${name}-cacert`);
  const lookup = apart.kind === "found" ? apart : credentialNamed(mesh, proxy, gateway, name);
  if (lookup.kind === "found" && lookup.credential.clientCa === undefined)
    return { kind: "unusable", what: `the Secret ${name} has no ca.crt, and there is no Secret ${name}-cacert` };
  return lookup;
}

/** Names of Secrets that a server's certificates come from. */
export function credentialNames(tls: NonNullable<GatewayServer["tls"]>): readonly string[] {
  const single = (tls.credentialName ?? "") === "" ? [] : [tls.credentialName ?? ""];
  return [...single, ...tls.credentialNames];
}

const INSPECTED = new WeakMap<Secret, CredentialLookup>();

/** What a Secret holds. A Secret never changes: its certificate is read once. */
export function credentialOf(secret: Secret): CredentialLookup {
  const known = INSPECTED.get(secret) ?? inspect(secret);
  INSPECTED.set(secret, known);
  return known;
}

function inspect(secret: Secret): CredentialLookup {
  const entry = (keys: readonly string[]): SecretText | undefined => keys.map((key) => secret.spec.entries[key]).find((text) => text !== undefined);
  const [chain, key, clientCa] = [entry(KEYS.chain), entry(KEYS.key), entry(KEYS.clientCa)];
  const label = `the Secret ${secret.namespace}/${secret.name}`;
  const unusable = (what: string): CredentialLookup => ({ kind: "unusable", what: `${label} ${what}` });
  if ((chain === undefined) !== (key === undefined)) return unusable(`has no ${chain === undefined ? "tls.crt" : "tls.key"}`);
  if (chain === undefined && clientCa === undefined) return unusable("holds neither tls.crt with tls.key nor ca.crt");
  if (clientCa !== undefined && certificateOf(clientCa) === undefined) return unusable("has a ca.crt that is no PEM certificate");
  if (chain === undefined || key === undefined) return { kind: "found", credential: { secret, ...(clientCa === undefined ? {} : { clientCa }) } };
  const certificate = certificateOf(chain);
  if (certificate === undefined) return unusable("has a tls.crt that is no PEM certificate");
  const privateKey = keyOf(key);
  if (privateKey === undefined) return unusable("has a tls.key that is no PEM key");
  if (!certificate.checkPrivateKey(privateKey)) return unusable("has a tls.key that does not belong to its tls.crt");
  return { kind: "found", credential: { secret, certificate: { chain, key }, ...(clientCa === undefined ? {} : { clientCa }) } };
}

function certificateOf(text: SecretText): X509Certificate | undefined {
  try {
    return new X509Certificate(text.reveal());
  } catch {
    return undefined;
  }
}

function keyOf(text: SecretText): ReturnType<typeof createPrivateKey> | undefined {
  try {
    return createPrivateKey(text.reveal());
  } catch {
    return undefined;
  }
}
