// `weft explain`: where a request would go, and why; out of the YAML, or with --live by asking the proxy that would route it. The request itself is never sent.
import { request as httpRequest } from "node:http";
import { stringify } from "yaml";
import type { Origin } from "../model/diagnostic.ts";
import type { Action } from "../simulate/act.ts";
import type { Simulation } from "../simulate/simulate.ts";
import type { PassedOver } from "../what-if/passed.ts";
import { liveAuthorization } from "./authorization-live.ts";
import { type ClusterEndpoint, endpointsOf, zoneShares } from "./cluster-endpoints.ts";
import { type ClusterOption, withFilesOf } from "./cluster-mesh.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { type Explanation, explainAnswer, type FilterAnswer, parseFilterAnswer } from "./explain-answer.ts";
import type { AuthorizationStep } from "./explain-authorization.ts";
import { type Asker, type ChosenListener, chooseListener, type ExplainedRequest, findAsker, parseRequest } from "./explain-request.ts";
import { explainText } from "./explain-text.ts";
import { findRunningMesh } from "./running-mesh.ts";
import { styleOf } from "./style.ts";

export interface ExplainOptions extends ClusterOption {
  readonly live?: boolean;
  /** With --live, and where a folder has Deployments, somebody must be named. */
  readonly from?: string;
  readonly header: readonly (readonly [string, string])[];
  readonly namespace?: string;
  readonly output: string;
  readonly dir?: string;
  /** Of a token that holds and comes with the request. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** What `-o json` prints: the filter's own answer, and what follows from it. Shares are in percent. */
export type ExplainReport = FilterAnswer &
  Explanation & {
    readonly mode: "live" | "off-line";
    readonly request: Pick<ExplainedRequest, "method" | "url" | "headers">;
    readonly from: Pick<Asker, "kind" | "name" | "namespace" | "zone">;
    readonly listener: Pick<ChosenListener, "name" | "url" | "explain">;
    /** Of the chosen cluster; null where the proxy does not list it, and where no cluster was chosen. */
    readonly endpoints: readonly (ClusterEndpoint & { readonly instance?: string })[] | null;
    /** What the priorities of the chosen cluster amount to now. */
    readonly zoneShares: ReturnType<typeof zoneShares>;
    readonly notes: readonly string[];
    /** Who lets the request in, at each place on its way; empty where nobody is asked. */
    readonly authorization: readonly AuthorizationStep[];
    /** Off-line only: where the policies' rules are written, by `namespace/policy/rule`. */
    readonly ruleOrigins?: Readonly<Record<string, Origin>>;
    /** Off-line only: where the route stands in the YAML, the routes that did not take the request, and what the one that did does with it. */
    readonly origin?: Origin;
    readonly routeConfiguration?: string;
    readonly passed?: readonly PassedOver[];
    readonly action?: Action | Simulation["action"];
  };

const TIMEOUT_MS = 5_000;

/** Prints the explanation. "No route matched" is one, too. `folder` is the mesh's YAML where nothing that runs is asked; the current folder by default. */
export async function explain(method: string, url: string, folder: string | undefined, options: ExplainOptions): Promise<number> {
  if (options.cluster !== undefined && options.live === true)
    throw new CommandError(
      "a cluster's proxies cannot be asked live yet",
      "Leave --live out: what the cluster's objects say is explained by the filter's own code",
      EXIT.usage,
    );
  const asked = parseRequest(method, url, options.header);
  if (options.live === true && folder !== undefined)
    throw new CommandError("--live asks a mesh that runs, and takes no folder of YAML", `Name the mesh with --dir ${folder}`, EXIT.usage);
  const report = options.live === true ? await explainLive(asked, options) : await offline(asked, folder, options);
  process.stdout.write(`${reportText(report, options.output)}\n`);
  return EXIT.ok;
}

async function offline(asked: ExplainedRequest, folder: string | undefined, options: ExplainOptions): Promise<ExplainReport> {
  const { explainOffline, explainTexts } = await import("./explain-offline.ts");
  if (options.cluster === undefined) return explainOffline(asked, folder ?? options.dir ?? ".", options);
  return explainTexts(asked, await withFilesOf(options.cluster, folder === undefined ? [] : [folder]), options);
}

function reportText(report: ExplainReport, output: string): string {
  switch (output) {
    case "json":
      return JSON.stringify(report, undefined, 2);
    case "yaml":
      return stringify(JSON.parse(JSON.stringify(report))).trimEnd();
    default:
      return explainText(report, styleOf(process.stdout, process.env));
  }
}

async function explainLive(asked: ExplainedRequest, options: ExplainOptions): Promise<ExplainReport> {
  if (options.from === undefined)
    throw new CommandError("it is not said who sends the request", "Name a workload, or ingressgateway: --from WORKLOAD", EXIT.usage);
  const ask = await findRunningMesh(options.dir);
  const ready = await ask("ready", undefined);
  const asker = findAsker(
    ready,
    (await ask("ps", undefined)).filter(({ kind }) => kind === "workload"),
    options.from,
    options.namespace,
  );
  const listener = chooseListener(asker, asked);
  const answer = await askListener(asker, listener, asked);
  const explanation = explainAnswer(answer);
  const endpoints = explanation.chosenCluster === undefined ? undefined : await askEndpoints(asker, explanation.chosenCluster);
  const authorization = await liveAuthorization(
    { asker, listener, asked, ready, route: answer.route, cluster: explanation.chosenCluster, claims: options.claims },
    ask,
  );
  const instanceAt = new Map(ready.workloads.map(({ address, instance }) => [address, instance]));
  const named = endpoints?.map((endpoint) => {
    const instance = instanceAt.get(endpoint.address.replace(/:\d+$/, ""));
    return instance === undefined ? endpoint : { ...endpoint, instance };
  });
  return {
    mode: "live",
    ...answer,
    ...explanation,
    request: { method: asked.method, url: asked.url, headers: asked.headers },
    from: { kind: asker.kind, name: asker.name, namespace: asker.namespace, zone: asker.zone || (answer.zone ?? "") },
    listener: { name: listener.name, url: listener.url, explain: listener.explain },
    endpoints: named ?? null,
    zoneShares: zoneShares(endpoints ?? []),
    authorization,
    notes: [...asker.notes, ...listener.notes, ...notesOn(asked, answer)],
  };
}

function notesOn({ method }: ExplainedRequest, { recordError }: FilterAnswer): readonly string[] {
  return [
    ...(method === "HEAD" ? ["asked as GET: the answer to a HEAD has no body to explain in"] : []),
    ...(recordError === null ? [] : [`the filter refused the route's decision record (${recordError}): Envoy draws by weight, nobody stays where they were`]),
  ];
}

async function askListener(asker: Asker, listener: ChosenListener, { method, path, authority, headers }: ExplainedRequest): Promise<FilterAnswer> {
  const named = headers.some(([name]) => name.toLowerCase() === "host");
  const sent = [...(named ? [] : ["host", authority]), ...headers.flat()];
  const ask = (base: string): ReturnType<typeof answerOf> => answerOf(asker, base, method === "HEAD" ? "GET" : method, path, sent);
  const { httpProxy } = asker;
  // Where hosts are asked for when they are first called, a proxy with captured connections has no listener for each of them: that of all names knows it.
  const { status, body } = await ask(listener.explain).catch((error: Error) => (httpProxy === undefined ? Promise.reject(error) : ask(httpProxy.explain)));
  const answer = status === 200 ? parseFilterAnswer(body) : undefined;
  if (answer !== undefined) return answer;
  const said = body.trim().slice(0, 200);
  throw new CommandError(
    `the filter of ${asker.name} does not answer at ${listener.explain}: status ${status}${said === "" ? "" : `, ${said}`}`,
    `Envoy's log may say why: npx weft logs --envoy ${asker.kind === "gateway" ? "gateway" : asker.name}`,
  );
}

async function askEndpoints(asker: Asker, cluster: string): Promise<readonly ClusterEndpoint[] | undefined> {
  const { body } = await answerOf(asker, asker.admin, "GET", "/clusters?format=json", []);
  return endpointsOf(body, cluster);
}

/** One request to a proxy's own address. Header pairs go out as they are, repeated names too, which `fetch` would not do. */
function answerOf(
  asker: Asker,
  base: string,
  method: string,
  path: string,
  headers: readonly string[],
): Promise<{ readonly status: number; readonly body: string }> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void =>
      reject(new CommandError(`the proxy of ${asker.name} does not answer at ${base}: ${error.message}`, "`npx weft ps` says whether it runs"));
    const sent = headers.length === 0 ? {} : { headers };
    const call = httpRequest({ hostname, port, method, path, agent: false, timeout: TIMEOUT_MS, ...sent }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", fail);
    });
    call.on("timeout", () => call.destroy(new Error(`nothing came within ${TIMEOUT_MS / 1_000} s`)));
    call.on("error", fail);
    call.end();
  });
}
