// Which Secrets a mesh needs: those that its Gateways and DestinationRules name, and no others. Objects as the API server gives them in, names out. Pure.
import type { KubernetesObject } from "./kubernetes-api.ts";

interface TlsSettings {
  readonly credentialName?: string;
  readonly credentialNames?: readonly string[];
  readonly caCertCredentialName?: string;
  readonly mode?: string;
}

interface TrafficPolicy {
  readonly tls?: TlsSettings;
  readonly portLevelSettings?: readonly { readonly tls?: TlsSettings }[];
}

interface RuleSpec {
  readonly trafficPolicy?: TrafficPolicy;
  readonly subsets?: readonly { readonly trafficPolicy?: TrafficPolicy }[];
  readonly workloadSelector?: unknown;
}

/**
 * `namespace/name` of each, sorted. As in Istio they stand in the namespaces of the proxies, here those of the gateway proxies: who may write a Gateway cannot
 * have the Secrets of his own namespace read by that. A rule for some workloads is for those of its own namespace. Where CAs may stand apart, that Secret too.
 */
export function namedSecrets(gateways: Iterable<KubernetesObject>, rules: Iterable<KubernetesObject>, gatewayNamespaces: Iterable<string>): readonly string[] {
  const found = new Set<string>();
  const near = [...new Set(gatewayNamespaces)];
  const add = (tls: TlsSettings | undefined, namespaces: readonly string[], apart: boolean): void => {
    const { credentialName = "", credentialNames = [], caCertCredentialName = "" } = tls ?? {};
    const names = [credentialName, ...credentialNames].filter((name) => name !== "");
    const authorities = apart ? names.map((name) => `${name}-cacert`) : [];
    for (const name of [...names, ...authorities, caCertCredentialName].map(bare)) {
      if (isName(name)) for (const namespace of namespaces) found.add(`${namespace}/${name}`);
    }
  };
  for (const { spec } of gateways) {
    const { servers = [] } = (spec ?? {}) as { readonly servers?: readonly { readonly tls?: TlsSettings }[] };
    for (const { tls } of servers) add(tls, near, tls?.mode?.includes("MUTUAL") ?? false);
  }
  for (const { metadata, spec } of rules) {
    const { trafficPolicy, subsets = [], workloadSelector } = (spec ?? {}) as RuleSpec;
    const namespaces = workloadSelector === undefined ? near : [...new Set([metadata.namespace ?? "default", ...near])];
    for (const policy of [trafficPolicy, ...subsets.map((subset) => subset.trafficPolicy)]) {
      for (const { tls } of [policy ?? {}, ...(policy?.portLevelSettings ?? [])]) add(tls, namespaces, true);
    }
  }
  return [...found].sort();
}

function bare(name: string): string {
  return name.replace(/^kubernetes:\/\//, "");
}

/** What stands in a Gateway may be anything; what stands in a path must be a name. */
function isName(name: string): boolean {
  return name.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name);
}
