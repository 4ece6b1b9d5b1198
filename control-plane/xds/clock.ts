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
