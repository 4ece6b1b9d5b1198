// Many changes that come together, as one: what arrives in bursts is told when it is quiet, or after a while where it never is.

export interface Coalescer {
  /** Something has changed. */
  readonly note: () => void;
  /** Tells now what was noted, if anything was. */
  readonly flush: () => void;
  readonly close: () => void;
}

/** `call` hears when the first of the changes was noted (Unix ms). It comes `quietMs` after the last, and `longestMs` after the first at the latest. */
export function createCoalescer(quietMs: number, longestMs: number, call: (sinceMs: number) => void): Coalescer {
  let sinceMs: number | undefined;
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    const since = sinceMs;
    sinceMs = undefined;
    if (since !== undefined) call(since);
  };
  return {
    note: () => {
      sinceMs ??= Date.now();
      clearTimeout(timer);
      timer = setTimeout(flush, Math.max(0, Math.min(quietMs, sinceMs + longestMs - Date.now())));
    },
    flush,
    close: () => {
      clearTimeout(timer);
      sinceMs = undefined;
    },
  };
}
