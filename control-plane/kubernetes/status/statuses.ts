// The statuses of a mesh's objects while it lives: publications and the proxies' progress in, what each object is to say out. Looked at seldom, since a mesh may
// have thousands of both.
import { createRevisionLog } from "../../admin/resource-status.ts";
import type { Publication } from "../../control-plane.ts";
import type { Diagnostic } from "../../model/diagnostic.ts";
import { resourceLabel } from "../../model/resource.ts";
import type { ClusterFile } from "../../source/kubernetes-file.ts";
import type { ProxyState } from "../../xds/proxy-state.ts";
import { conditionsOf, type Progress } from "./conditions.ts";
import { countProgrammed, type Programmed, programmedKey } from "./programmed.ts";
import type { WantedStatus } from "./writer.ts";

export interface StatusesOptions {
  readonly leads: () => boolean;
  readonly proxies: () => readonly ProxyState[];
  readonly want: (statuses: readonly WantedStatus[]) => void;
  /** What the proxies of other control planes have taken, by key of a resource's version. */
  readonly askPeers: () => Promise<ReadonlyMap<string, number>>;
  readonly onError: (error: Error) => void;
}

export interface Statuses {
  /** `files`: the objects that the publication was made of. */
  readonly published: (publication: Publication, files: ReadonlyMap<string, ClusterFile>) => void;
  /** Some proxy has taken something, or we have become the leader. */
  readonly note: () => void;
  /** What our own proxies have taken, by key of a resource's version. */
  readonly programmed: () => Readonly<Record<string, number>>;
  readonly close: () => void;
}

/** A publication is acknowledged within this time by most. */
const LOOK_MS = 300;
/** While something is pending, other control planes are asked again and again. */
const PENDING_LOOK_MS = 2_000;

interface Served {
  readonly publication: Publication;
  readonly files: ReadonlyMap<string, ClusterFile>;
}

/** Begins when something is published. */
export function trackStatuses(options: StatusesOptions): Statuses {
  const revisions = createRevisionLog();
  let served: Served | undefined;
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let closed = false;

  const count = (): ReadonlyMap<string, Programmed> => (served === undefined ? new Map() : countProgrammed(served.publication, revisions, options.proxies()));
  const schedule = (delayMs: number): void => {
    if (timer !== undefined || closed) return;
    timer = setTimeout(() => {
      timer = undefined;
      if (!looking) void look();
      else schedule(LOOK_MS);
    }, delayMs);
    timer.unref();
  };
  const look = async (): Promise<void> => {
    if (served === undefined || !options.leads()) return;
    looking = true;
    try {
      const counted = count();
      const incomplete = [...counted.values()].some(({ needed, taken }) => taken < needed);
      const peers = incomplete ? await options.askPeers() : new Map<string, number>();
      if (closed || served === undefined) return;
      options.want(wantedStatuses(served, counted, peers));
      const pending = [...counted.values()].some(({ resource, needed, taken }) => taken + (peers.get(programmedKey(resource)) ?? 0) < needed);
      if (pending) schedule(PENDING_LOOK_MS);
    } catch (error) {
      options.onError(error instanceof Error ? error : new Error(String(error)));
    } finally {
      looking = false;
    }
  };
  return {
    published: (publication, files) => {
      revisions.note(publication.resources, publication.revision);
      served = { publication, files };
      schedule(LOOK_MS);
    },
    note: () => schedule(LOOK_MS),
    programmed: () => Object.fromEntries([...count().values()].flatMap(({ resource, taken }) => (taken === 0 ? [] : [[programmedKey(resource), taken]]))),
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** Kubernetes' own kinds have a status that is not ours to write. */
const OWN_GROUP = /(?:\.istio\.io|^weft\.mesh)$/;

function wantedStatuses({ publication, files }: Served, counted: ReadonlyMap<string, Programmed>, peers: ReadonlyMap<string, number>): readonly WantedStatus[] {
  const about = new Map<string, Diagnostic[]>();
  for (const diagnostic of publication.diagnostics) {
    const known = about.get(diagnostic.origin.file);
    if (known === undefined) about.set(diagnostic.origin.file, [diagnostic]);
    else known.push(diagnostic);
  }
  return [...files.values()].flatMap((file): readonly WantedStatus[] => {
    const { kind, namespace, name, generation } = file;
    if (!kind.hasStatus || !OWN_GROUP.test(kind.group)) return [];
    const programmed = counted.get(resourceLabel({ kind: kind.kind, namespace, name }));
    const diagnostics = about.get(file.file) ?? [];
    const progress = programmed === undefined ? undefined : progressOf(programmed, peers, diagnostics);
    return [{ file: file.file, kind, namespace, name, generation, conditions: conditionsOf(diagnostics, progress, generation) }];
  });
}

function progressOf({ resource, needed, taken }: Programmed, peers: ReadonlyMap<string, number>, diagnostics: readonly Diagnostic[]): Progress {
  return { needed, taken: taken + (peers.get(programmedKey(resource)) ?? 0), current: !isSetAside(diagnostics) };
}

/** An object with an error of its own is not what serves: its former version is. */
function isSetAside(diagnostics: readonly Diagnostic[]): boolean {
  return diagnostics.some(({ severity, code }) => severity === "error" && !code.startsWith("WEFT07"));
}
