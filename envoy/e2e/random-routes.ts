// Random route configurations and requests for them, from a seed: equal seeds give equal cases. Values come from small pools, so that conditions hold and fail alike.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { HeaderValueOption_HeaderAppendAction, type HeaderValueOptionSchema } from "../../control-plane/gen/envoy/config/core/v3/base_pb.js";
import {
  type HeaderMatcherSchema,
  type QueryParameterMatcherSchema,
  RedirectAction_RedirectResponseCode,
  type RouteActionSchema,
  type RouteMatchSchema,
  type RouteSchema,
  type VirtualHostSchema,
  type WeightedCluster_ClusterWeightSchema,
} from "../../control-plane/gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "../../control-plane/gen/envoy/config/route/v3/route_pb.js";
import { HTTPFaultSchema } from "../../control-plane/gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import type { StringMatcherSchema } from "../../control-plane/gen/envoy/type/matcher/v3/string_pb.js";
import { FractionalPercent_DenominatorType } from "../../control-plane/gen/envoy/type/v3/percent_pb.js";
import type { HeaderMap, SimulatedRequest } from "../../control-plane/simulate/request.ts";
import { packAny } from "../../control-plane/translate/any.ts";
import type { Init } from "../../control-plane/translate/init.ts";

/** The clusters that exist. */
export const CLUSTERS: readonly string[] = ["one", "two", "three"];
/** The headers that routes look at and change; what else there is in a message is the proxy's own. */
export const HEADER_NAMES: readonly string[] = ["x-a", "x-b", "x-c", "x-forwarded-host"];
/** What every upstream answers with. */
export const UPSTREAM_HEADERS: HeaderMap = { "x-a": ["up"], "x-b": ["up1", "up2"] };
const PICK_HEADER = "x-pick";

/** A source of random numbers that repeats from its seed. */
export interface Dice {
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  chance(share: number): boolean;
  /** One of the list, which is not empty. */
  pick<Item>(items: readonly [Item, ...Item[]]): Item;
  /** Up to `most` of them, made one by one. */
  some<Item>(most: number, make: () => Item): Item[];
}

/** Mulberry32. */
export function createDice(seed: number): Dice {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    below,
    chance: (share) => next() < share,
    pick: (items) => items[below(items.length)] ?? items[0],
    some: (most, make) => Array.from({ length: below(most + 1) }, make),
  };
}

/** A configuration that Envoy accepts. Its routes are named, and say so in the response's `x-route`. */
export function randomConfiguration(dice: Dice, name: string): RouteConfiguration {
  const domains = ["a.example", "b.example", "*.example", "*.b.example", "*-x.example", "a.*", "a.ex*", "a.example:8080", "[::1]", "*"];
  const hosts = Array.from({ length: 1 + dice.below(4) }, (_, index) => index);
  const shared = shuffled(dice, domains).map((domain) => ({ domain, host: dice.below(hosts.length + 1) }));
  return create(RouteConfigurationSchema, {
    name,
    validateClusters: false,
    mostSpecificHeaderMutationsWins: dice.chance(0.4),
    ignorePortInHostMatching: dice.chance(0.3),
    ignorePathParametersInPathMatching: dice.chance(0.2),
    ...headerOperations(dice, 1),
    virtualHosts: hosts
      .map((index) =>
        virtualHost(
          dice,
          `${name}-${index}`,
          shared.filter(({ host }) => host === index).map(({ domain }) => domain),
        ),
      )
      .filter(({ domains }) => (domains ?? []).length > 0),
  });
}

/** A request that has a chance to match the pools of `randomConfiguration`. */
export function randomRequest(dice: Dice): SimulatedRequest {
  const one = (name: string): string => (name === PICK_HEADER ? dice.pick(["0", "7", "123456", "99", " 5", "+3", "x", "18446744073709551615"]) : value(dice));
  const headers = Object.fromEntries(
    [...HEADER_NAMES.slice(0, 3), PICK_HEADER, "x-name", "cookie"]
      .filter(() => dice.chance(0.5))
      // The client's HTTP library puts several cookies into one line.
      .map((name) => [name, name !== "cookie" && dice.chance(0.15) ? [one(name), one(name)] : [one(name)]]),
  );
  return {
    method: dice.pick(["GET", "GET", "POST", "HEAD", "DELETE", "OPTIONS"]),
    scheme: dice.pick(["http", "http", "https"]),
    authority: dice.pick([
      "a.example",
      "A.Example",
      "b.example",
      "q.b.example",
      ".b.example",
      "z-x.example",
      "a.other",
      "a.example:8080",
      "b.example:80",
      "b.example:443",
      "[::1]:80",
      "other",
    ]),
    path: randomPath(dice) + (dice.chance(0.5) ? `?${dice.some(3, () => dice.pick(["q=1", "q=2", "q", "r=1", "q=", "=1", "r=a%20b", "Q=1"])).join("&")}` : ""),
    headers: {
      ...headers,
      ...(dice.chance(0.15) ? { "content-type": [dice.pick(["application/grpc", "application/grpc+proto", "application/grpcx", "text/plain"])] } : {}),
    },
    internal: dice.chance(0.2),
    random: 0,
  };
}

function randomPath(dice: Dice): string {
  return dice.pick(["/", "/a", "/A", "/ab", "/a/b", "/a/B", "/a/b/c", "/a/", "/b/a", "/b;x=1/a", "/a;v=2", "/1/2", "/a.b", "/a%2Fb", "/%C3%A9"]);
}

function value(dice: Dice): string {
  return dice.pick(["1", "2", "10", "abc", "ABC", "a", "a,b", "-5", "", "one", "two", "nowhere"]);
}

function shuffled<Item>(dice: Dice, items: readonly Item[]): readonly Item[] {
  return items
    .map((item) => ({ item, key: dice.below(2 ** 31) }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

function virtualHost(dice: Dice, name: string, domains: string[]): Init<typeof VirtualHostSchema> {
  return {
    name,
    domains,
    requireTls: dice.pick([0, 0, 0, 0, 1, 2]),
    ...headerOperations(dice, 1),
    ...(dice.chance(0.1) ? faults(dice) : {}),
    routes: Array.from({ length: 1 + dice.below(6) }, (_, index) => route(dice, `${name}-${index}`)),
  };
}

function route(dice: Dice, name: string): Init<typeof RouteSchema> {
  const operations = headerOperations(dice, 2);
  return {
    name,
    match: match(dice),
    action: action(dice),
    ...operations,
    ...(dice.chance(0.1) ? faults(dice) : {}),
    responseHeadersToAdd: [...operations.responseHeadersToAdd, { header: { key: "x-route", value: name } }],
  };
}

function match(dice: Dice): Init<typeof RouteMatchSchema> {
  const path = dice.pick<() => NonNullable<Init<typeof RouteMatchSchema>["pathSpecifier"]>>([
    () => ({ case: "prefix", value: dice.pick(["/", "/", "/a", "/A", "/a/", "/b", "", "/a;v"]) }),
    () => ({ case: "prefix", value: "/" }),
    () => ({ case: "path", value: dice.pick(["/a", "/A", "/a/b", "/", "/a/b/c", "/b"]) }),
    () => ({ case: "safeRegex", value: { regex: dice.pick(["/a.*", "/[ab]/?", "/\\d/\\d", ".*b", "(?i)/A(/.*)?", "/a|/b.*", "^/a$", "/\\pL+"]) } }),
    () => ({ case: "pathSeparatedPrefix", value: dice.pick(["/a", "/A", "/a/b", "/b"]) }),
  ])();
  return {
    pathSpecifier: path,
    ...(dice.chance(0.3) ? { caseSensitive: dice.chance(0.3) } : {}),
    headers: dice.chance(0.4) ? dice.some(2, () => headerMatcher(dice)) : [],
    queryParameters: dice.chance(0.25) ? dice.some(2, () => queryMatcher(dice)) : [],
    ...(dice.chance(0.06) ? { grpc: {} } : {}),
    ...(dice.chance(0.1) ? { runtimeFraction: { defaultValue: certain(dice), runtimeKey: "" } } : {}),
  };
}

/** Never or always: what is in between is the proxy's random number. */
function certain(dice: Dice): { numerator: number; denominator: FractionalPercent_DenominatorType } {
  const always = dice.chance(0.6);
  return dice.pick([
    { numerator: always ? 100 : 0, denominator: FractionalPercent_DenominatorType.HUNDRED },
    { numerator: always ? 1_000_000 : 0, denominator: FractionalPercent_DenominatorType.MILLION },
  ]);
}

function stringMatcher(dice: Dice): Init<typeof StringMatcherSchema> {
  const text = dice.pick(["1", "abc", "a", "b", "ABC", "10", "one"]);
  const pattern = dice.pick<NonNullable<Init<typeof StringMatcherSchema>["matchPattern"]>>([
    { case: "exact", value: text },
    { case: "prefix", value: text },
    { case: "suffix", value: text },
    { case: "contains", value: text },
    { case: "safeRegex", value: { regex: dice.pick(["[a-c]+", "\\d+", "a.*", "b?", "(?i)ABC", "1|2", "a,?b?"]) } },
  ]);
  return { matchPattern: pattern, ignoreCase: pattern.case !== "safeRegex" && dice.chance(0.3) };
}

function headerMatcher(dice: Dice): Init<typeof HeaderMatcherSchema> {
  const name = dice.pick(["x-a", "X-B", "x-c", ":method", ":path", ":authority", "host", ":scheme", "x-forwarded-proto", "cookie"]);
  const text = dice.pick(["1", "abc", "a", "GET", "http", "/a", "a.example"]);
  const specifier = dice.pick<NonNullable<Init<typeof HeaderMatcherSchema>["headerMatchSpecifier"]>>([
    { case: "stringMatch", value: stringMatcher(dice) },
    { case: "stringMatch", value: { matchPattern: { case: "exact", value: text } } },
    { case: "presentMatch", value: dice.chance(0.7) },
    { case: "rangeMatch", value: { start: BigInt(dice.below(10) - 6), end: BigInt(dice.below(12) + 1) } },
    { case: undefined },
  ]);
  return { name, headerMatchSpecifier: specifier, invertMatch: dice.chance(0.3), treatMissingHeaderAsEmpty: dice.chance(0.3) };
}

function queryMatcher(dice: Dice): Init<typeof QueryParameterMatcherSchema> {
  const specifier = dice.pick<NonNullable<Init<typeof QueryParameterMatcherSchema>["queryParameterMatchSpecifier"]>>([
    { case: "stringMatch", value: stringMatcher(dice) },
    { case: "stringMatch", value: { matchPattern: { case: "exact", value: "1" } } },
    { case: "presentMatch", value: dice.chance(0.6) },
    { case: undefined },
  ]);
  return { name: dice.pick(["q", "r", "Q"]), queryParameterMatchSpecifier: specifier };
}

function action(dice: Dice): NonNullable<Init<typeof RouteSchema>["action"]> {
  return dice.pick<() => NonNullable<Init<typeof RouteSchema>["action"]>>([
    () => ({ case: "route", value: forwarding(dice) }),
    () => ({ case: "route", value: forwarding(dice) }),
    () => ({ case: "route", value: forwarding(dice) }),
    () => ({ case: "redirect", value: redirect(dice) }),
    () => ({
      case: "directResponse",
      value: {
        status: dice.pick([200, 201, 302, 403, 503]),
        ...(dice.chance(0.6) ? { body: { specifier: { case: "inlineString", value: "hello é" } } } : {}),
      },
    }),
  ])();
}

function forwarding(dice: Dice): Init<typeof RouteActionSchema> {
  return {
    clusterSpecifier: dice.pick<() => NonNullable<Init<typeof RouteActionSchema>["clusterSpecifier"]>>([
      () => ({ case: "cluster", value: dice.pick(["one", "two", "three", "nowhere"]) }),
      () => ({ case: "clusterHeader", value: dice.pick(["x-name", "x-absent"]) }),
      () => ({
        case: "weightedClusters",
        value: {
          clusters: [clusterWeight(dice, 1 + dice.below(5)), ...dice.some(3, () => clusterWeight(dice, dice.below(5)))],
          ...(dice.chance(0.7) ? { randomValueSpecifier: { case: "headerName", value: PICK_HEADER } } : {}),
        },
      }),
    ])(),
    clusterNotFoundResponseCode: dice.pick([0, 0, 1, 2]),
    appendXForwardedHost: dice.chance(0.3),
    ...pathRewrite(dice),
    hostRewriteSpecifier: dice.pick<NonNullable<Init<typeof RouteActionSchema>["hostRewriteSpecifier"]>>([
      { case: undefined },
      { case: undefined },
      { case: "hostRewriteLiteral", value: "new.example" },
      { case: "hostRewriteHeader", value: dice.pick(["x-name", "x-a"]) },
      { case: "hostRewritePathRegex", value: regexRewrite(dice) },
    ]),
  };
}

function clusterWeight(dice: Dice, weight: number): Init<typeof WeightedCluster_ClusterWeightSchema> {
  return {
    ...(dice.chance(0.9) ? { name: dice.pick(["one", "two", "three"]) } : { clusterHeader: "x-name" }),
    weight,
    ...headerOperations(dice, 1),
    ...(dice.chance(0.2) ? { hostRewriteSpecifier: { case: "hostRewriteLiteral", value: "weighted.example" } } : {}),
  };
}

function pathRewrite(dice: Dice): { prefixRewrite?: string; regexRewrite?: NonNullable<Init<typeof RouteActionSchema>["regexRewrite"]> } {
  if (dice.chance(0.3)) return { prefixRewrite: dice.pick(["/", "/new", "/new/"]) };
  return dice.chance(0.3) ? { regexRewrite: regexRewrite(dice) } : {};
}

function regexRewrite(dice: Dice): NonNullable<Init<typeof RouteActionSchema>["regexRewrite"]> {
  const pattern = dice.pick(["^/a(/.*)?$", "/", "([ab])", "a*", "(/[^/]+)(/[^/]+)", "\\b", "$", "(?i)A"]);
  // RE2 refuses a group that the pattern does not have.
  const groups = (pattern.match(/\((?!\?)/g) ?? []).length;
  const substitution = dice.pick(["/x", "<\\0>", "-", ...(groups > 0 ? ["/\\1y"] : []), ...(groups > 1 ? ["\\2\\1"] : [])] as const);
  return { pattern: { regex: pattern }, substitution };
}

type RedirectInit = Exclude<Extract<NonNullable<Init<typeof RouteSchema>["action"]>, { case: "redirect" }>["value"], { readonly $typeName: string }>;

function redirect(dice: Dice): RedirectInit {
  return {
    schemeRewriteSpecifier: dice.pick<NonNullable<RedirectInit["schemeRewriteSpecifier"]>>([
      { case: undefined },
      { case: undefined },
      { case: "httpsRedirect", value: true },
      { case: "schemeRedirect", value: dice.pick(["https", "http", "ftp"]) },
    ]),
    hostRedirect: dice.pick(["", "", "to.example"]),
    portRedirect: dice.pick([0, 0, 8443]),
    pathRewriteSpecifier: dice.pick<NonNullable<RedirectInit["pathRewriteSpecifier"]>>([
      { case: undefined },
      { case: "pathRedirect", value: dice.pick(["/to", "/to?z=1", "to"]) },
      { case: "prefixRewrite", value: dice.pick(["/to", "/"]) },
      { case: "regexRewrite", value: regexRewrite(dice) },
    ]),
    responseCode: dice.pick([
      RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY,
      RedirectAction_RedirectResponseCode.FOUND,
      RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT,
    ]),
    stripQuery: dice.chance(0.3),
  };
}

interface Operations {
  requestHeadersToAdd: MessageInitShape<typeof HeaderValueOptionSchema>[];
  requestHeadersToRemove: string[];
  responseHeadersToAdd: MessageInitShape<typeof HeaderValueOptionSchema>[];
  responseHeadersToRemove: string[];
}

function headerOperations(dice: Dice, most: number): Operations {
  const additions = (): MessageInitShape<typeof HeaderValueOptionSchema>[] => dice.some(most, () => headerOption(dice));
  const removals = (): string[] => (dice.chance(0.25) ? [dice.pick(["x-a", "X-B", "x-c"])] : []);
  return {
    requestHeadersToAdd: additions(),
    requestHeadersToRemove: removals(),
    responseHeadersToAdd: additions(),
    responseHeadersToRemove: removals(),
  };
}

function headerOption(dice: Dice): MessageInitShape<typeof HeaderValueOptionSchema> {
  return {
    header: {
      key: dice.pick(["x-a", "X-B", "x-c"]),
      value: dice.pick(["n1", "n2", "n3", "", "100%%", "<%REQ(x-a)%>", "%REQ(:path)%", "%REQ(x-absent?x-b)%", "%REQ(:authority):3%"]),
    },
    appendAction: dice.pick([
      HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD,
      HeaderValueOption_HeaderAppendAction.ADD_IF_ABSENT,
      HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
      HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS,
    ]),
    keepEmptyValue: dice.chance(0.3),
  };
}

function faults(dice: Dice): { typedPerFilterConfig: NonNullable<Init<typeof RouteSchema>["typedPerFilterConfig"]> } {
  const fault = packAny(HTTPFaultSchema, {
    abort: { errorType: { case: "httpStatus", value: dice.pick([418, 503]) }, percentage: certain(dice) },
    headers: dice.chance(0.4) ? [headerMatcher(dice)] : [],
  });
  return { typedPerFilterConfig: { "envoy.filters.http.fault": fault } };
}
