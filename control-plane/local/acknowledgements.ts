// Answers "when is it in force?": what was published, and how far each proxy has ACKed it.
import type { ControlPlaneMessage, ProxyState } from "./protocol.ts";

export type Publication = Extract<ControlPlaneMessage, { kind: "published" }>;

export interface Acknowledgements {
  readonly onPublished: (publication: Publication) => void;
  readonly onProxies: (states: readonly ProxyState[]) => void;
  /** The control plane has ended: no proxy is connected any more. */
  readonly onEnded: () => void;
  /** What `live` answers has changed. */
  readonly onLive: () => void;
  /** Resolves true when a snapshot that answers `running` messages up to `sequence` is in force, false when it is not after `timeoutMs`. */
  readonly inForce: (sequence: number, timeoutMs: number) => Promise<boolean>;
  /** Likewise, for one publication. */
  readonly acknowledged: (publication: Publication, timeoutMs: number) => Promise<boolean>;
  readonly stateOf: (proxyId: string) => { readonly connected: boolean; readonly upToDate: boolean };
}

interface Wait {
  readonly sequence: number;
  publication: Publication | undefined;
  readonly resolve: (inForce: boolean) => void;
}

/**
 * A publication is in force when every proxy in it that is live has ACKed it. A live proxy without a connection counts: it serves what it held before, and
 * is about to reconnect. Revisions grow, also from one control plane to the next.
 */
export function isInForce({ revision, proxies }: Publication, states: ReadonlyMap<string, ProxyState>, live: ReadonlySet<string>): boolean {
  return proxies.every((id) => {
    const state = states.get(id);
    return !live.has(id) || (state?.connected === true && state.ackedRevision >= revision);
  });
}

/** `live`: ids of the proxies that serve traffic, so that what they hold matters. */
export function createAcknowledgements(live: () => ReadonlySet<string>): Acknowledgements {
  const waits = new Set<Wait>();
  let states: ReadonlyMap<string, ProxyState> = new Map();
  let last: Publication | undefined;

  const check = (): void => {
    for (const wait of waits) {
      if (wait.publication !== undefined && isInForce(wait.publication, states, live())) wait.resolve(true);
    }
  };
  const waitFor = (sequence: number, publication: Publication | undefined, timeoutMs: number): Promise<boolean> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => wait.resolve(false), timeoutMs);
      const wait: Wait = {
        sequence,
        publication,
        resolve: (inForce) => {
          clearTimeout(timer);
          waits.delete(wait);
          resolve(inForce);
        },
      };
      waits.add(wait);
      check();
    });

  return {
    onPublished: (publication) => {
      last = publication;
      for (const wait of waits) if (wait.sequence <= publication.sequence) wait.publication ??= publication;
      check();
    },
    onProxies: (reported) => {
      states = new Map(reported.map((state) => [state.proxyId, state]));
      check();
    },
    onEnded: () => {
      states = new Map();
    },
    onLive: check,
    inForce: (sequence, timeoutMs) => waitFor(sequence, last !== undefined && last.sequence >= sequence ? last : undefined, timeoutMs),
    acknowledged: (publication, timeoutMs) => waitFor(publication.sequence, publication, timeoutMs),
    stateOf: (proxyId) => {
      const state = states.get(proxyId);
      return { connected: state?.connected === true, upToDate: state?.connected === true && last !== undefined && state.ackedRevision >= last.revision };
    },
  };
}
