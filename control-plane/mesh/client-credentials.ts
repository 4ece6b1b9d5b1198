// Certificates that proxies call with: the Secrets that a DestinationRule's tls names by credentialName, looked up for each proxy.
import type { TrafficPolicy } from "../model/destination-rule.ts";
import type { DestinationRule, FieldPath, Secret } from "../model/resource.ts";
import { type CredentialLookup, clientCaNamed, credentialNamed } from "./credentials.ts";
import { isExported } from "./hosts.ts";
import type { Proxy } from "./instance.ts";
import type { Mesh } from "./mesh.ts";
import { carries } from "./selection.ts";

type Tls = NonNullable<TrafficPolicy["tls"]>;
type Caller = Pick<Proxy, "kind" | "namespace">;

/** What a proxy presents, and by what it judges the server. Absent: not asked for. `unusable`: why connections cannot be made, without a full stop. */
export interface ClientCredential {
  readonly identity?: Secret;
  readonly roots?: Secret;
  readonly unusable?: string;
}

/**
 * The credential of a rule's tls for a proxy; undefined where it names none, or files that may be there. Looked up in the proxy's own namespace, as in Istio: a rule that is exported does
 * not export its Secret.
 */
export function clientCredential(mesh: Mesh, proxy: Caller, tls: Tls | undefined): ClientCredential | undefined {
  if (tls === undefined || (tls.mode !== "SIMPLE" && tls.mode !== "MUTUAL")) return undefined;
  if (!tls.credentialName) {
    const absent = clientFiles(tls).find((file) => mesh.absentFiles.has(file));
    return absent === undefined ? undefined : { unusable: `there is no file ${absent} on this machine` };
  }
  const identity = tls.mode === "MUTUAL" ? credentialNamed(mesh, proxy, proxy, tls.credentialName) : undefined;
  const roots = tls.insecureSkipVerify === true ? undefined : clientCaNamed(mesh, proxy, proxy, tls.credentialName);
  const unusable = [identity, roots].flatMap((lookup) => (lookup?.kind === "unusable" ? [lookup.what] : []))[0];
  if (unusable !== undefined) return { unusable };
  if (identity?.kind === "found" && identity.credential.certificate === undefined)
    return { unusable: `the Secret ${tls.credentialName} has no tls.crt with tls.key` };
  return { ...secretAs("identity", identity), ...secretAs("roots", roots) };
}

/** Files of the proxy's machine that it calls with. */
export function clientFiles(tls: Tls | undefined): readonly string[] {
  if (tls === undefined || tls.credentialName || (tls.mode !== "SIMPLE" && tls.mode !== "MUTUAL")) return [];
  const { mode, clientCertificate, privateKey, caCertificates, caCrl, insecureSkipVerify } = tls;
  const identity = mode === "MUTUAL" && clientCertificate && privateKey ? [clientCertificate, privateKey] : [];
  const roots = insecureSkipVerify === true || caCertificates === "system" ? [] : [caCertificates, caCrl];
  return [...identity, ...roots].filter((file): file is string => file !== undefined && file !== "");
}

function secretAs<Key extends "identity" | "roots">(key: Key, lookup: CredentialLookup | undefined): Partial<Record<Key, Secret>> {
  const found: Partial<Record<Key, Secret>> = {};
  if (lookup?.kind === "found") found[key] = lookup.credential.secret;
  return found;
}

/** All Secrets that a proxy may call with: those of the rules that hold for it. */
export function clientSecrets(mesh: Mesh, proxy: Pick<Proxy, "kind" | "namespace" | "labels">): readonly Secret[] {
  if (mesh.secrets.length === 0) return [];
  const credentials = rulesWithCredentials(mesh)
    .filter((rule) => holdsFor(rule, proxy))
    .flatMap((rule) => tlsSettings(rule).map(({ tls }) => clientCredential(mesh, proxy, tls)));
  return [
    ...new Set(credentials.flatMap((credential) => [credential?.identity, credential?.roots].flatMap((secret) => (secret === undefined ? [] : [secret])))),
  ];
}

const NAMING = new WeakMap<Mesh, readonly DestinationRule[]>();

function rulesWithCredentials(mesh: Mesh): readonly DestinationRule[] {
  const known = NAMING.get(mesh) ?? [...mesh.destinationRules.values()].flat().filter((rule) => tlsSettings(rule).some(({ tls }) => tls.credentialName));
  NAMING.set(mesh, known);
  return known;
}

/** Whether a rule may say something about what a proxy calls. */
export function holdsFor({ namespace, spec }: DestinationRule, proxy: Pick<Proxy, "namespace" | "labels">): boolean {
  if (spec.workloadSelector !== undefined) return namespace === proxy.namespace && carries(proxy.labels, spec.workloadSelector.matchLabels);
  return isExported(spec.exportTo, namespace, proxy.namespace);
}

/** Every tls that a rule writes, for its ports and subsets too, with its place. */
export function tlsSettings({ spec }: DestinationRule): readonly PlacedTls[] {
  const { trafficPolicy, subsets } = spec;
  return [
    ...ofPolicy(trafficPolicy, ["spec", "trafficPolicy"]),
    ...subsets.flatMap((subset, index) => ofPolicy(subset.trafficPolicy, ["spec", "subsets", index, "trafficPolicy"])),
  ];
}

/** A tls, and where it stands in the document. */
interface PlacedTls {
  readonly tls: Tls;
  readonly path: FieldPath;
}

function ofPolicy(policy: TrafficPolicy | undefined, path: FieldPath): readonly PlacedTls[] {
  if (policy === undefined) return [];
  const ports = policy.portLevelSettings.map(({ tls }, index) => ({ tls, path: [...path, "portLevelSettings", index, "tls"] }));
  return [{ tls: policy.tls, path: [...path, "tls"] }, ...ports].flatMap(({ tls, path: at }) => (tls === undefined ? [] : [{ tls, path: at }]));
}
