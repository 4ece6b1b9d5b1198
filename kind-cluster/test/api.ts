// A client of the API server, as small as the tests need it: requests, and an object list that is kept up to date. It knows nothing of the product's own client.
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { createInterface } from "node:readline";

/** What every object has once the API server has stored it. */
export interface ApiObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly deletionTimestamp?: string;
    readonly deletionGracePeriodSeconds?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** The API server's own answer to a request that it refused. */
export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export type PatchKind = "merge" | "strategic-merge" | "json" | "apply";

export interface Api {
  /** Rejects with an ApiError, or with the network's error. */
  readonly get: <Answer>(path: string) => Promise<Answer>;
  readonly getText: (path: string) => Promise<string>;
  readonly post: <Answer>(path: string, body: unknown) => Promise<Answer>;
  readonly patch: <Answer>(path: string, body: unknown, kind?: PatchKind) => Promise<Answer>;
  readonly delete: (path: string, body?: unknown) => Promise<void>;
  /** Every object of a collection now and from now on, through broken connections and restarts of the server, until `close`. */
  readonly follow: <Item extends ApiObject>(path: string, onObject: (object: Item) => void, onGone: (object: Item) => void) => { readonly close: () => void };
  readonly close: () => void;
}

const RETRY_MS = 200;
const REQUEST_TIMEOUT_MS = 20_000;

/** `url` of the server, a bearer token, and the certificate that the server shows. */
export function createApi(url: string, token: string, ca: string): Api {
  const agent = new Agent({ ca, keepAlive: true });

  const open = (method: string, path: string, body: unknown, contentType: string, signal?: AbortSignal): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      // Node gives a DELETE no length of its own accord.
      const content = text === undefined ? {} : { "content-type": contentType, "content-length": Buffer.byteLength(text) };
      const headers = { authorization: `Bearer ${token}`, accept: "application/json", ...content };
      const outgoing = request(new URL(path, url), { method, agent, headers, ...(signal === undefined ? { timeout: REQUEST_TIMEOUT_MS } : { signal }) });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`${method} ${path} was not answered in ${REQUEST_TIMEOUT_MS} ms`)));
      outgoing.on("response", resolve).on("error", reject);
      outgoing.end(text);
    });
  const askText = async (method: string, path: string, body?: unknown, contentType = "application/json"): Promise<string> => {
    const response = await open(method, path, body, contentType);
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    const status = response.statusCode ?? 0;
    if (status >= 400) throw new ApiError(status, `${method} ${path}: ${status} ${messageOf(text)}`);
    return text;
  };
  const ask = async <Answer>(...request: Parameters<typeof askText>): Promise<Answer> => JSON.parse(await askText(...request));

  const follow: Api["follow"] = (path, onObject, onGone) => {
    type Item = Parameters<typeof onObject>[0];
    const stop = new AbortController();
    const known = new Map<string, Item>();
    const list = async (): Promise<string> => {
      const answer = await ask<{ items: Item[]; metadata: { resourceVersion: string } }>("GET", path);
      const present = new Set(answer.items.map(({ metadata }) => metadata.uid));
      for (const [uid, object] of [...known]) if (!present.has(uid) && known.delete(uid)) onGone(object);
      for (const object of answer.items) {
        if (known.get(object.metadata.uid)?.metadata.resourceVersion === object.metadata.resourceVersion) continue;
        known.set(object.metadata.uid, object);
        onObject(object);
      }
      return answer.metadata.resourceVersion;
    };
    const watch = async (from: string): Promise<void> => {
      const response = await open("GET", `${path}${path.includes("?") ? "&" : "?"}watch=true&resourceVersion=${from}`, undefined, "", stop.signal);
      if (response.statusCode !== 200) throw new ApiError(response.statusCode ?? 0, `watch of ${path}`);
      for await (const line of createInterface({ input: response })) {
        const event: { type: string; object: Item } = JSON.parse(line);
        if (event.type === "ERROR") return;
        if (event.type === "DELETED") {
          known.delete(event.object.metadata.uid);
          onGone(event.object);
        } else {
          known.set(event.object.metadata.uid, event.object);
          onObject(event.object);
        }
      }
    };
    const run = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        // A watch that ends, for whatever reason, is followed by a list: what was missed in between is seen there.
        await list()
          .then(watch)
          .catch(() => undefined);
        if (!stop.signal.aborted) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    };
    void run();
    return { close: () => stop.abort() };
  };

  return {
    get: (path) => ask("GET", path),
    getText: (path) => askText("GET", path),
    post: (path, body) => ask("POST", path, body),
    patch: (path, body, kind = "merge") => ask("PATCH", path, body, kind === "apply" ? "application/apply-patch+yaml" : `application/${kind}-patch+json`),
    delete: async (path, body) => {
      await ask("DELETE", path, body);
    },
    follow,
    close: () => agent.destroy(),
  };
}

function messageOf(text: string): string {
  try {
    return JSON.parse(text).message ?? text;
  } catch {
    return text.slice(0, 500);
  }
}
