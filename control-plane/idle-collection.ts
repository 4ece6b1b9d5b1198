// Garbage is collected when nothing else is to be done. V8 collects when memory has grown by a multiple, and the responses of a first sync to many proxies are
// such a multiple: what they were made of would stay until the next one.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

interface IdleCollectionOptions {
  /** Bytes that the process holds on to, garbage included. */
  readonly heldBytes: () => number;
  /** CPU that the process has used, in microseconds. */
  readonly cpuMicros: () => number;
  readonly collect: () => void;
}

const LOOK_MS = 1_000;
/** Of the time between two looks. */
const IDLE_SHARE = 0.1;
/** Less is not worth the pause. */
const LEAST_BYTES = 48 * 1_048_576;

/** Looks once a second until it is told to end. The process may end meanwhile. */
export function collectWhenIdle(options: IdleCollectionOptions = processOptions()): () => void {
  const look = createLook(options);
  const timer = setInterval(look, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Each call is a look, a second after the one before: it collects where that second was idle and much has come since the last collection. */
export function createLook({ heldBytes, cpuMicros, collect }: IdleCollectionOptions): () => void {
  let [leftBytes, usedMicros] = [heldBytes(), cpuMicros()];
  return () => {
    const used = cpuMicros();
    const idle = used - usedMicros < LOOK_MS * 1_000 * IDLE_SHARE;
    usedMicros = used;
    if (!idle) return;
    const held = heldBytes();
    // Whatever was freed without us is not to be waited for twice.
    leftBytes = Math.min(leftBytes, held);
    if (held - leftBytes < LEAST_BYTES) return;
    collect();
    [leftBytes, usedMicros] = [heldBytes(), cpuMicros()];
  };
}

function processOptions(): IdleCollectionOptions {
  // The only way to it that does not ask whoever starts the process for a flag.
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  return {
    heldBytes: () => {
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    },
    cpuMicros: () => {
      const { user, system } = process.cpuUsage();
      return user + system;
    },
    collect: () => {
      if (typeof collect === "function") collect();
    },
  };
}
