// ServiceEntries that need an address (IST0134), and several that contradict each other in a port's protocol (IST0177).
// Source: Istio analyzers/serviceentry.
import type { ServiceEntry } from "../model/resource.ts";
import type { Finding } from "./finding.ts";
import { type AnalysisInput, fieldOf } from "./input.ts";
import { exportScopes } from "./service-hosts.ts";

/** TCP carries no host, so that the address alone can say what was called. */
export function serviceEntryAddresses(input: AnalysisInput): readonly Finding[] {
  const { proxyMetadata } = input.mesh;
  const isAllocated =
    proxyMetadata.ISTIO_META_DNS_CAPTURE === "true" &&
    (proxyMetadata.ISTIO_META_DNS_AUTO_ALLOCATE === "true" || proxyMetadata.PILOT_ENABLE_IP_AUTOALLOCATE === "true");
  if (isAllocated || input.platform === "weft") return [];
  return input.serviceEntries
    .filter((entry) => entry.spec.addresses.length === 0 && !hasAllocated(input, entry))
    .flatMap((subject) =>
      subject.spec.ports.flatMap(({ protocol = "", number }, index): readonly Finding[] => {
        if (protocol !== "" && protocol.toUpperCase() !== "TCP") return [];
        const path = ["spec", "ports", index];
        const what = `port ${number} is TCP, and connections to it can be told apart by their address alone`;
        return [{ code: "IST0134", severity: "warning", subject, path, what, fix: "add `addresses:`, or give the port an HTTP or TLS protocol" }];
      }),
    );
}

/** Whether a cluster has written addresses into the status. */
function hasAllocated({ documents }: AnalysisInput, { namespace, name }: ServiceEntry): boolean {
  const document = documents.find((candidate) => candidate.kind === "ServiceEntry" && candidate.namespace === namespace && candidate.name === name);
  const addresses = fieldOf(fieldOf(document?.content, "status"), "addresses");
  return Array.isArray(addresses) && addresses.length > 0;
}

/** One host and port with two protocols, seen from the same namespace. */
export function serviceEntryProtocols({ serviceEntries }: AnalysisInput): readonly Finding[] {
  const byHost = new Map<string, { readonly entry: ServiceEntry; readonly protocol: string; readonly scopes: readonly string[]; readonly index: number }[]>();
  for (const entry of serviceEntries) {
    const scopes = exportScopes(entry.spec.exportTo, entry.namespace);
    for (const host of entry.spec.hosts) {
      for (const [index, { number, protocol = "" }] of entry.spec.ports.entries()) {
        const key = `${host}:${number}`;
        byHost.set(key, [...(byHost.get(key) ?? []), { entry, protocol: protocol.toUpperCase(), scopes, index }]);
      }
    }
  }
  const reported = new Set<ServiceEntry>();
  return [...byHost].flatMap(([key, uses]) =>
    uses.flatMap(({ entry, protocol, scopes, index }): readonly Finding[] => {
      const rival = uses.find((other) => other.protocol !== protocol && isSeenTogether(scopes, other.scopes));
      if (rival === undefined || reported.has(entry)) return [];
      reported.add(entry);
      const other = rival.entry === entry ? "itself" : `${rival.entry.namespace}/${rival.entry.name}`;
      const what = `${key} is ${protocol || "of no protocol"} here and ${rival.protocol || "of no protocol"} in ${other}`;
      return [{ code: "IST0177", severity: "warning", subject: entry, path: ["spec", "ports", index], what, fix: "give it one protocol" }];
    }),
  );
}

function isSeenTogether(a: readonly string[], b: readonly string[]): boolean {
  return a.includes("*") || b.includes("*") || a.some((scope) => b.includes(scope));
}
