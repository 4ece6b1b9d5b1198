// The path and the authority that go upstream, and where a redirect leads.
import type { RedirectAction, Route, RouteAction, RouteMatch } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { RedirectAction_RedirectResponseCode } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { replaceMatches } from "./regex.ts";
import { type HeaderMap, pathOnly, type SimulatedRequest } from "./request.ts";

/** The path with which the request goes upstream; its query stays. Source: config_impl.cc, currentUrlPathAfterRewriteWithMatchedPath. */
export function rewrittenPath(match: RouteMatch | undefined, action: RouteAction, path: string): string {
  if (action.prefixRewrite !== "") return action.prefixRewrite + path.slice(matchedSize(match, path));
  if (action.regexRewrite === undefined) return path;
  const only = pathOnly(path);
  return replaceMatches(action.regexRewrite, only) + path.slice(only.length);
}

/** The authority with which the request goes upstream. */
export interface RewrittenAuthority {
  readonly authority: string;
  /** True where the endpoint's own name takes its place, if it has one (`auto_host_rewrite`). */
  readonly fromEndpoint: boolean;
  /** The old authority, where `x-forwarded-host` is to tell it. */
  readonly forwardedHost?: string;
}

/**
 * The authority after the route's rewrite. `authority` and `headers` are those after the header operations; a rewrite to nothing is none.
 * Source: config_impl.cc, finalizeHostHeader.
 */
export function rewrittenAuthority(action: RouteAction, authority: string, headers: HeaderMap, path: string): RewrittenAuthority {
  const { hostRewriteSpecifier: rewrite } = action;
  const fromEndpoint = rewrite.case === "autoHostRewrite" && rewrite.value.value;
  const name = rewrittenName(rewrite, headers, path);
  if (name === "") return { authority, fromEndpoint, ...(fromEndpoint && action.appendXForwardedHost ? { forwardedHost: authority } : {}) };
  return { authority: name, fromEndpoint, ...(action.appendXForwardedHost && authority !== "" ? { forwardedHost: authority } : {}) };
}

function rewrittenName(rewrite: RouteAction["hostRewriteSpecifier"], headers: HeaderMap, path: string): string {
  switch (rewrite.case) {
    case "hostRewriteLiteral":
      return rewrite.value;
    case "hostRewriteHeader":
      return headers[rewrite.value.toLowerCase()]?.[0] ?? "";
    case "hostRewritePathRegex":
      return replaceMatches(rewrite.value, pathOnly(path));
    case "autoHostRewrite":
    case undefined:
      return "";
  }
}

/** Where a redirect sends the client, and the request's path after the redirect's own rewrite. Source: http/utility.cc, Utility::newUri. */
export function redirectTarget(route: Route, redirect: RedirectAction, request: SimulatedRequest): { readonly location: string; readonly path: string } {
  const scheme = redirectScheme(redirect, request.scheme);
  const port = redirect.portRedirect === 0 ? "" : `:${redirect.portRedirect}`;
  const host = redirect.hostRedirect !== "" ? redirect.hostRedirect : redirectHost(request, scheme, port);
  const path = redirectRewrite(route, redirect, request.path);
  return { location: `${scheme}://${host}${port}${redirectPath(redirect, path)}`, path };
}

/** Where a host that demands TLS sends a plain request. */
export function tlsLocation(request: SimulatedRequest): string {
  return `https://${request.authority}${request.path}`;
}

/** The status of a redirect. */
export function redirectStatus(code: RedirectAction_RedirectResponseCode): number {
  switch (code) {
    case RedirectAction_RedirectResponseCode.MOVED_PERMANENTLY:
      return 301;
    case RedirectAction_RedirectResponseCode.FOUND:
      return 302;
    case RedirectAction_RedirectResponseCode.SEE_OTHER:
      return 303;
    case RedirectAction_RedirectResponseCode.TEMPORARY_REDIRECT:
      return 307;
    case RedirectAction_RedirectResponseCode.PERMANENT_REDIRECT:
      return 308;
  }
}

/** The request's own host; its port goes when the redirect names one, or when it was the old scheme's own and the scheme changes. */
function redirectHost(request: SimulatedRequest, scheme: string, port: string): string {
  const { authority } = request;
  const bracket = authority.startsWith("[") ? authority.lastIndexOf("]:") : -2;
  const colon = bracket === -2 ? authority.lastIndexOf(":") : bracket === -1 ? -1 : bracket + 1;
  if (colon < 0) return authority;
  const forwarded = request.headers["x-forwarded-proto"]?.[0] ?? request.scheme;
  const ownPort = { https: ":443", http: ":80" }[forwarded];
  return port !== "" || (scheme !== forwarded && authority.slice(colon) === ownPort) ? authority.slice(0, colon) : authority;
}

function redirectScheme({ schemeRewriteSpecifier: rewrite }: RedirectAction, scheme: string): string {
  if (rewrite.case === "schemeRedirect" && rewrite.value !== "") return rewrite.value;
  return rewrite.case === "httpsRedirect" && rewrite.value ? "https" : scheme;
}

/** The path of the location: the new one with the request's query, unless it brings its own or the query is to go. */
function redirectPath(redirect: RedirectAction, path: string): string {
  const { pathRewriteSpecifier: rewrite } = redirect;
  const whole = rewrite.case === "pathRedirect" ? rewrite.value : "";
  if (whole.includes("?")) return rooted(whole);
  const query = path.indexOf("?");
  const target = whole === "" ? path : whole + (query < 0 ? "" : path.slice(query));
  const end = redirect.stripQuery ? target.indexOf("?") : -1;
  return rooted(end < 0 ? target : target.slice(0, end));
}

function redirectRewrite(route: Route, { pathRewriteSpecifier: rewrite }: RedirectAction, path: string): string {
  if (rewrite.case === "prefixRewrite" && rewrite.value !== "") return rewrite.value + path.slice(matchedSize(route.match, path));
  if (rewrite.case !== "regexRewrite") return path;
  const only = pathOnly(path);
  const replaced = replaceMatches(rewrite.value, only);
  return replaced === "" ? path : replaced + path.slice(only.length);
}

function rooted(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}

/** How much of the path a prefix rewrite replaces: what was configured, and under a regular expression all of it. */
function matchedSize(match: RouteMatch | undefined, path: string): number {
  const specifier = match?.pathSpecifier;
  switch (specifier?.case) {
    case "prefix":
    case "path":
    case "pathSeparatedPrefix":
      return specifier.value.length;
    default:
      return pathOnly(path).length;
  }
}
