// For each resource of the YAML that serves: which proxies need it, which of them have taken it as it is now, and what keeps the others. Pure, but for the
// log of revisions, which remembers when a resource last changed.
import type { Diagnostic, Origin } from "../model/diagnostic.ts";
import { type AnyResource, type Resources, resourceLabel } from "../model/resource.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { ProxyState } from "../xds/proxy-state.ts";

/** One proxy that needs a resource. */
export interface ProxyNeed {
  readonly proxyId: string;
  readonly connected: boolean;
  /** It has taken the resource as it is now. */
  readonly taken: boolean;
}

/** A resource as `weft get` and `weft wait` see it. */
export interface ResourceStatus {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly origin: Origin;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: unknown;
  /** Of the document that serves: the last good one where the file has an error. */
  readonly digest: string;
  /** By proxy id; empty where no proxy needs it. */
  readonly proxies: readonly ProxyNeed[];
  /** Errors about it that stand now: of the file, and of Envoys that refuse what came of it. */
  readonly problems: readonly string[];
}

/** When each resource last changed. */
export interface RevisionLog {
  /** Of a publication: a resource whose document is another one has changed with it. */
  readonly note: (resources: Resources, revision: number) => void;
  /** 0 for one that was never noted. */
  readonly changedIn: (resource: AnyResource) => number;
}

/** A log of nothing yet. */
export function createRevisionLog(): RevisionLog {
  let noted: ReadonlyMap<string, { readonly digest: string; readonly revision: number }> = new Map();
  return {
    note: (resources, revision) => {
      noted = new Map(
        allOf(resources).map((resource) => {
          const before = noted.get(resourceLabel(resource));
          return [resourceLabel(resource), before?.digest === resource.digest ? before : { digest: resource.digest, revision }];
        }),
      );
    },
    changedIn: (resource) => noted.get(resourceLabel(resource))?.revision ?? 0,
  };
}

/** Kinds that Envoy's resources name as what they come from; every proxy needs the others. */
export const TRACED: ReadonlySet<string> = new Set(["VirtualService", "DestinationRule", "Gateway", "Service", "ServiceEntry"]);
/** Kinds that say what runs: no proxy is sent anything of them. */
const NOT_SENT: ReadonlySet<string> = new Set(["Deployment", "Namespace", "LocalRun"]);

/** The status of all resources, in the order of their kinds. */
export function resourceStatuses(
  resources: Resources,
  { changedIn }: RevisionLog,
  snapshot: Snapshot,
  states: readonly ProxyState[],
  diagnostics: readonly Diagnostic[],
): readonly ResourceStatus[] {
  const needing = proxiesByOrigin(snapshot);
  const stateOf = new Map(states.map((state) => [state.proxyId, state]));
  return allOf(resources).map((resource) => {
    const { kind, namespace, name, origin, labels, annotations, spec, digest } = resource;
    const label = resourceLabel(resource);
    const ids = NOT_SENT.has(kind) ? [] : TRACED.has(kind) ? [...(needing.get(label) ?? [])] : [...snapshot.proxies.keys()];
    const proxies = ids.sort().map((proxyId) => {
      const { connected = false, ackedRevision = 0 } = stateOf.get(proxyId) ?? {};
      return { proxyId, connected, taken: connected && ackedRevision >= changedIn(resource) };
    });
    const problems = diagnostics.filter((diagnostic) => diagnostic.severity === "error" && diagnostic.resource === label).map(({ what }) => what);
    return { kind, namespace, name, origin, labels, annotations, spec, digest, proxies, problems };
  });
}

function proxiesByOrigin({ proxies }: Snapshot): ReadonlyMap<string, ReadonlySet<string>> {
  const byOrigin = new Map<string, Set<string>>();
  for (const [proxyId, { view }] of proxies) {
    for (const names of view.values()) {
      for (const { origins } of names.values()) {
        for (const { resource } of origins) byOrigin.set(resource, (byOrigin.get(resource) ?? new Set()).add(proxyId));
      }
    }
  }
  return byOrigin;
}

function allOf(resources: Resources): readonly AnyResource[] {
  return Object.values(resources).flat();
}
