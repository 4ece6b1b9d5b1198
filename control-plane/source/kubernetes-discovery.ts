// Which kinds a cluster serves, in which version: the server's discovery document in, collections to watch out. It is asked again and again, so that CRDs that
// are installed while the mesh runs are noticed; an unchanged answer costs the server nothing (ETag).
// Source: Kubernetes API concepts, "Aggregated discovery" (v2, in every cluster since 1.30).

import { type Kind, KNOWN_KINDS } from "./kinds.ts";
import type { KubernetesApi } from "./kubernetes-api.ts";

/** A kind as a cluster serves it. */
export interface ServedKind {
  readonly kind: Kind;
  readonly group: string;
  readonly version: string;
  /** In paths: `virtualservices`. */
  readonly plural: string;
  readonly namespaced: boolean;
  /** Whether it has a status that is written apart from the rest. */
  readonly hasStatus: boolean;
}

const CORE: readonly ServedKind[] = [
  { kind: "Service", group: "", version: "v1", plural: "services", namespaced: true, hasStatus: true },
  { kind: "Namespace", group: "", version: "v1", plural: "namespaces", namespaced: false, hasStatus: true },
];
/** Those are the mesh's own: of other groups a cluster has more than a mesh wants to know. */
const GROUPS: ReadonlySet<string> = new Set(["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io", "weft.mesh"]);
/** Means something to a runner only. */
const LOCAL_KINDS: ReadonlySet<Kind> = new Set(["LocalRun"]);

interface DiscoveryBody {
  readonly kind?: string;
  readonly items?: readonly {
    readonly metadata?: { readonly name?: string };
    readonly versions?: readonly {
      readonly version: string;
      readonly freshness?: string;
      readonly resources?: readonly {
        readonly resource: string;
        readonly responseKind?: { readonly kind?: string };
        readonly verbs?: readonly string[];
        readonly subresources?: readonly { readonly subresource: string }[];
      }[];
    }[];
  }[];
}

/** What a discovery document has of the mesh's kinds, each in the version that Weft likes best; Services and Namespaces always. */
export function servedKinds(body: DiscoveryBody): readonly ServedKind[] {
  const found = KNOWN_KINDS.flatMap(({ kind, group, versions, namespaced }): readonly ServedKind[] => {
    if (!GROUPS.has(group) || LOCAL_KINDS.has(kind)) return [];
    const served = (body.items ?? []).find(({ metadata }) => metadata?.name === group)?.versions ?? [];
    for (const version of versions) {
      const resource = served
        .find((candidate) => candidate.version === version)
        ?.resources?.find(({ responseKind, verbs }) => responseKind?.kind === kind && verbs?.includes("watch"));
      if (resource === undefined) continue;
      const hasStatus = resource.subresources?.some(({ subresource }) => subresource === "status") ?? false;
      return [{ kind, group, version, plural: resource.resource, namespaced, hasStatus }];
    }
    return [];
  });
  return [...CORE, ...found];
}

const ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** Asks what is served now. `unchanged`: as when the etag was given. Rejects where the server cannot be asked. */
export async function discover(
  api: KubernetesApi,
  etag: string,
  signal?: AbortSignal,
): Promise<{ readonly kind: "unchanged" } | { readonly kind: "found"; readonly kinds: readonly ServedKind[]; readonly etag: string }> {
  const headers = etag === "" ? {} : { "if-none-match": etag };
  const { status, headers: answered, body } = await api.ask({ path: "/apis", accept: ACCEPT, headers, ...(signal === undefined ? {} : { signal }) });
  if (status === 304) return { kind: "unchanged" };
  const document = (body ?? {}) as DiscoveryBody;
  if (document.kind !== "APIGroupDiscoveryList")
    throw new Error("the API server does not say in one answer what it serves. Fix: Weft needs Kubernetes 1.30 or newer");
  return { kind: "found", kinds: servedKinds(document), etag: answered.etag ?? "" };
}

/** The collection of a kind, in all namespaces or in one. */
export function collectionPath({ group, version, plural, namespaced }: Omit<ServedKind, "kind" | "hasStatus">, namespace?: string): string {
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  return namespaced && namespace !== undefined ? `${root}/namespaces/${namespace}/${plural}` : `${root}/${plural}`;
}
