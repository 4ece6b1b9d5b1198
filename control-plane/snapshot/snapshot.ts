// The last pure step: a translation in; out comes what each proxy is to hold, encoded, checked, and with what Envoy refused set aside.
import type { Diagnostic } from "../model/diagnostic.ts";
import type { ProxyResources, Translation, XdsType } from "../translate/resource.ts";
import { XDS_TYPES } from "../translate/resource.ts";
import { createEncoder, type EncodedPool, type EncodedResource } from "./encode.ts";
import { culpritsIn, type Quarantine, refusalDiagnostics, setAside, stillAsked } from "./quarantine.ts";
import { type ProxySecrets, withSecrets } from "./secrets.ts";
import { inconsistencies, ofType, type View, viewOf } from "./view.ts";

/** A cluster that nothing names any more stays this long at least: requests in a delay or between retries still hold the old route. */
export const SHORTEST_REMOVAL_DELAY_MS = 15_000;

/** What one proxy is to hold. */
export interface ProxySnapshot {
  readonly proxyId: string;
  readonly revision: number;
  readonly view: View;
  /** `type/name` of what is neither sent nor removed, because Envoy refused it and no accepted version is known. */
  readonly frozen: ReadonlySet<string>;
}

/** What the whole mesh is to hold. */
export interface Snapshot {
  /** Counts publications; larger is newer. */
  readonly revision: number;
  readonly proxies: ReadonlyMap<string, ProxySnapshot>;
  readonly diagnostics: readonly Diagnostic[];
  /** The quarantine without what translation no longer asks for: to be passed on to the next snapshot. */
  readonly quarantine: Quarantine;
  /** How long a cluster outlives the last route that named it. */
  readonly removalDelayMs: number;
  readonly pool: EncodedPool;
}

export interface SnapshotInput {
  readonly previous?: Snapshot | undefined;
  readonly translation: Translation;
  readonly quarantine: Quarantine;
  /** By proxy id, the last snapshot of which that proxy ACKed everything. */
  readonly accepted: ReadonlyMap<string, ProxySnapshot>;
  readonly revision: number;
  /** `SHORTEST_REMOVAL_DELAY_MS` plus {@link longestHoldMs} in service; tests shorten it. */
  readonly removalDelayMs?: number;
  /** What the certificate authority supplies for a proxy. Nothing in translation may `need` one of these names. Without it there are no secrets. */
  readonly secretsOf?: (proxyId: string) => ProxySecrets;
}

/**
 * Builds a snapshot. A proxy whose resources do not fit together keeps its former ones, with a diagnostic WEFT0702 (a defect of
 * translation, not of the user's YAML); a proxy without former ones is then left out, so that it goes on with what it holds.
 */
export function buildSnapshot(input: SnapshotInput): Snapshot {
  const pool: EncodedPool = new Map();
  const encode = createEncoder(input.previous?.pool ?? new Map(), pool);
  const views = new Map<ProxyResources["resources"], View>();
  const asked = new Map<string, View>();
  for (const [proxyId, { resources }] of input.translation.proxies) {
    const view = views.get(resources) ?? viewOf(resources, encode);
    views.set(resources, view);
    asked.set(proxyId, view);
  }
  const quarantine = stillAsked(input.quarantine, views.values());
  const donor = quarantine.size === 0 ? () => undefined : donorOf(input.accepted);
  const problemsOf = new Map<View, readonly string[]>();
  const proxies = new Map<string, ProxySnapshot>();
  const diagnostics: Diagnostic[] = [...input.translation.diagnostics, ...refusalDiagnostics(quarantine)];
  for (const [proxyId, view] of asked) {
    const problems = problemsOf.get(view) ?? inconsistencies(view);
    problemsOf.set(view, problems);
    if (problems.length > 0) diagnostics.push(...problems.map((problem) => inconsistent(proxyId, problem)));
    const kept = problems.length > 0 ? input.previous?.proxies.get(proxyId) : serving(view, quarantine, input.accepted.get(proxyId), donor);
    if (kept === undefined) continue;
    const former = input.previous?.proxies.get(proxyId);
    const shared = former === undefined ? kept.view : shareMaps(kept.view, former.view);
    const held = { proxyId, revision: input.revision, view: shared, frozen: kept.frozen };
    proxies.set(proxyId, input.secretsOf === undefined ? held : withSecrets(held, input.secretsOf(proxyId)));
  }
  return { revision: input.revision, proxies, diagnostics, quarantine, removalDelayMs: input.removalDelayMs ?? SHORTEST_REMOVAL_DELAY_MS, pool };
}

/** The part of a ProxySnapshot that serves. */
type Serving = Pick<ProxySnapshot, "view" | "frozen">;

const NOTHING_FROZEN: ReadonlySet<string> = new Set();

/** The view without culprits; where that does not fit together, the last that this proxy accepted as a whole. */
function serving(view: View, quarantine: Quarantine, accepted: ProxySnapshot | undefined, donor: Donor): Serving | undefined {
  if (culpritsIn(view, quarantine).length === 0) return { view, frozen: NOTHING_FROZEN };
  const mended = setAside(view, quarantine, (type, name) => accepted?.view.get(type)?.get(name) ?? donor(type, name));
  return inconsistencies(mended.view).length === 0 ? mended : accepted;
}

type Donor = (type: XdsType, name: string) => EncodedResource | undefined;

/**
 * What another proxy accepted under the same name, for a proxy that has accepted nothing yet (a new replica). Listeners and secrets are left
 * out: the same name stands for another address, or for another's key, on another proxy.
 */
function donorOf(accepted: ReadonlyMap<string, ProxySnapshot>): Donor {
  const views = [...new Set([...accepted.values()].map(({ view }) => view))];
  return (type, name) => {
    if (type === "listener" || type === "secret") return undefined;
    for (const view of views) {
      const found = view.get(type)?.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

/** Takes over the former map of a type whose versions are all the same: a stream need not compare it again. */
function shareMaps(view: View, former: View): View {
  const shared = XDS_TYPES.map((type) => {
    const [now, before] = [ofType(view, type), ofType(former, type)];
    const same = now.size === before.size && [...now].every(([name, resource]) => before.get(name) === resource);
    return [type, same ? before : now] as const;
  });
  return new Map(shared);
}

function inconsistent(proxyId: string, problem: string): Diagnostic {
  return {
    code: "WEFT0702",
    severity: "error",
    origin: { file: "(generated)", line: 1, column: 1 },
    what: `the resources of ${proxyId} do not fit together: ${problem}`,
    fix: "this is a defect of Weft: please report it with the YAML; the proxy keeps its last configuration",
  };
}
