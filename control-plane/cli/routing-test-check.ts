// An expectation against what became of the request: what differs goes out, each difference with what was expected and what is. Pure.
import { resolveHostname } from "../mesh/hosts.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { HeaderMap } from "../simulate/request.ts";
import { type AuthorizationStep, decidingPolicy, overallDecision } from "./explain-authorization.ts";
import type { OutcomeDestination, RoutingOutcome } from "./routing-outcome.ts";
import type { Expectation, ExpectedDestination } from "./routing-test-file.ts";

/** One field that is not as expected. */
export interface Difference {
  readonly field: string;
  readonly expected: string;
  readonly actual: string;
}

/** Shares are compared to this many points: Envoy's whole-number widths cannot be more exact. */
const SHARE_TOLERANCE = 0.05;

/** All differences; none where the test passes. Host names are read as they would be in a rule of `namespace`. */
export function differences(expected: Expectation, outcome: RoutingOutcome, mesh: Mesh, namespace: string): readonly Difference[] {
  const found: Difference[] = [];
  const compare = (field: string, wanted: unknown, actual: unknown): void => {
    if (wanted !== undefined && wanted !== (actual ?? null)) found.push({ field, expected: text(wanted), actual: text(actual) });
  };
  const hostname = (host: string): string => resolveHostname(mesh, host, namespace);
  if (expected.route !== undefined && !isRoute(expected.route, outcome.route)) compare("route", expected.route, outcome.route);
  compare("status", expected.status, outcome.status);
  compare("path", expected.path, outcome.path);
  compare("authority", expected.authority, outcome.authority);
  if (expected.timeout !== undefined)
    compare("timeout", expected.timeout === null ? null : `${expected.timeout} ms`, outcome.timeoutMs === undefined ? null : `${outcome.timeoutMs} ms`);
  compare("retries", expected.retries, outcome.retries);
  found.push(...headerDifferences("requestHeaders", expected.requestHeaders, outcome.requestHeaders));
  found.push(...headerDifferences("responseHeaders", expected.responseHeaders, outcome.responseHeaders));
  if (expected.redirect !== undefined) {
    if (outcome.redirect === undefined) found.push(missing("redirect", expected.redirect, outcome));
    else for (const key of ["status", "location"] as const) compare(`redirect.${key}`, expected.redirect[key], outcome.redirect[key]);
  }
  if (expected.directResponse !== undefined) {
    if (outcome.directResponse === undefined) found.push(missing("directResponse", expected.directResponse, outcome));
    else for (const key of ["status", "body"] as const) compare(`directResponse.${key}`, expected.directResponse[key], outcome.directResponse[key]);
  }
  found.push(...faultDifferences(expected.fault, outcome));
  if (expected.destination !== undefined) {
    const { destination } = outcome;
    if (destination === undefined || !isDestination(expected.destination, destination, hostname))
      found.push({ field: "destination", expected: destinationText(expected.destination), actual: chosenText(outcome) });
  }
  if (expected.destinations !== undefined) found.push(...listDifferences("destinations", expected.destinations, outcome.destinations, hostname));
  if (expected.mirrors !== undefined) found.push(...listDifferences("mirrors", expected.mirrors, outcome.mirrors, hostname));
  return found;
}

/** Likewise for what is expected of the policies on the request's way. */
export function authorizationDifferences(expected: Expectation, steps: readonly AuthorizationStep[]): readonly Difference[] {
  const decision = overallDecision(steps);
  const policy = decidingPolicy(steps);
  return [
    ...(expected.authorization === undefined || expected.authorization === decision
      ? []
      : [{ field: "authorization", expected: expected.authorization, actual: decision }]),
    ...(expected.policy === undefined || expected.policy === policy ? [] : [{ field: "policy", expected: text(expected.policy), actual: text(policy) }]),
  ];
}

/** What the request became, in one line. */
export function outcomeText(outcome: RoutingOutcome): string {
  const { redirect, directResponse, remark, status } = outcome;
  if (redirect !== undefined) return `redirect ${redirect.status} to ${redirect.location}`;
  if (directResponse !== undefined) return `direct response ${directResponse.status}`;
  if (outcome.destinations.length > 0) return outcome.destinations.map((entry) => `${destinationText(entry)} ${percent(entry.sharePercent)}`).join(", ");
  return [remark ?? "nothing", ...(status === undefined ? [] : [`status ${status}`])].join(", ");
}

/** The route's own name is enough; with VirtualService and namespace before it, those count too. */
function isRoute(expected: string | null, actual: string | null): boolean {
  return actual === expected || (actual !== null && expected !== null && actual.endsWith(`/${expected}`));
}

function isDestination(
  expected: Pick<ExpectedDestination, "host" | "port" | "subset" | "zone">,
  actual: OutcomeDestination & { readonly zone?: string },
  hostname: (host: string) => string,
): boolean {
  return (
    (actual.host === expected.host || actual.host === hostname(expected.host)) &&
    (expected.port === undefined || expected.port === actual.port) &&
    (expected.subset === undefined || expected.subset === actual.subset) &&
    (expected.zone === undefined || (actual.zone ?? "").endsWith(expected.zone))
  );
}

function listDifferences(
  field: string,
  expected: readonly ExpectedDestination[],
  actual: readonly (OutcomeDestination & { readonly sharePercent: number; readonly requestHeaders?: HeaderMap })[],
  hostname: (host: string) => string,
): readonly Difference[] {
  const left = [...actual];
  const found: Difference[] = [];
  for (const wanted of expected) {
    const index = left.findIndex((entry) => isDestination(wanted, entry, hostname));
    const [match] = index < 0 ? [] : left.splice(index, 1);
    const name = destinationText(wanted);
    if (match === undefined) found.push({ field, expected: name, actual: listText(actual) });
    else {
      if (wanted.share !== undefined && Math.abs(wanted.share - match.sharePercent) > SHARE_TOLERANCE)
        found.push({ field: `${field}: share of ${name}`, expected: percent(wanted.share), actual: percent(match.sharePercent) });
      found.push(...headerDifferences(`${field}: requestHeaders of ${name}`, wanted.requestHeaders, match.requestHeaders ?? {}));
    }
  }
  return [...found, ...left.map((entry) => ({ field, expected: "nothing else", actual: `${destinationText(entry)} ${percent(entry.sharePercent)}` }))];
}

function faultDifferences(expected: Expectation["fault"], outcome: RoutingOutcome): readonly Difference[] {
  if (expected === undefined) return [];
  const { fault } = outcome;
  if (expected === null) return fault === undefined ? [] : [{ field: "fault", expected: "none", actual: JSON.stringify(fault) }];
  const found: Difference[] = [];
  const compare = (field: string, wanted: number | undefined, actual: number | undefined): void => {
    if (wanted !== undefined && (actual === undefined || Math.abs(wanted - actual) > 1e-6))
      found.push({ field: `fault.${field}`, expected: String(wanted), actual: text(actual) });
  };
  const percentOf = (share: number | undefined): number | undefined => (share === undefined ? undefined : 100 * share);
  if (expected.delay !== undefined && fault?.delay === undefined) found.push({ field: "fault.delay", expected: "a delay", actual: "none" });
  if (expected.abort !== undefined && fault?.abort === undefined) found.push({ field: "fault.abort", expected: "an abort", actual: "none" });
  if (fault?.delay !== undefined) {
    compare("delay.duration", expected.delay?.duration, fault.delay.ms);
    compare("delay.share", expected.delay?.share, percentOf(fault.delay.share));
  }
  if (fault?.abort !== undefined) {
    compare("abort.status", expected.abort?.status, fault.abort.httpStatus);
    compare("abort.grpcStatus", expected.abort?.grpcStatus, fault.abort.grpcStatus);
    compare("abort.share", expected.abort?.share, percentOf(fault.abort.share));
  }
  return found;
}

function headerDifferences(field: string, expected: Readonly<Record<string, string | null>> | undefined, actual: HeaderMap): readonly Difference[] {
  return Object.entries(expected ?? {}).flatMap(([name, wanted]) => {
    const value = actual[name.toLowerCase()]?.join(",") ?? null;
    return value === wanted ? [] : [{ field: `${field}.${name}`, expected: wanted ?? "absent", actual: value ?? "absent" }];
  });
}

function missing(field: string, expected: unknown, outcome: RoutingOutcome): Difference {
  return { field, expected: JSON.stringify(expected), actual: outcomeText(outcome) };
}

function chosenText(outcome: RoutingOutcome): string {
  if (outcome.destination !== undefined) return destinationText(outcome.destination);
  return outcome.destinations.length > 1 ? `drawn anew for each request: ${outcomeText(outcome)}` : outcomeText(outcome);
}

function listText(entries: readonly (OutcomeDestination & { readonly sharePercent: number })[]): string {
  return entries.length === 0 ? "none" : entries.map((entry) => `${destinationText(entry)} ${percent(entry.sharePercent)}`).join(", ");
}

function destinationText({
  host,
  port,
  subset,
  zone,
}: {
  readonly host: string;
  readonly port?: number | undefined;
  readonly subset?: string | undefined;
  readonly zone?: string | undefined;
}): string {
  return [port === undefined || port === 0 ? host : `${host}:${port}`, ...(subset ? [`subset ${subset}`] : []), ...(zone ? [`zone ${zone}`] : [])].join(" ");
}

function percent(value: number): string {
  return `${Math.round(value * 100) / 100} %`;
}

function text(value: unknown): string {
  return value === undefined || value === null ? "none" : String(value);
}
