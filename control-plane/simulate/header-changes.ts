// What a route does to headers: the steps in the order in which Envoy takes them, and headers with such steps applied.
import { type HeaderValueOption, HeaderValueOption_HeaderAppendAction } from "../gen/envoy/config/core/v3/base_pb.js";
import type { Route, VirtualHost, WeightedCluster_ClusterWeight } from "../gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "../gen/envoy/config/route/v3/route_pb.js";
import type { HeaderMap } from "./request.ts";

/** What one level of the configuration does to headers: it removes first. */
export interface HeaderStep {
  readonly level: "destination" | "route" | "virtual host" | "route configuration";
  /** Lower-case names. */
  readonly remove: readonly string[];
  readonly add: readonly HeaderAddition[];
}

interface HeaderAddition {
  /** Lower-case. */
  readonly name: string;
  /** As configured, with its command operators. */
  readonly value: string;
  readonly action: "append" | "add if absent" | "overwrite" | "overwrite if exists";
  /** Whether an empty value is set; else it changes nothing. */
  readonly keepEmpty: boolean;
}

/** Where header operations can stand. */
export interface HeaderLevels {
  readonly configuration: RouteConfiguration;
  readonly virtualHost: VirtualHost;
  readonly route: Route;
  readonly destination?: WeightedCluster_ClusterWeight;
}

/** The steps for the request's headers, in the order in which Envoy takes them. */
export function requestSteps(levels: HeaderLevels): readonly HeaderStep[] {
  return ordered(levels, (level, source) => step(level, source.requestHeadersToRemove, source.requestHeadersToAdd));
}

/** The steps for the response's headers. */
export function responseSteps(levels: HeaderLevels): readonly HeaderStep[] {
  return ordered(levels, (level, source) => step(level, source.responseHeadersToRemove, source.responseHeadersToAdd));
}

/** Gives a header value for its template, with the headers as they are at that moment. */
export type ValueFormat = (template: string, headers: HeaderMap) => string;

/**
 * Headers after the steps. Within a step the values and conditions of all additions see the headers as they were after its removals; overwriting comes
 * before adding. Source: header_parser.cc, HeaderParser::evaluateHeaders.
 */
export function applySteps(headers: HeaderMap, steps: readonly HeaderStep[], format: ValueFormat): HeaderMap {
  const result = new Map(Object.entries(headers));
  for (const { remove, add } of steps) {
    for (const name of remove) result.delete(name);
    const current = Object.fromEntries(result);
    const taken = add
      .map((addition) => ({ ...addition, value: format(addition.value, current) }))
      .filter(({ value, keepEmpty, name, action }) => {
        if (value === "" && !keepEmpty) return false;
        if (action === "add if absent") return current[name] === undefined;
        return action !== "overwrite if exists" || current[name] !== undefined;
      });
    for (const { name, value, action } of taken) if (action.startsWith("overwrite")) result.set(name, [value]);
    for (const { name, value, action } of taken) if (!action.startsWith("overwrite")) result.set(name, [...(result.get(name) ?? []), value]);
  }
  return Object.fromEntries(result);
}

/** The destination's own operations come first; then the most specific level, or the least specific where the configuration lets that one win. */
function ordered(levels: HeaderLevels, make: (level: HeaderStep["level"], source: HeaderSource) => HeaderStep): readonly HeaderStep[] {
  const { configuration, virtualHost, route, destination } = levels;
  const common = [make("route", route), make("virtual host", virtualHost), make("route configuration", configuration)];
  if (configuration.mostSpecificHeaderMutationsWins) common.reverse();
  const steps = destination === undefined ? common : [make("destination", destination), ...common];
  return steps.filter(({ remove, add }) => remove.length > 0 || add.length > 0);
}

type HeaderSource = Pick<RouteConfiguration, "requestHeadersToAdd" | "requestHeadersToRemove" | "responseHeadersToAdd" | "responseHeadersToRemove">;

function step(level: HeaderStep["level"], remove: readonly string[], add: readonly HeaderValueOption[]): HeaderStep {
  return { level, remove: remove.map((name) => name.toLowerCase()), add: add.map(addition) };
}

function addition(option: HeaderValueOption): HeaderAddition {
  const { key = "", value = "" } = option.header ?? {};
  return { name: key.toLowerCase(), value, action: actionOf(option), keepEmpty: option.keepEmptyValue };
}

function actionOf(option: HeaderValueOption): HeaderAddition["action"] {
  // The deprecated `append` decides where it is set.
  if (option.append !== undefined) return option.append ? "append" : "overwrite";
  switch (option.appendAction) {
    case HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD:
      return "append";
    case HeaderValueOption_HeaderAppendAction.ADD_IF_ABSENT:
      return "add if absent";
    case HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD:
      return "overwrite";
    case HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS:
      return "overwrite if exists";
  }
}
