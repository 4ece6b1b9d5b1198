// Every host that a route may name, by the namespaces that see it: of Services and of ServiceEntries.
// Source: Istio analyzers/util, InitServiceEntryHostMap and GetDestinationHost.
import type { AnalysisInput } from "./input.ts";

const CLUSTER_DOMAIN = "svc.cluster.local";
const EXPORT_TO = "networking.istio.io/exportTo";

/** A host with what is known of it. */
export interface KnownHost {
  readonly host: string;
  /** `*`, or the namespaces that see it. */
  readonly scopes: readonly string[];
  readonly ports: readonly number[];
  /** Labels that all its pods have, beside those of a subset. */
  readonly workloadLabels: Readonly<Record<string, string>>;
}

/** `reviews` in `default` is `reviews.default.svc.cluster.local`; names with a dot and wildcards are as they are. */
export function qualifiedHost(host: string, namespace: string): string {
  return host.startsWith("*") || host.includes(".") ? host : `${host}.${namespace}.${CLUSTER_DOMAIN}`;
}

/** The namespaces that `exportTo` opens a resource of `namespace` to; `["*"]` for all. */
export function exportScopes(exportTo: readonly string[], namespace: string): readonly string[] {
  if (exportTo.length === 0 || exportTo.includes("*")) return ["*"];
  return [...new Set(exportTo.map((entry) => (entry === "." ? namespace : entry)))];
}

/** All hosts of Services and ServiceEntries. */
export function knownHosts({ services, serviceEntries }: AnalysisInput): readonly KnownHost[] {
  const ofServices = services.map(({ name, namespace, annotations, spec }): KnownHost => {
    const written = annotations[EXPORT_TO] ?? "";
    const scopes = exportScopes(written === "" ? [] : written.split(",").map((entry) => entry.trim()), namespace);
    return { host: qualifiedHost(name, namespace), scopes, ports: spec.ports.map(({ port }) => port), workloadLabels: {} };
  });
  const ofEntries = serviceEntries.flatMap(({ namespace, spec }) =>
    spec.hosts.map(
      (host): KnownHost => ({
        host: qualifiedHost(host, namespace),
        scopes: exportScopes(spec.exportTo, namespace),
        ports: spec.ports.map(({ number }) => number),
        workloadLabels: spec.workloadSelector?.labels ?? {},
      }),
    ),
  );
  return [...ofServices, ...ofEntries];
}

/** The host that `name` means in a resource of `namespace`, or undefined where none is seen from there. */
export function findHost(hosts: readonly KnownHost[], name: string, namespace: string, exportTo: readonly string[]): KnownHost | undefined {
  const host = qualifiedHost(name, namespace);
  const seen = (scopes: readonly string[], from: readonly string[]): boolean => from.some((scope) => scopes.includes(scope));
  const own = exportTo.length === 0 ? [namespace] : exportTo.map((entry) => (entry === "." ? namespace : entry));
  const exact = hosts.filter((known) => known.host === host);
  const found = exact.find(({ scopes }) => scopes.includes("*")) ?? exact.find(({ scopes }) => seen(scopes, own));
  if (found !== undefined) return found;
  return hosts.find((known) => known.host.startsWith("*") && seen(known.scopes, ["*", namespace]) && host.replace(/^\*/, "").endsWith(known.host.slice(1)));
}
