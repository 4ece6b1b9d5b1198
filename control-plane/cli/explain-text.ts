// An explanation as a person reads it: from the listener to the endpoints, one row a step. Pure.

import { PASSTHROUGH_CLUSTER } from "../translate/names.ts";
import type { ExplainReport } from "./explain.ts";
import type { ExplainedCandidate } from "./explain-answer.ts";
import { stepLines } from "./explain-authorization.ts";
import type { Style } from "./style.ts";
import { alignColumns } from "./table.ts";

/** The readable form of `weft explain`. */
export function explainText(report: ExplainReport, style: Style): string {
  const { request, from } = report;
  const place = from.zone === "" ? from.name : `${from.name} in ${from.zone}`;
  const live = report.mode === "live";
  const rows = [
    ["listener", live ? `${report.listener.name}, ${report.listener.url}` : report.listener.name],
    ...passedRows(report),
    ...(report.matched ? stepsOf(report) : [["route", unmatchedText(report)]]),
    ...authorizationRows(report),
  ];
  const lines = alignColumns(rows).map((line) => `  ${line}`);
  const notes = report.notes.map((note) => style.yellow(`! ${note}`));
  return [
    style.bold(`${request.method} ${request.url} from ${place} (${live ? "asked, not sent" : "by the YAML, nothing was asked"})`),
    "",
    ...lines,
    ...(notes.length === 0 ? [] : ["", ...notes]),
  ].join("\n");
}

/** `62 %`; one digit behind the point where it is no whole number. */
export function percentText(percent: number): string {
  const rounded = Math.round(percent * 10) / 10;
  return rounded === 0 && percent > 0 ? "< 0.1 %" : `${rounded} %`;
}

type Rows = readonly (readonly string[])[];

function stepsOf(report: ExplainReport): Rows {
  const { virtualService, chosenCluster } = report;
  const place = report.origin === undefined ? "" : ` (${report.origin.file}:${report.origin.line})`;
  const name =
    virtualService === undefined
      ? ownRoute(report.route)
      : `VirtualService ${virtualService.namespace}/${virtualService.name}, route ${virtualService.route}${place}`;
  const route = report.route === null && chosenCluster !== undefined ? [] : [["route", name]];
  if (chosenCluster === undefined) return [...route, ["answer", ownAnswer(report)]];
  return [...route, ...actionRows(report), ...choiceRows(report), ...zoneRows(report), ["cluster", chosenCluster], ...endpointRows(report)];
}

function unmatchedText({ action, notes }: ExplainReport): string {
  switch (action?.kind) {
    case "no virtual host":
      return `no virtual host has this authority: Envoy answers ${action.status}`;
    case "redirect":
      return `the host demands TLS: ${action.status} to ${action.location}`;
    default:
      return action === undefined && notes.length > 0 ? "none" : "no route matched: Envoy answers 404";
  }
}

/** What a route answers by itself. Live, the filter does not say. */
function ownAnswer({ action }: ExplainReport): string {
  switch (action?.kind) {
    case "redirect":
      return `redirect, ${action.status} to ${action.location}`;
    case "direct response":
      return `${action.status}${action.body === undefined || action.body === "" ? "" : `, ${JSON.stringify(action.body.slice(0, 60))}`}`;
    default:
      return "the route answers by itself: a redirect or a fixed response";
  }
}

/** Who lets it in, in the order of its way. */
function authorizationRows({ authorization, ruleOrigins = {} }: ExplainReport): Rows {
  const lines = authorization.flatMap((step) => stepLines(step, ruleOrigins));
  return lines.map((line, index) => [index === 0 ? "authorization" : "", line]);
}

/** Each route that stands before the one taken, and its first condition that failed. */
function passedRows({ passed = [] }: ExplainReport): Rows {
  return passed.map(({ route, origin, failure }, index) => {
    const place = origin === undefined ? "" : ` (${origin.file}:${origin.line})`;
    const subject = failure.kind === "caller" ? failure.name : failure.name === ":path" ? "path" : failure.name;
    const actual = failure.actual === undefined ? "there is none" : `it is ${JSON.stringify(failure.actual)}`;
    return [index === 0 ? "not taken" : "", `${route}${place}: ${subject} ${failure.expected}, ${actual}`];
  });
}

/** What the route does on the way: known off-line only. */
function actionRows({ action, request }: ExplainReport): Rows {
  if (action?.kind !== "forward") return [];
  const chosen = action.destinations[action.chosen];
  if (chosen === undefined) return [];
  const asked = /^https?:\/\/[^/?#]+([^#]*)/i.exec(request.url)?.[1] || "/";
  const { faults } = chosen;
  return [
    ...(chosen.path === asked ? [] : [["path", chosen.path]]),
    ...(faults?.delay === undefined ? [] : [["fault", `delay of ${faults.delay.ms ?? "?"} ms for ${percentText(100 * faults.delay.share)}`]]),
    ...(faults?.abort === undefined
      ? []
      : [["fault", `abort with ${faults.abort.httpStatus ?? faults.abort.grpcStatus} for ${percentText(100 * faults.abort.share)}`]]),
    ...action.mirrors.map(({ cluster, share }) => ["mirror", `${cluster} ${percentText(100 * share)}`]),
    ...(action.timeoutMs === undefined ? [] : [["timeout", `${action.timeoutMs} ms`]]),
  ];
}

/** Routes that no VirtualService has made (translate/routes.ts, translate/pass-through.ts). */
function ownRoute(route: string | null): string {
  switch (route) {
    case "default":
      return "default: no VirtualService speaks about this service";
    case "allow_any":
      return "allow_any: the mesh does not know the name and lets it pass";
    case "block_all":
      return "block_all: the mesh does not know the name and refuses it";
    default:
      return route ?? "(without a name)";
  }
}

function choiceRows(report: ExplainReport): Rows {
  const { candidates } = report;
  const chosen = candidates.find((candidate) => candidate.chosen);
  if (candidates.length < 2) return chosen === undefined || chosen.subset === "" ? [] : [["subset", chosen.subset]];
  const shares = candidates.map((candidate) => `${labelOf(candidate, candidates)} ${percentText(candidate.sharePercent)}`).join(", ");
  return chosen === undefined
    ? [["choice", shares]]
    : [
        ["choice", shares],
        ["", `→ ${labelOf(chosen, candidates)}: ${reasonOf(report)}`],
      ];
}

/** The subset's name where that tells the candidates apart, else the host too. */
function labelOf({ host, port, subset }: ExplainedCandidate, candidates: readonly ExplainedCandidate[]): string {
  const sameHost = candidates.every((candidate) => candidate.host === host && candidate.port === port && candidate.subset !== "");
  return sameHost ? subset : `${host}:${port}${subset === "" ? "" : ` subset ${subset}`}`;
}

function reasonOf({ sticky, key }: ExplainReport): string {
  if (sticky === undefined || sticky.kind === "none") return "drawn by weight, for each request anew";
  const name = `${sticky.kind} ${sticky.name}`;
  if (key !== null) return `by ${name} = ${JSON.stringify(key)}, the same for every request with it`;
  return sticky.kind === "cookie" && sticky.attributes !== undefined
    ? `drawn by weight; the client would be given the ${name} and stay`
    : `drawn by weight, since the request has no ${name}`;
}

/** Zones that the filter splits between, or what the priorities of the one cluster amount to now. */
function zoneRows(report: ExplainReport): Rows {
  const zones = report.candidates.find((candidate) => candidate.chosen)?.zones ?? [];
  const chosen = zones.find((zone) => zone.chosen);
  if (zones.length > 1 && chosen !== undefined) {
    const why = report.zoneKey === null ? "drawn by share" : `by the hash of ${JSON.stringify(report.zoneKey)}`;
    return [
      ["zones", sharesText(zones)],
      ["", `→ ${zoneText(chosen.zone)}: ${why}; fails over by itself`],
    ];
  }
  return report.zoneShares.every(({ zone }) => zone === "")
    ? []
    : [["zones", `${sharesText(report.zoneShares)} (${report.mode === "live" ? "priorities as health stands now" : "priorities, with every copy healthy"})`]];
}

function sharesText(zones: readonly { readonly zone: string; readonly sharePercent: number }[]): string {
  return zones.map(({ zone, sharePercent }) => `${zoneText(zone)} ${percentText(sharePercent)}`).join(", ");
}

function zoneText(zone: string): string {
  return zone === "" ? "(no zone)" : zone;
}

function endpointRows({ endpoints, chosenCluster }: ExplainReport): Rows {
  if (chosenCluster === PASSTHROUGH_CLUSTER) return [["endpoints", "whatever the name resolves to when a request comes"]];
  if (endpoints === null) return [["endpoints", "unknown: the proxy does not list this cluster"]];
  if (endpoints.length === 0) return [["endpoints", "none: Envoy answers 503 (no healthy upstream)"]];
  const named = endpoints.some(({ instance }) => instance !== undefined);
  const rows = endpoints.map(({ instance, address, zone, health, priority }) => [
    ...(named ? [instance ?? "-"] : []),
    address,
    zoneText(zone),
    health,
    `priority ${priority}`,
  ]);
  return alignColumns(rows).map((line, index) => [index === 0 ? "endpoints" : "", line]);
}
