// Routes that no request can reach, since an earlier one takes them all: a warning, as Istio's webhook gives one (IST0130, IST0131).
import type { FieldPath } from "../model/resource.ts";
import type { VirtualServiceSpec } from "../model/virtual-service.ts";
import { type Problem, warning } from "./problem.ts";

interface Route {
  readonly name?: string | undefined;
  readonly match: readonly unknown[];
}

/** Warnings on all routes of a VirtualService. */
export function checkUnreachable(spec: VirtualServiceSpec): readonly Problem[] {
  return [...unreachable(spec.http, ["spec", "http"]), ...unreachable(spec.tls, ["spec", "tls"]), ...unreachable(spec.tcp, ["spec", "tcp"])];
}

function unreachable(routes: readonly Route[], path: FieldPath): readonly Problem[] {
  const problems: Problem[] = [];
  /** Conditions to the route that has them first. */
  const taken = new Map<string, number>();
  let catchAll: number | undefined;
  for (const [index, route] of routes.entries()) {
    const at = [...path, index];
    if (catchAll !== undefined) {
      problems.push(
        warning(
          "WEFT0355",
          at,
          `no request reaches this route: route ${named(routes, catchAll)} before it has no match and takes all`,
          "move the route without a match to the end",
        ),
      );
      continue;
    }
    if (route.match.length === 0) catchAll = index;
    const duplicates: Problem[] = [];
    for (const [position, match] of route.match.entries()) {
      const key = JSON.stringify(match);
      const first = taken.get(key);
      if (first === undefined) taken.set(key, index);
      else
        duplicates.push(
          warning("WEFT0356", [...at, "match", position], `route ${named(routes, first)} has the same conditions and comes first`, "remove one of the two"),
        );
    }
    problems.push(...duplicates);
    if (route.match.length > 0 && duplicates.length === route.match.length) {
      problems.push(warning("WEFT0355", at, "no request reaches this route: routes before it have all its conditions", "remove it, or change its match"));
    }
  }
  return problems;
}

function named(routes: readonly Route[], index: number): string {
  const name = routes[index]?.name;
  return name === undefined ? `#${index + 1}` : `"${name}"`;
}
