// A load client that reads every answer: it sends each request exactly once, never again, and counts each one that failed, with the reason.
// In: where, how many connections, how fast. Out: a running load, and when it is stopped a report.
import { type Dispatcher, Pool } from "undici";

/** One answer, whatever its status. `body` is read only where `onResponse`, `check` or `countBodies` asks for it, else `""`. */
export interface LoadAnswer {
  /** Of the request: 0, 1, 2, … in the order of sending. */
  readonly index: number;
  readonly url: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface LoadOptions {
  /** One or several absolute `http:` URLs; request `i` goes to number `i` modulo their count. */
  readonly url: string | readonly string[];
  /** Requests under way at once; each has a connection of its own per origin, kept open. */
  readonly connections: number;
  /** Default: as fast as the connections allow. A load that fell behind catches up, as far as the connections allow. */
  readonly ratePerSecond?: number;
  /** Stop by itself after this many requests. */
  readonly total?: number;
  readonly method?: Dispatcher.HttpMethod;
  readonly headers?: (index: number) => Readonly<Record<string, string>>;
  readonly body?: string | ((index: number) => string);
  /** Until the headers of the answer, and between two pieces of its body. Coarse: about a second. Default 10 s. */
  readonly timeoutMs?: number;
  /** Which statuses are no failure. Default: 200 to 299. */
  readonly isOk?: (status: number) => boolean;
  /** Looks at an answer whose status is ok; a text is the reason why it is a failure all the same. */
  readonly check?: (answer: LoadAnswer) => string | undefined;
  readonly onResponse?: (answer: LoadAnswer) => void;
  /** Count answers by their whole body (for a few distinct bodies only). */
  readonly countBodies?: boolean;
}

export interface LoadReport {
  /** Always `ok + failed` once the load has stopped. */
  readonly sent: number;
  readonly ok: number;
  readonly failed: number;
  /** Answers by status; a request without an answer is in none. */
  readonly byStatus: Readonly<Record<number, number>>;
  readonly byBody: Readonly<Record<string, number>>;
  /** Failures by reason: `status 503`, `ECONNREFUSED`, … */
  readonly byReason: Readonly<Record<string, number>>;
  /** The first failures in words, each with the number of its request: what to print when none was expected. */
  readonly errors: readonly string[];
  readonly durationSeconds: number;
  readonly requestsPerSecond: number;
}

/** A load that is running. */
export interface Load {
  /** The figures so far. */
  report(): LoadReport;
  /** Resolves when `count` requests that were sent after this call are answered or have failed. Rejects when the load stops before. */
  more(count: number): Promise<void>;
  /** Sends no more, waits for the answers under way, closes the connections. Safe to call twice. */
  stop(): Promise<LoadReport>;
  /** The report of a load that ends: by `total`, or by `stop`. Rejects when a callback of the options throws. */
  readonly finished: Promise<LoadReport>;
}

const MAX_ERRORS = 20;
const MAX_BODIES = 1_000;

/** Starts a load at once. Throws where `url` is empty or not a URL. */
export function startLoad(options: LoadOptions): Load {
  const targets = openTargets(options);
  const tally = new Tally();
  const pace = new Pace(options.ratePerSecond);
  const waiters: Waiter[] = [];
  let stopping = false;

  const work = async () => {
    while (!stopping && tally.sent < (options.total ?? Number.POSITIVE_INFINITY)) {
      const index = tally.sent++;
      await pace.turn(index);
      if (stopping) {
        tally.sent -= 1;
        return;
      }
      const target = targets[index % targets.length];
      if (target === undefined) throw new Error("a load needs at least one URL");
      tally.count(options, await exchange(target, index, options));
      settle(waiters, index);
    }
  };
  const stop = () => {
    stopping = true;
    pace.end();
  };
  const finish = async () => {
    try {
      await Promise.all(
        Array.from({ length: options.connections }, () =>
          work().catch((error: unknown) => {
            stop();
            throw error;
          }),
        ),
      );
    } finally {
      stopping = true;
      tally.end();
      for (const waiter of waiters.splice(0)) waiter.reject(new Error(`the load stopped ${waiter.remaining} requests too early`));
      await Promise.all([...new Set(targets.map(({ pool }) => pool))].map((pool) => pool.close()));
    }
    return tally.report();
  };
  const finished = finish();
  finished.catch(() => undefined);
  return {
    report: () => tally.report(),
    more: async (count) => {
      if (stopping) throw new Error("the load is stopped");
      await new Promise<void>((resolve, reject) => waiters.push({ from: tally.sent, remaining: count, resolve, reject }));
    },
    stop: () => {
      stop();
      return finished;
    },
    finished,
  };
}

interface Target {
  readonly url: string;
  readonly path: string;
  readonly pool: Pool;
}

function openTargets(options: LoadOptions): readonly Target[] {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const pools = new Map<string, Pool>();
  const targets = [options.url].flat().map((text) => {
    const url = new URL(text);
    const pool =
      pools.get(url.origin) ??
      new Pool(url.origin, {
        connections: options.connections,
        pipelining: 1,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        connect: { timeout: timeoutMs },
      });
    pools.set(url.origin, pool);
    return { url: url.href, path: url.pathname + url.search, pool };
  });
  if (targets.length === 0) throw new Error("a load needs at least one URL");
  return targets;
}

type Outcome = { readonly index: number; readonly url: string } & (
  | { readonly kind: "answer"; readonly answer: LoadAnswer }
  | { readonly kind: "failure"; readonly error: Error }
);

interface Failure {
  /** Short, the same for all failures of a kind. */
  readonly reason: string;
  readonly detail: string;
}

/** One request and what came of it. Pipelining is off, so undici has no reason ever to send it again. */
function exchange(target: Target, index: number, options: LoadOptions): Promise<Outcome> {
  const { url } = target;
  const keepBody = options.onResponse !== undefined || options.check !== undefined || options.countBodies === true;
  const body = typeof options.body === "function" ? options.body(index) : (options.body ?? null);
  return new Promise((resolve) => {
    let status = 0;
    let headers: LoadAnswer["headers"] = {};
    const chunks: Buffer[] = [];
    target.pool.dispatch(
      { path: target.path, method: options.method ?? "GET", headers: { ...options.headers?.(index) }, body },
      {
        // Its presence is how undici tells this form of callbacks from the older one.
        onRequestStart: () => undefined,
        onResponseStart: (_controller, statusCode, responseHeaders) => {
          status = statusCode;
          headers = responseHeaders;
        },
        onResponseData: (_controller, chunk) => {
          if (keepBody || status >= 400) chunks.push(chunk);
        },
        onResponseEnd: () =>
          resolve({
            kind: "answer",
            index,
            url,
            answer: { index, url, status, headers, body: chunks.length === 0 ? "" : Buffer.concat(chunks).toString("utf8") },
          }),
        onResponseError: (_controller, error) => resolve({ kind: "failure", index, url, error }),
      },
    );
  });
}

/** Counts outcomes. */
class Tally {
  sent = 0;
  #ok = 0;
  #failed = 0;
  readonly #byStatus: Record<number, number> = {};
  readonly #byBody = new Map<string, number>();
  readonly #byReason = new Map<string, number>();
  readonly #errors: string[] = [];
  readonly #startMs = performance.now();
  #endMs: number | undefined;

  count(options: LoadOptions, outcome: Outcome): void {
    const failure = this.#judge(options, outcome);
    if (failure === undefined) this.#ok += 1;
    else this.#note(outcome, failure);
  }

  #judge(options: LoadOptions, outcome: Outcome): Failure | undefined {
    if (outcome.kind === "failure") {
      const code = "code" in outcome.error ? String(outcome.error.code) : outcome.error.name;
      return { reason: code === "UND_ERR_SOCKET" ? `${code} ${outcome.error.message}` : code, detail: outcome.error.message };
    }
    const { answer } = outcome;
    this.#byStatus[answer.status] = (this.#byStatus[answer.status] ?? 0) + 1;
    if (options.countBodies === true) increment(this.#byBody, this.#byBody.size < MAX_BODIES || this.#byBody.has(answer.body) ? answer.body : "(others)");
    options.onResponse?.(answer);
    const reason = (options.isOk ?? is2xx)(answer.status) ? options.check?.(answer) : `status ${answer.status}`;
    return reason === undefined ? undefined : { reason, detail: answer.body.slice(0, 200) };
  }

  #note({ index, url }: Outcome, { reason, detail }: Failure): void {
    this.#failed += 1;
    increment(this.#byReason, reason);
    const afterSeconds = ((performance.now() - this.#startMs) / 1_000).toFixed(2);
    if (this.#errors.length < MAX_ERRORS) this.#errors.push(`request ${index} to ${url} after ${afterSeconds} s: ${reason}: ${detail}`);
  }

  end(): void {
    this.#endMs = performance.now();
  }

  report(): LoadReport {
    const durationSeconds = ((this.#endMs ?? performance.now()) - this.#startMs) / 1_000;
    return {
      sent: this.sent,
      ok: this.#ok,
      failed: this.#failed,
      byStatus: { ...this.#byStatus },
      byBody: Object.fromEntries(this.#byBody),
      byReason: Object.fromEntries(this.#byReason),
      errors: [...this.#errors],
      durationSeconds,
      requestsPerSecond: (this.#ok + this.#failed) / durationSeconds,
    };
  }
}

/** When each request is due. Waits can be cut short by `end`. */
class Pace {
  readonly #ratePerSecond: number | undefined;
  readonly #startMs = performance.now();
  readonly #sleepers = new Map<NodeJS.Timeout, () => void>();

  constructor(ratePerSecond: number | undefined) {
    this.#ratePerSecond = ratePerSecond;
  }

  async turn(index: number): Promise<void> {
    if (this.#ratePerSecond === undefined) return;
    const waitMs = this.#startMs + (index * 1_000) / this.#ratePerSecond - performance.now();
    if (waitMs <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#sleepers.delete(timer);
        resolve();
      }, waitMs);
      this.#sleepers.set(timer, resolve);
    });
  }

  end(): void {
    for (const [timer, resolve] of this.#sleepers) {
      clearTimeout(timer);
      resolve();
    }
    this.#sleepers.clear();
  }
}

interface Waiter {
  /** The first request that counts. */
  readonly from: number;
  remaining: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

function settle(waiters: Waiter[], index: number): void {
  for (const waiter of [...waiters]) {
    if (index < waiter.from) continue;
    waiter.remaining -= 1;
    if (waiter.remaining > 0) continue;
    waiters.splice(waiters.indexOf(waiter), 1);
    waiter.resolve();
  }
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function is2xx(status: number): boolean {
  return status >= 200 && status < 300;
}
