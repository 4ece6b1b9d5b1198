// `weft diff`: what a change of the YAML would do, before it does it: resources, routes and policies, for whom, and how many requests and users move.
import { stringify } from "yaml";
import { buildFilter } from "../../filter/build.ts";
import type { Origin } from "../model/diagnostic.ts";
import { loadFilter } from "../simulate/decide.ts";
import { compareMeshes, type RouteChange } from "../what-if/compare.ts";
import type { FieldChange } from "../what-if/field-changes.ts";
import { type ImaginedMesh, imagineMesh } from "../what-if/imagine.ts";
import { type ResourceChange, resourceChanges } from "../what-if/resource-changes.ts";
import { type ClusterOption, clusterTexts, withFilesOf } from "./cluster-mesh.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { percentText } from "./explain-text.ts";
import { readMeshFiles } from "./mesh-files.ts";
import { type Style, styleOf } from "./style.ts";
import { alignColumns } from "./table.ts";

export interface DiffOptions extends ClusterOption {
  readonly output: string;
  readonly exitCode?: boolean;
}

/** What `-o json` prints. Shares are in percent of a route's requests. */
export interface DiffReport {
  readonly resources: readonly (ResourceChange & { readonly workloads: readonly string[] })[];
  readonly routes: readonly RouteChange[];
  /** Errors of either side: such resources count as absent there. */
  readonly errors: readonly { readonly side: "old" | "new"; readonly origin: Origin; readonly what: string }[];
}

/** Compares two folders or files and prints what differs. */
export async function diff(before: string, after: string | undefined, options: DiffOptions): Promise<number> {
  const report = reportOn(...(await sidesOf(before, after, options.cluster)), await filterOf());
  process.stdout.write(`${reportText(report, options.output)}\n`);
  const differs = report.resources.length > 0 || report.routes.length > 0;
  return options.exitCode === true && differs ? EXIT.failed : EXIT.ok;
}

/** The whole comparison. Rejects with a CommandError where a side cannot be read. */
export async function diffReport(before: string, after: string): Promise<DiffReport> {
  return reportOn(imagineMesh(await readMeshFiles([before])), imagineMesh(await readMeshFiles([after])), await filterOf());
}

/** With a cluster the old side is what it has, and the new one the same with the files applied. */
async function sidesOf(before: string, after: string | undefined, cluster: DiffOptions["cluster"]): Promise<readonly [ImaginedMesh, ImaginedMesh]> {
  if (cluster !== undefined) {
    if (after !== undefined) throw new CommandError("with --context the old side is the cluster", "Name only the files that would be applied", EXIT.usage);
    return [imagineMesh(await clusterTexts(cluster)), imagineMesh(await withFilesOf(cluster, [before]))];
  }
  if (after === undefined) throw new CommandError("there is nothing to compare with", "Name two folders or files: the old, then the new", EXIT.usage);
  return [imagineMesh(await readMeshFiles([before])), imagineMesh(await readMeshFiles([after]))];
}

async function filterOf(): ReturnType<typeof loadFilter> {
  return loadFilter((await buildFilter()).path, new Uint8Array(8));
}

function reportOn(old: ImaginedMesh, now: ImaginedMesh, filter: Awaited<ReturnType<typeof filterOf>>): DiffReport {
  const { routes, affected } = compareMeshes(old, now, filter);
  const resources = resourceChanges(old.resources, now.resources).map((change) => {
    const scope = change.namespace === "" ? change.name : `${change.namespace}/${change.name}`;
    return { ...change, workloads: affected.get(`${change.kind} ${scope}`) ?? [] };
  });
  return { resources, routes, errors: [...errorsOf("old", old), ...errorsOf("new", now)] };
}

function errorsOf(side: "old" | "new", { diagnostics }: ImaginedMesh): DiffReport["errors"] {
  return diagnostics.filter(({ severity }) => severity === "error").map(({ origin, what }) => ({ side, origin, what }));
}

function reportText(report: DiffReport, output: string): string {
  switch (output) {
    case "json":
      return JSON.stringify(report, undefined, 2);
    case "yaml":
      return stringify(JSON.parse(JSON.stringify(report))).trimEnd();
    default:
      return diffText(report, styleOf(process.stdout, process.env));
  }
}

/** The readable form: resources by kind, then routes with what moves. */
export function diffText({ resources, routes, errors }: DiffReport, style: Style): string {
  const blocks = [
    ...errors.map(({ side, origin, what }) => style.red(`! ${side}: ${origin.file}:${origin.line} ${what}; the resource counts as absent`)),
    ...(resources.length === 0 && routes.length === 0 ? ["nothing differs"] : []),
    ...[...new Set(resources.map(({ kind }) => kind))].map((kind) =>
      kindText(
        kind,
        resources.filter((change) => change.kind === kind),
        style,
      ),
    ),
    ...(routes.length === 0 ? [] : [[style.bold("Routes"), ...routes.map((route) => routeText(route, style))].join("\n")]),
  ];
  return blocks.join("\n\n");
}

const SIGNS = { added: "+", removed: "-", changed: "~" } as const;
/** More of one resource is a rewrite: its diff is better read in the file. */
const MOST_FIELDS = 12;

function kindText(kind: string, changes: DiffReport["resources"], style: Style): string {
  return [
    style.bold(kind),
    ...changes.flatMap(({ change, namespace, name, origin, fields, workloads }) => [
      `  ${signed(change, style)} ${namespace === "" ? name : `${namespace}/${name}`} (${origin.file}:${origin.line})${forText(workloads)}`,
      ...fieldLines(fields),
    ]),
  ].join("\n");
}

function routeText(route: RouteChange, style: Style): string {
  const { change, virtualHost, routeConfiguration, shares, movedPercent, sticky, fields, workloads } = route;
  const at = virtualHost === routeConfiguration ? routeConfiguration : `${routeConfiguration}, ${virtualHost}`;
  const moves = [
    ...(movedPercent === 0 ? [] : [`${percentText(movedPercent)} of its requests go elsewhere`]),
    ...(sticky === undefined || (sticky.moved === 0 && movedPercent === 0) ? [] : [`${sticky.moved} of ${sticky.users} users move`]),
  ];
  const rows = shares.map(({ destination, before, after }) => [
    `      ${destination}`,
    change === "added" ? "" : percentText(before),
    change === "removed" ? "" : `→ ${percentText(after)}`,
  ]);
  return [
    `  ${signed(change, style)} ${route.route || "(without a name)"} at ${at}${forText(workloads)}${moves.length === 0 ? "" : `: ${moves.join(", ")}`}`,
    ...alignColumns(rows),
    ...fieldLines(fields),
  ].join("\n");
}

function fieldLines(fields: readonly FieldChange[]): readonly string[] {
  const shown = fields.slice(0, MOST_FIELDS).map(({ path, before, after }) => `      ${path}: ${before ?? "absent"} → ${after ?? "absent"}`);
  return fields.length > MOST_FIELDS ? [...shown, `      and ${fields.length - MOST_FIELDS} more`] : shown;
}

function forText(workloads: readonly string[]): string {
  return workloads.length === 0 ? "" : ` for ${workloads.join(", ")}`;
}

function signed(change: keyof typeof SIGNS, style: Style): string {
  const colour = { added: style.green, removed: style.red, changed: style.yellow }[change];
  return colour(SIGNS[change]);
}
