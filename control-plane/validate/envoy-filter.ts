// An EnvoyFilter as a whole. Source: Istio ValidateEnvoyFilter. A patch's value is read as the Envoy message that it changes; fields and
// extensions that this version does not know pass, as they do in Istio.
import type { EnvoyConfigPatch } from "../model/envoy-filter.ts";
import type { EnvoyFilter, FieldPath } from "../model/resource.ts";
import { envoyMessageFault } from "./envoy-message.ts";
import { error, type Problem, warning } from "./problem.ts";
import { checkSelectorLabels, checkTarget } from "./selectors.ts";
import { checkRegex } from "./values.ts";

const CODE = "WEFT0378";

/** Everything that an EnvoyFilter by itself can get wrong. */
export function checkEnvoyFilter({ spec }: Pick<EnvoyFilter, "spec">): readonly Problem[] {
  const { workloadSelector, targetRefs, configPatches } = spec;
  const both = workloadSelector !== undefined && targetRefs.length > 0;
  return [
    ...(workloadSelector === undefined ? [] : checkSelectorLabels(workloadSelector.labels, ["spec", "workloadSelector", "labels"])),
    ...(both ? [error(CODE, ["spec"], "an EnvoyFilter has either workloadSelector or targetRefs", "remove one of them")] : []),
    ...checkTarget({ targetRefs }),
    ...configPatches.flatMap((patch, index) => checkPatch(patch, ["spec", "configPatches", index])),
  ];
}

const MAX_VERSION = 1024;

function checkPatch({ applyTo, match, patch }: EnvoyConfigPatch, path: FieldPath): readonly Problem[] {
  if (match?.context === "WAYPOINT") return [];
  if (applyTo === "INVALID") return [error(CODE, path, "the patch does not say what it applies to", "add `applyTo:`")];
  if (patch === undefined) return [error(CODE, path, "the entry has no patch", "add `patch:`")];
  const { operation, value } = patch;
  const at = [...path, "patch"];
  if (operation === "INVALID") return [error(CODE, at, "the patch has no operation", "add `operation:`")];
  if (operation !== "REMOVE" && value === undefined) return [error(CODE, at, `operation ${operation} needs a value`, "add `value:`")];
  const version = match?.proxy?.proxyVersion ?? "";
  const versionPath = [...path, "match", "proxy", "proxyVersion"];
  if (version.length > MAX_VERSION) return [warning(CODE, versionPath, "proxyVersion is too long, and is not looked at", "shorten it")];
  const versionProblems = version === "" ? [] : checkRegex(version, versionPath);
  if (versionProblems.length > 0) return versionProblems;
  const fault = value === undefined ? undefined : envoyMessageFault(applyTo, value);
  return [
    ...checkMatch({ applyTo, match }, [...path, "match"]),
    ...(fault === undefined
      ? []
      : [error(CODE, [...at, "value"], `the value is no part of Envoy's configuration: ${fault}`, "write it as Envoy's v3 API has it")]),
  ];
}

const OBJECTS = ["listener", "routeConfiguration", "cluster", "waypoint"] as const;
/** What a patch's place may be matched by; kinds that are absent take any. */
const MATCHED_BY: Readonly<Record<string, (typeof OBJECTS)[number]>> = {
  LISTENER: "listener",
  FILTER_CHAIN: "listener",
  NETWORK_FILTER: "listener",
  HTTP_FILTER: "listener",
  ROUTE_CONFIGURATION: "routeConfiguration",
  VIRTUAL_HOST: "routeConfiguration",
  HTTP_ROUTE: "routeConfiguration",
  CLUSTER: "cluster",
};
const CONNECTION_MANAGERS: ReadonlySet<string> = new Set(["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"]);

function checkMatch({ applyTo, match }: Pick<EnvoyConfigPatch, "applyTo" | "match">, path: FieldPath): readonly Problem[] {
  if (match === undefined) return [];
  const set = OBJECTS.filter((object) => match[object] !== undefined);
  if (set.length > 1) return [error(CODE, path, `a match is by one object, not by ${set.join(" and ")}`, "keep one of them")];
  if (match.waypoint !== undefined) return [error(CODE, [...path, "waypoint"], "waypoint matches in the context WAYPOINT alone", "write `context: WAYPOINT`")];
  const wanted = MATCHED_BY[applyTo];
  const [object] = set;
  if (wanted !== undefined && object !== undefined && object !== wanted)
    return [error(CODE, [...path, object], `${applyTo} is matched by ${wanted}, not by ${object}`, `write \`${wanted}:\``)];
  const filter = match.listener?.filterChain?.filter;
  if (wanted !== "listener" || filter === undefined) return [];
  const at = [...path, "listener", "filterChain", "filter"];
  const { name = "", subFilter } = filter;
  if (name === "") return [error(CODE, at, "the filter to match has no name", "add `name:`")];
  if (subFilter === undefined) return [];
  if (applyTo !== "HTTP_FILTER")
    return [error(CODE, [...at, "subFilter"], `${applyTo} has no filters inside a filter`, "write `applyTo: HTTP_FILTER`, or remove subFilter")];
  if (!CONNECTION_MANAGERS.has(name))
    return [
      error(
        CODE,
        [...at, "name"],
        "filters inside a filter are those of the HTTP connection manager",
        "write `name: envoy.filters.network.http_connection_manager`",
      ),
    ];
  return (subFilter.name ?? "") === "" ? [error(CODE, [...at, "subFilter"], "the filter to match has no name", "add `name:`")] : [];
}
