// `weft explain` without --live: the answer of a mesh that need not run, out of its YAML, by the filter's own code. Nothing is asked, nothing is sent.
import { buildFilter } from "../../filter/build.ts";
import { FALLBACK_FILTER, loadExplainingFilter } from "../simulate/decide.ts";
import { entryOfPick, parseDecisionRecord } from "../translate/decision-record.ts";
import { zoneShares } from "./cluster-endpoints.ts";
import { CommandError } from "./command-error.ts";
import type { ExplainOptions, ExplainReport } from "./explain.ts";
import { explainAnswer, type FilterAnswer, parseFilterAnswer } from "./explain-answer.ts";
import { tokenOf } from "./explain-authorization.ts";
import type { ExplainedRequest } from "./explain-request.ts";
import { readMeshFiles } from "./mesh-files.ts";
import { type OfflineAnswer, type OfflineMesh, type OfflineRoute, openOfflineMesh } from "./offline-mesh.ts";

/** The report for the mesh of `folder`. Rejects with a CommandError. */
export async function explainOffline(asked: ExplainedRequest, folder: string, options: ExplainOptions): Promise<ExplainReport> {
  return explainTexts(asked, await readMeshFiles([folder]), options);
}

/** The same for these files (path to text). */
export async function explainTexts(asked: ExplainedRequest, texts: ReadonlyMap<string, string>, options: ExplainOptions): Promise<ExplainReport> {
  const mesh = openOfflineMesh(texts);
  const { claims } = options;
  const route = mesh.find({ from: options.from, namespace: options.namespace, asked, ...(claims === undefined ? {} : { claims }) });
  const { decided, said } = await decide(mesh, route);
  const { answer, written, passed } = decided;
  const explanation = explainAnswer(said);
  const chosenCluster = answer.kind === "tcp" ? answer.clusters[0]?.cluster : explanation.chosenCluster;
  const endpoints = chosenCluster === undefined ? undefined : mesh.endpoints(route, chosenCluster);
  const instanceAt = new Map(mesh.imagined.running.workloads.map(({ address, instance }) => [address, instance]));
  const { asker, listener } = route;
  const authorization = mesh.authorization(route, answer, tokenOf(claims));
  return {
    mode: "off-line",
    ...said,
    ...explanation,
    ...(chosenCluster === undefined ? {} : { chosenCluster }),
    ...(answer.kind === "tcp" ? { matched: true } : {}),
    request: { method: asked.method, url: asked.url, headers: asked.headers },
    from: { kind: asker.kind, name: asker.name, namespace: asker.namespace, zone: route.proxy.locality.zone },
    listener: { name: listener.name, url: listener.url, explain: "" },
    ...(written === undefined ? {} : { origin: written.origin }),
    passed: passed(),
    ...(answer.kind === "http" ? { routeConfiguration: answer.routeConfiguration, action: answer.simulation.action } : {}),
    endpoints:
      endpoints?.map((endpoint) => {
        const instance = instanceAt.get(endpoint.address.replace(/:\d+$/, ""));
        return instance === undefined ? endpoint : { ...endpoint, instance };
      }) ?? null,
    zoneShares: zoneShares(endpoints ?? []),
    authorization,
    ruleOrigins: mesh.ruleOrigins(authorization),
    notes: [...asker.notes, ...listener.notes, ...notesOn(mesh, decided)],
  };
}

/** Asks which route takes the request, then the filter about that route, and then for the action with the filter's pick. */
async function decide(mesh: OfflineMesh, route: OfflineRoute): Promise<{ readonly decided: OfflineAnswer; readonly said: FilterAnswer }> {
  const filter = await loadExplainingFilter((await buildFilter()).path, new Uint8Array(8));
  const first = mesh.answer(route, FALLBACK_FILTER);
  const { answer } = first;
  const taken = answer.kind === "http" ? answer.simulation.taken?.route : undefined;
  const action = answer.kind === "http" ? answer.simulation.action : undefined;
  const cluster = action?.kind === "forward" ? action.destinations[action.chosen]?.cluster : undefined;
  const body = filter.explain(taken && { route: taken, cluster }, answer.kind === "http" ? answer.request : route.question.request);
  const answered = parseFilterAnswer(body);
  if (answered === undefined) throw new CommandError(`the filter's answer cannot be read: ${body}`, "This is a defect of Weft: please report it with the YAML");
  const said = { ...answered, zone: route.proxy.locality.zone || null };
  const parsed = said.record === null ? undefined : parseDecisionRecord(said.record);
  const { pick } = said;
  const chosen = parsed?.kind === "record" && pick !== null ? entryOfPick(parsed.record, pick) : undefined;
  if (chosen === undefined || pick === null) return { decided: first, said };
  return { decided: mesh.answer(route, { decide: () => ({ pick, ...chosen }) }), said };
}

function notesOn({ imagined }: OfflineMesh, { answer }: OfflineAnswer): readonly string[] {
  const errors = imagined.diagnostics.filter(({ severity }) => severity === "error");
  const [first] = errors;
  return [
    ...(first === undefined
      ? []
      : [
          `${errors.length === 1 ? "a resource has" : `${errors.length} resources have`} an error and count as absent: ${first.origin.file}:${first.origin.line} ${first.what}`,
        ]),
    ...(answer.kind === "no listener" ? ["nothing listens there: the proxy refuses the connection"] : []),
    ...(answer.kind === "no filter chain" ? ["the listener closes such a connection: no filter chain takes it"] : []),
    ...(answer.kind === "unsupported" ? [`only a running proxy can tell what follows: ${answer.what}`] : []),
  ];
}
