// The last pure step: a translation in; out comes what each proxy is to hold, encoded, checked, and with what Envoy refused set aside.
import type { Diagnostic } from "../model/diagnostic.ts";
import type { TranslatedResource, Translation, XdsType } from "../translate/resource.ts";
import { createEncoder, type EncodedPool, type EncodedResource, versionKey } from "./encode.ts";
import { culpritsIn, type Quarantine, refusalDiagnostics, setAside, stillAsked } from "./quarantine.ts";
import { type ProxySecrets, withSecrets } from "./secrets.ts";
import { inconsistencies, inconsistenciesOfLayers, layeredView, replacedView, shareNames, type View, viewOf } from "./view.ts";

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
  /** By proxy id, what translation asked for: what the next snapshot need not encode and compare again. */
  readonly asked: ReadonlyMap<string, AskedView>;
}

/** What translation asks for of one proxy, encoded. */
interface AskedView {
  readonly sharedResources: readonly TranslatedResource[];
  /** Of {@link sharedResources}; the same object for all proxies that share them. */
  readonly shared: View;
  readonly own: View;
  readonly whole: View;
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
  const former = input.previous;
  const pool: EncodedPool = former === undefined ? new Map() : former.pool;
  const asked = askedViews(input.translation, former?.asked ?? new Map(), createEncoder(pool));
  const quarantine = stillAsked(
    input.quarantine,
    [...asked.values()].map(({ whole }) => whole),
  );
  const donor = quarantine.size === 0 ? () => undefined : donorOf(input.accepted);
  const proxies = new Map<string, ProxySnapshot>();
  const diagnostics: Diagnostic[] = [...input.translation.diagnostics, ...refusalDiagnostics(quarantine)];
  for (const [proxyId, view] of asked) {
    const served = former?.proxies.get(proxyId);
    const problems = inconsistenciesOfLayers(view, former?.asked.get(proxyId)?.shared);
    if (problems.length > 0) diagnostics.push(...problems.map((problem) => inconsistent(proxyId, problem)));
    const kept = problems.length > 0 ? served : serving(view.whole, quarantine, input.accepted.get(proxyId), donor);
    if (kept === undefined) continue;
    const shared = served === undefined ? kept.view : shareNames(kept.view, served.view);
    const held = { proxyId, revision: input.revision, view: shared, frozen: kept.frozen };
    proxies.set(proxyId, input.secretsOf === undefined ? held : withSecrets(held, input.secretsOf(proxyId)));
  }
  const { revision, removalDelayMs = SHORTEST_REMOVAL_DELAY_MS } = input;
  return { revision, proxies, diagnostics, quarantine, removalDelayMs, pool: pruned(pool, asked), asked };
}

const NOTHING: readonly TranslatedResource[] = [];

/** Encodes what is new, and takes over the views of what is not. */
function askedViews(
  { proxies }: Translation,
  former: ReadonlyMap<string, AskedView>,
  encode: (resource: TranslatedResource) => EncodedResource,
): ReadonlyMap<string, AskedView> {
  const sharedViews = new Map([...former.values()].map(({ sharedResources, shared }) => [sharedResources, shared]));
  const asked = new Map<string, AskedView>();
  for (const [proxyId, translated] of proxies) {
    const { shared: sharedResources = NOTHING } = translated;
    // The whole is a long list that is made when it is asked for.
    const ownResources = translated.own ?? translated.resources;
    const before = former.get(proxyId);
    const shared = sharedViews.get(sharedResources) ?? afterFormer(viewAfter(before, sharedResources, encode), before?.shared);
    sharedViews.set(sharedResources, shared);
    const own = afterFormer(viewOf(ownResources, encode), before?.own);
    const same = before !== undefined && before.shared === shared && before.own === own;
    asked.set(proxyId, same ? before : { sharedResources, shared, own, whole: afterFormer(layeredView(shared, own), before?.whole) });
  }
  return asked;
}

/** Lists that many proxies share are long, and seldom differ from the former ones in more than a few places. */
function viewAfter(former: AskedView | undefined, resources: readonly TranslatedResource[], encode: (resource: TranslatedResource) => EncodedResource): View {
  return (former && replacedView(former.shared, former.sharedResources, resources, encode)) ?? viewOf(resources, encode);
}

function afterFormer(view: View, former: View | undefined): View {
  return former === undefined ? view : shareNames(view, former);
}

/** The pool is handed on as it is until most of it is no longer asked for. */
function pruned(pool: EncodedPool, asked: ReadonlyMap<string, AskedView>): EncodedPool {
  const views = new Set([...asked.values()].flatMap(({ shared, own }) => [shared, own]));
  let count = 0;
  for (const view of views) for (const names of view.values()) count += names.size;
  if (pool.size <= 2 * count + 1_000) return pool;
  const rest: EncodedPool = new Map();
  for (const view of views) for (const names of view.values()) for (const resource of names.values()) rest.set(versionKey(resource), resource);
  return rest;
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

function inconsistent(proxyId: string, problem: string): Diagnostic {
  return {
    code: "WEFT0702",
    severity: "error",
    origin: { file: "(generated)", line: 1, column: 1 },
    what: `the resources of ${proxyId} do not fit together: ${problem}`,
    fix: "this is a defect of Weft: please report it with the YAML; the proxy keeps its last configuration",
  };
}
