// Time as a parameter: streams wait for deadlines, and tests turn the clock by hand.

export interface Clock {
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs: () => number;
  /** Calls once after a delay; the result cancels it. */
  readonly after: (delayMs: number, call: () => void) => () => void;
}

/** The machine's clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after: (delayMs, call) => {
    const timer = setTimeout(call, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Longest wait without a look at the time of day: a machine that sleeps stops the clock that timers run by. */
const LONGEST_WAIT_MS = 30_000;

/** Calls once at a time of day, `atMs` in milliseconds of the Unix epoch; the result cancels it. */
export function atEpoch(clock: Clock, epochMs: () => number, atMs: number, call: () => void): () => void {
  let cancel = (): void => undefined;
  const wait = (): void => {
    const restMs = atMs - epochMs();
    if (restMs <= 0) call();
    else cancel = clock.after(Math.min(restMs, LONGEST_WAIT_MS), wait);
  };
  cancel = clock.after(Math.min(Math.max(0, atMs - epochMs()), LONGEST_WAIT_MS), wait);
  return () => cancel();
}

/** Calls soon after it was asked to, once for all that ask meanwhile, and not again before `pauseMs` have passed. */
export function atMostEvery(clock: Clock, pauseMs: number, call: () => void): () => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    clock.after(Math.max(0, lastMs + pauseMs - clock.nowMs()), () => {
      waits = false;
      lastMs = clock.nowMs();
      call();
    });
  };
}
