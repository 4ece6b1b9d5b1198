// An explanation as a person reads it: from the listener to the endpoints, one row a step. Pure.

import { PASSTHROUGH_CLUSTER } from "../translate/names.ts";
import type { ExplainReport } from "./explain.ts";
import type { ExplainedCandidate } from "./explain-answer.ts";
import type { Style } from "./style.ts";
import { alignColumns } from "./table.ts";

/** The readable form of `weft explain`. */
export function explainText(report: ExplainReport, style: Style): string {
  const { request, from } = report;
  const place = from.zone === "" ? from.name : `${from.name} in ${from.zone}`;
  const rows = [
    ["listener", `${report.listener.name}, ${report.listener.url}`],
    ...(report.matched ? stepsOf(report) : [["route", "no route matched: Envoy answers 404"]]),
  ];
  const lines = alignColumns(rows).map((line) => `  ${line}`);
  const notes = report.notes.map((note) => style.yellow(`! ${note}`));
  return [style.bold(`${request.method} ${request.url} from ${place} (asked, not sent)`), "", ...lines, ...(notes.length === 0 ? [] : ["", ...notes])].join(
    "\n",
  );
}

/** `62 %`; one digit behind the point where it is no whole number. */
export function percentText(percent: number): string {
  const rounded = Math.round(percent * 10) / 10;
  return rounded === 0 && percent > 0 ? "< 0.1 %" : `${rounded} %`;
}

type Rows = readonly (readonly string[])[];

function stepsOf(report: ExplainReport): Rows {
  const { virtualService, chosenCluster } = report;
  const name =
    virtualService === undefined ? ownRoute(report.route) : `VirtualService ${virtualService.namespace}/${virtualService.name}, route ${virtualService.route}`;
  if (chosenCluster === undefined)
    return [
      ["route", name],
      ["answer", "the route answers by itself: a redirect or a fixed response"],
    ];
  return [["route", name], ...choiceRows(report), ...zoneRows(report), ["cluster", chosenCluster], ...endpointRows(report)];
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
  return report.zoneShares.every(({ zone }) => zone === "") ? [] : [["zones", `${sharesText(report.zoneShares)} (priorities as health stands now)`]];
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
