// A client of a cluster's API server, as small as the mesh needs it: requests with JSON answers, and watches as lines. Who the caller is comes from the service
// account that is mounted into a pod, or from a kubeconfig, which the Kubernetes project's own library reads.
import { readFile, stat } from "node:fs/promises";
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, type RequestOptions, request as requestHttps } from "node:https";
import { StringDecoder } from "node:string_decoder";

/** What every object has. Everything else is looked into where it is used. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly spec?: unknown;
  readonly status?: unknown;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly { readonly kind: string; readonly name: string; readonly controller?: boolean }[];
}

/** The API server's answer to a request that it refused. */
export class KubernetesApiError extends Error {
  readonly status: number;
  /** `AlreadyExists`, `Conflict`, `Expired`…; empty where it gave none. */
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

export interface ApiRequest {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With a leading slash, without a query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Default: `application/json`. */
  readonly contentType?: string;
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

/** A client of one API server. */
export interface KubernetesApi {
  /** For people: where the server is. */
  readonly server: string;
  /** Rejects with a KubernetesApiError where the server refuses, with the network's error where it is not reached. 304 is an answer without a body. */
  readonly ask: (request: ApiRequest) => Promise<ApiAnswer>;
  /** Calls `onLine` with each line of an answer that goes on, until it ends; rejects as `ask` does, and where nothing comes for `idleMs`. */
  readonly follow: (request: ApiRequest, onLine: (line: string) => void, idleMs: number) => Promise<void>;
  readonly close: () => void;
}

/** Where a server is, and how to prove oneself to it. */
export interface ApiConnection {
  readonly url: string;
  readonly tls?: Pick<RequestOptions, "ca" | "cert" | "key" | "servername" | "rejectUnauthorized">;
  /** Called for each request, since tokens are renewed. */
  readonly headers: () => Promise<Readonly<Record<string, string>>>;
}

/** A request that is not answered at all: the server, or the way to it, is gone. */
const ANSWER_MS = 30_000;
/** Of a connection that has fallen silent. */
const KEEPALIVE_MS = 15_000;

/** A client over connections that are kept open. */
export function createKubernetesApi(connection: ApiConnection): KubernetesApi {
  const secure = connection.url.startsWith("https:");
  const agent = secure
    ? new HttpsAgent({ ...connection.tls, keepAlive: true, keepAliveMsecs: KEEPALIVE_MS })
    : new HttpAgent({ keepAlive: true, keepAliveMsecs: KEEPALIVE_MS });

  const open = async (wanted: ApiRequest): Promise<IncomingMessage> => {
    const { method = "GET", path, query = {}, body, contentType = "application/json", accept = "application/json", signal } = wanted;
    const url = new URL(connection.url.replace(/\/+$/, "") + path);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      accept,
      "user-agent": "weft",
      ...(sent === undefined ? {} : { "content-type": contentType, "content-length": String(Buffer.byteLength(sent)) }),
      ...(await connection.headers()),
      ...wanted.headers,
    };
    return new Promise((resolve, reject) => {
      const outgoing = (secure ? requestHttps : requestHttp)(url, { method, agent, headers, ...(signal === undefined ? {} : { signal }) });
      const timer = setTimeout(() => outgoing.destroy(new Error(`${method} ${path} was not answered within ${ANSWER_MS / 1_000} s`)), ANSWER_MS);
      outgoing.once("response", (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      outgoing.once("error", (error) => {
        clearTimeout(timer);
        reject(error);
      });
      outgoing.end(sent);
    });
  };

  return {
    server: connection.url,
    ask: async (wanted) => {
      const response = await open(wanted);
      const text = await textOf(response);
      const status = response.statusCode ?? 0;
      if (status >= 400) throw errorOf(wanted, status, text);
      return { status, headers: response.headers, body: text === "" ? undefined : parsed(wanted, text) };
    },
    follow: async (wanted, onLine, idleMs) => {
      const response = await open(wanted);
      const status = response.statusCode ?? 0;
      if (status >= 400) throw errorOf(wanted, status, await textOf(response));
      await readLines(response, onLine, idleMs);
    },
    close: () => agent.destroy(),
  };
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  response.setTimeout(ANSWER_MS, () => response.destroy(new Error("the answer broke off")));
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function parsed({ path }: ApiRequest, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`the answer to ${path} is no JSON`);
  }
}

/** The server's own words, where there are any. */
function errorOf({ method = "GET", path }: ApiRequest, status: number, text: string): KubernetesApiError {
  let said: { readonly message?: string; readonly reason?: string } = {};
  try {
    said = JSON.parse(text) as typeof said;
  } catch {
    said = { message: text.slice(0, 200).trim() };
  }
  return new KubernetesApiError(status, said.reason ?? "", `${method} ${path}: ${status} ${said.message ?? ""}`.trim());
}

function readLines(response: IncomingMessage, onLine: (line: string) => void, idleMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const decoder = new StringDecoder("utf8");
    let rest = "";
    response.setTimeout(idleMs, () => response.destroy(new Error(`nothing was heard for ${idleMs / 1_000} s`)));
    response.on("data", (chunk: Buffer) => {
      const lines = (rest + decoder.write(chunk)).split("\n");
      rest = lines.pop() ?? "";
      try {
        for (const line of lines) if (line !== "") onLine(line);
      } catch (error) {
        reject(error);
        response.destroy();
      }
    });
    response.once("error", reject);
    response.once("aborted", () => reject(new Error("the connection broke")));
    response.once("end", resolve);
  });
}

const MOUNTED = "/var/run/secrets/kubernetes.io/serviceaccount";
/** The kubelet renews the token in place, long before it ends. */
const TOKEN_READ_AGAIN_MS = 30_000;

/** The API server of the cluster in which this process runs as a pod. Rejects elsewhere. */
export async function inClusterConnection(environment: NodeJS.ProcessEnv, mounted: string = MOUNTED): Promise<ApiConnection> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (host === undefined || port === undefined) throw new Error("this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  const ca = await readFile(`${mounted}/ca.crt`);
  let token = "";
  let readAtMs = Number.NEGATIVE_INFINITY;
  return {
    url: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    tls: { ca },
    headers: async () => {
      if (performance.now() - readAtMs > TOKEN_READ_AGAIN_MS) {
        token = (await readFile(`${mounted}/token`, "utf8")).trim();
        readAtMs = performance.now();
      }
      return { authorization: `Bearer ${token}` };
    },
  };
}

export interface KubeconfigChoice {
  /** Default: `$KUBECONFIG`, else `~/.kube/config`. */
  readonly path?: string;
  /** Default: the file's current one. */
  readonly context?: string;
}

/** What a kubeconfig says of a cluster. */
export interface KubeconfigConnection extends ApiConnection {
  readonly context: string;
  /** The context's own; `default` where it names none. */
  readonly namespace: string;
}

/** The connection of a kubeconfig's context. Rejects, with what to do instead, where there is no such file or context. */
export async function kubeconfigConnection({ path, context }: KubeconfigChoice): Promise<KubeconfigConnection> {
  // A second and 100 MB, which no pod needs.
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  if (path !== undefined) {
    await stat(path).catch(() => {
      throw new Error(`there is no kubeconfig ${path}`);
    });
    config.loadFromFile(path);
  } else config.loadFromDefault();
  const names = config.getContexts().map(({ name }) => name);
  if (context !== undefined) {
    if (!names.includes(context)) throw new Error(`the kubeconfig has no context ${context}; it has ${names.sort().join(", ") || "none"}`);
    config.setCurrentContext(context);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error("the kubeconfig names no cluster. Fix: choose one of its contexts with --context");
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { ca, cert, key, servername, rejectUnauthorized } = options;
  const tls = Object.fromEntries(Object.entries({ ca, cert, key, servername, rejectUnauthorized }).filter(([, value]) => value !== undefined));
  return {
    url: cluster.server,
    tls,
    context: config.getCurrentContext(),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? "default",
    headers: async () => {
      const fresh: RequestOptions = {};
      await config.applyToHTTPSOptions(fresh);
      const basic = typeof fresh.auth === "string" ? { authorization: `Basic ${Buffer.from(fresh.auth).toString("base64")}` } : {};
      return { ...basic, ...textHeaders(fresh.headers) };
    },
  };
}

function textHeaders(headers: RequestOptions["headers"]): Record<string, string> {
  return Object.fromEntries(Object.entries(headers ?? {}).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])));
}
