// Routes and matches that no request reaches, since earlier ones take them all: said as Istio's webhook says it (IST0130, IST0131).
// Source: Istio analyzeUnreachableHTTPRules, coveredValidation.
import type { StringMatch } from "../model/fields.ts";
import type { FieldPath } from "../model/resource.ts";
import type { HttpMatch, VirtualServiceSpec } from "../model/virtual-service.ts";
import { type Problem, warning } from "./problem.ts";

interface Route {
  readonly name?: string | undefined;
  readonly match: readonly object[];
}

/** Findings on all routes of a VirtualService. */
export function checkUnreachable(spec: VirtualServiceSpec): readonly Problem[] {
  return [
    ...unreachable(spec.http, ["spec", "http"]),
    ...coveredPrefixes(spec.http, ["spec", "http"]),
    ...unreachable(spec.tls, ["spec", "tls"]),
    ...unreachable(spec.tcp, ["spec", "tcp"]),
  ];
}

function unreachable(routes: readonly Route[], path: FieldPath): readonly Problem[] {
  /** Conditions to the route that has them first. */
  const taken = new Map<string, number>();
  let catchAll: number | undefined;
  return routes.flatMap((route, index) => {
    const at = [...path, index];
    if (route.match.length === 0) {
      const former = catchAll;
      catchAll = index;
      return former === undefined ? [] : [unused(at, routes, former)];
    }
    const former = catchAll;
    if (former !== undefined) return route.match.map((_, position) => unused([...at, "match", position], routes, former));
    const duplicates = route.match.flatMap((match, position) => {
      const key = JSON.stringify({ ...match, name: undefined });
      const first = taken.get(key);
      if (first === undefined) taken.set(key, index);
      return first === undefined ? [] : [duplicate([...at, "match", position], `route ${named(routes, first)} has the same conditions and comes first`)];
    });
    if (duplicates.length < route.match.length) return duplicates;
    return [
      ...duplicates,
      warning("WEFT0355", at, "no request reaches this route: routes before it have all its conditions", "remove it, or change its match"),
    ];
  });
}

function unused(at: FieldPath, routes: readonly Route[], catchAll: number): Problem {
  const what = `no request reaches this route: route ${named(routes, catchAll)} before it has no match and takes all`;
  return warning("WEFT0355", at, what, "move the route without a match to the end");
}

function duplicate(at: FieldPath, what: string): Problem {
  return { code: "WEFT0356", severity: "info", path: at, what, fix: "remove one of the two, or put the narrower one first" };
}

/** A match by a prefix of the path, with its place. */
interface PrefixMatch {
  readonly match: HttpMatch;
  readonly prefix: string;
  readonly route: number;
  readonly path: FieldPath;
}

/** Matches whose prefix begins with the prefix of an earlier match that asks for nothing else: requests go there. */
function coveredPrefixes(routes: VirtualServiceSpec["http"], path: FieldPath): readonly Problem[] {
  const seen = new Set<string>();
  const prefixes: PrefixMatch[] = [];
  for (const [route, { match }] of routes.entries()) {
    if (match.length === 0) break;
    for (const [index, conditions] of match.entries()) {
      const key = JSON.stringify({ ...conditions, name: undefined });
      const { uri } = conditions;
      if (!seen.has(key) && uri?.kind === "prefix" && uri.value !== "") {
        prefixes.push({ match: conditions, prefix: uri.value, route, path: [...path, route, "match", index] });
      }
      seen.add(key);
    }
  }
  return prefixes.flatMap((earlier, position) =>
    prefixes
      .slice(position + 1)
      .filter((later) => later.prefix !== earlier.prefix && later.prefix.startsWith(earlier.prefix) && asksNoMore(earlier.match, later.match))
      .map((later) => duplicate(later.path, `route ${named(routes, earlier.route)} takes the prefix "${earlier.prefix}" first, and "${later.prefix}" with it`)),
  );
}

/** Whether Istio takes the conditions beside the path for overlapping: equal, or the earlier one's text begins with the later one's. */
function asksNoMore(earlier: HttpMatch, later: HttpMatch): boolean {
  return (
    earlier.port === later.port &&
    conditionText(earlier.method, "exact|GET").startsWith(conditionText(later.method, "exact|GET")) &&
    conditionText(earlier.authority).startsWith(conditionText(later.authority)) &&
    (["headers", "queryParams", "withoutHeaders"] as const).every((field) => isCovered(earlier[field], later[field]))
  );
}

function isCovered(earlier: Readonly<Record<string, StringMatch>>, later: Readonly<Record<string, StringMatch>>): boolean {
  const entries = Object.entries(earlier);
  return (
    entries.length === Object.keys(later).length &&
    entries.every(([name, match]) => later[name] !== undefined && conditionText(match).startsWith(conditionText(later[name])))
  );
}

/** A regular expression and mere presence say nothing that could be compared. */
function conditionText(match: StringMatch | undefined, absent = ""): string {
  return match === undefined || match.kind === "present" || match.kind === "regex" || match.value === "" ? absent : `${match.kind}|${match.value}`;
}

function named(routes: readonly Route[], index: number): string {
  const name = routes[index]?.name;
  return name === undefined ? `#${index + 1}` : `"${name}"`;
}
