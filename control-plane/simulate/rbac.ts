// One policy of Envoy's RBAC and one request or connection in; whether the policy takes it out, or what that depends on. Source: Envoy, rbac/matchers.cc.
import { fromBinary } from "@bufbuild/protobuf";
import type { Permission, Policy, Principal } from "../gen/envoy/config/rbac/v3/rbac_pb.js";
import type { HeaderMatcher } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { UriTemplateMatchConfigSchema } from "../gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";
import type { MetadataMatcher } from "../gen/envoy/type/matcher/v3/metadata_pb.js";
import type { PathMatcher } from "../gen/envoy/type/matcher/v3/path_pb.js";
import { type FailedCondition, headerFailure, matchesString } from "./condition.ts";
import { holds } from "./match-listener.ts";
import { metadataFailure } from "./metadata-condition.ts";
import { pathOnly, type SimulatedRequest } from "./request.ts";
import { allOf, anyOf, not, type Truth } from "./truth.ts";

/** A request at the place where it is let in or refused, with its connection. Undefined where nobody here can know it. */
export interface AuthorizedCall {
  /** As the connection manager reads it; what a connection without requests is asked with is never looked at. */
  readonly request: SimulatedRequest;
  /** SPIFFE ids in the caller's certificate; empty without mutual TLS. */
  readonly principals: readonly string[] | undefined;
  /** Where the connection comes from. */
  readonly clientAddress: string | undefined;
  /** Where the request says it comes from (`x-forwarded-for`), else where the connection does. */
  readonly remoteAddress: string | undefined;
  readonly destination: { readonly address: string; readonly port: number };
  readonly serverName: string;
  readonly token: CallToken;
}

/** The token that comes with a request: whatever is in it, of which nobody here knows whether it holds; or one that holds, with its claims. */
export type CallToken = { readonly kind: "as-sent" } | { readonly kind: "valid"; readonly claims: Readonly<Record<string, unknown>> };

/** Where jwt_authn leaves the claims of a valid token. */
export const TOKEN_FILTER = "envoy.filters.http.jwt_authn";

/** Those whose notes are known here: where such a filter does not stand in the chain, it has noted nothing. */
const NOTING_FILTERS: readonly string[] = [TOKEN_FILTER, "envoy.filters.http.rbac", "envoy.filters.network.rbac"];

/** What other filters have noted about the call so far, by filter. */
export type NotedMetadata = Readonly<Record<string, Readonly<Record<string, unknown>> | "unknown">>;

/** Whether a policy takes the call. `noted` holds the claims of the token once it was checked. */
export function policyHolds(policy: Policy, call: AuthorizedCall, noted: NotedMetadata): Truth {
  return allOf([
    anyOf(policy.permissions.map((permission) => permissionHolds(permission, call, noted))),
    anyOf(policy.principals.map((principal) => principalHolds(principal, call, noted))),
  ]);
}

/** Whether metadata that filters have noted fulfil a matcher. */
export function notedHolds(matcher: MetadataMatcher, call: AuthorizedCall, noted: NotedMetadata): Truth {
  const { filter } = matcher;
  const own = noted[filter];
  if (own === "unknown") return { unknown: ["the claims of the request's token"] };
  if (own === undefined && !NOTING_FILTERS.includes(filter)) return { unknown: [`what the filter ${filter} has noted`] };
  return truthOf(metadataFailure(matcher, { ...call.request, dynamicMetadata: { [filter]: own } }));
}

function permissionHolds({ rule }: Permission, call: AuthorizedCall, noted: NotedMetadata): Truth {
  switch (rule.case) {
    case "any":
      return rule.value;
    case "andRules":
      return allOf(rule.value.rules.map((inner) => permissionHolds(inner, call, noted)));
    case "orRules":
      return anyOf(rule.value.rules.map((inner) => permissionHolds(inner, call, noted)));
    case "notRule":
      return not(permissionHolds(rule.value, call, noted));
    case "header":
      return headerHolds(rule.value, call);
    case "urlPath":
      return pathHolds(rule.value, call);
    case "uriTemplate":
      return rule.value.typedConfig?.typeUrl.endsWith(`/${UriTemplateMatchConfigSchema.typeName}`)
        ? templateHolds(fromBinary(UriTemplateMatchConfigSchema, rule.value.typedConfig.value).pathTemplate, pathOnly(call.request.path))
        : unsupported("uri_template");
    case "destinationIp":
      return holds(rule.value, call.destination.address);
    case "destinationPort":
      return rule.value === call.destination.port;
    case "destinationPortRange":
      return rule.value.start <= call.destination.port && call.destination.port < rule.value.end;
    case "metadata":
      return notedHolds(rule.value, call, noted);
    case "requestedServerName":
      return matchesString(rule.value, call.serverName);
    case "matcher":
    case undefined:
      return unsupported(rule.case ?? "an empty permission");
  }
}

function principalHolds({ identifier }: Principal, call: AuthorizedCall, noted: NotedMetadata): Truth {
  switch (identifier.case) {
    case "any":
      return identifier.value;
    case "andIds":
      return allOf(identifier.value.ids.map((inner) => principalHolds(inner, call, noted)));
    case "orIds":
      return anyOf(identifier.value.ids.map((inner) => principalHolds(inner, call, noted)));
    case "notId":
      return not(principalHolds(identifier.value, call, noted));
    case "authenticated": {
      const { principalName } = identifier.value;
      if (call.principals === undefined) return { unknown: ["who calls: the identity in the caller's certificate"] };
      return call.principals.some((principal) => principalName === undefined || matchesString(principalName, principal));
    }
    case "directRemoteIp":
    case "sourceIp":
      return call.clientAddress === undefined ? { unknown: ["the client's address"] } : holds(identifier.value, call.clientAddress);
    case "remoteIp":
      return call.remoteAddress === undefined ? { unknown: ["the client's address"] } : holds(identifier.value, call.remoteAddress);
    case "header":
      return headerHolds(identifier.value, call);
    case "urlPath":
      return pathHolds(identifier.value, call);
    case "metadata":
      return notedHolds(identifier.value, call, noted);
    case "filterState":
    case undefined:
      return unsupported(identifier.case ?? "an empty principal");
  }
}

function headerHolds(matcher: HeaderMatcher, { request }: AuthorizedCall): Truth {
  return truthOf(headerFailure(matcher, request));
}

function pathHolds({ rule }: PathMatcher, { request }: AuthorizedCall): Truth {
  return rule.value === undefined ? unsupported("an empty path") : matchesString(rule.value, pathOnly(request.path));
}

/** `*` is one segment, `**` any number of them. Source: Envoy, path/uri_template_lib: which characters a segment may hold. */
function templateHolds(template: string, path: string): boolean {
  const pattern = template
    .split(/(\*\*|\*)/)
    .map((part) => (part === "**" ? "[\\w\\-.~%!$&'()+,;:@=/]*" : part === "*" ? "[\\w\\-.~%!$&'()+,;:@=]+" : part.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&")));
  return new RegExp(`^${pattern.join("")}$`).test(path);
}

function truthOf(failure: FailedCondition | undefined): Truth {
  return failure?.kind === "unsupported" ? unsupported(failure.expected) : failure === undefined;
}

function unsupported(what: string): Truth {
  return { unknown: [`a condition that only the proxy evaluates (${what})`] };
}
