// What a policy can ask about a connection or request: each attribute's values to the matches of Envoy's RBAC, any of which is enough.
// Source: Istio reference, "Authorization Policy Conditions", and pilot/pkg/security/authz/model/generator.go.
import type { PermissionSchema, PrincipalSchema } from "../../gen/envoy/config/rbac/v3/rbac_pb.js";
import type { Init } from "../init.ts";
import {
  ANYTHING,
  anyOf,
  cidrRange,
  exact,
  headerMatcher,
  listValue,
  type MetadataMatcherInit,
  metadataMatcher,
  pathInAnySpelling,
  pathTemplate,
  prefix,
  quoteRegex,
  regex,
  type StringMatcherInit,
  stringMatcher,
  stringValue,
  suffix,
} from "./matchers.ts";
import { domainsWithAliases, principalsOfAllDomains, type TrustDomains } from "./trust-domains.ts";

export type PermissionInit = Init<typeof PermissionSchema>;
export type PrincipalInit = Init<typeof PrincipalSchema>;

/** Where a rule is enforced. */
export interface RulePlace {
  /** On `tcp` nothing is known of requests: attributes of HTTP match nothing there. */
  readonly transport: "http" | "tcp";
  /** The policy's, which service accounts without one belong to. */
  readonly namespace: string;
  readonly trustDomains: TrustDomains;
  /** The port that the policy's author knows, and where it is bound: they differ for privileged ports on a developer's machine. */
  readonly port?: { readonly known: number; readonly bound: number };
  /** `any`: a path is meant in every spelling that a program may take for the same; see {@link pathInAnySpelling}. */
  readonly spelling?: "exact" | "any";
}

/** The matches of an attribute's values; an undefined one stands for a value that nothing here can be matched by. */
export interface Attribute<Match> {
  readonly matches: (values: readonly string[], place: RulePlace) => readonly (Match | undefined)[];
}

/** Where jwt_authn leaves the claims of a valid token. */
export const JWT_FILTER = "envoy.filters.http.jwt_authn";
export const JWT_PAYLOAD = "payload";

const each = <Match>(match: (value: string, place: RulePlace) => Match | undefined): Attribute<Match> => ({
  matches: (values, place) => values.map((value) => match(value, place)),
});

/** All values in one match. */
const together = <Match>(match: (values: readonly string[], place: RulePlace) => Match | undefined): Attribute<Match> => ({
  matches: (values, place) => (values.length === 0 ? [] : [match(values, place)]),
});

const onlyHttp = <Match>(attribute: Attribute<Match>): Attribute<Match> => ({
  matches: (values, place) => (place.transport === "http" ? attribute.matches(values, place) : values.slice(0, 1).map(() => undefined)),
});

/** The identity in the certificate of the peer; without mutual TLS there is none, and nothing matches. */
const authenticated = (principalName: StringMatcherInit): PrincipalInit => ({ identifier: { case: "authenticated", value: { principalName } } });

const metadata = (value: MetadataMatcherInit): PrincipalInit => ({ identifier: { case: "metadata", value } });

/** Attributes of who is calling. */
export const PRINCIPAL_ATTRIBUTES = {
  "source.ip": each<PrincipalInit>((value) => {
    const range = cidrRange(value);
    return range && { identifier: { case: "directRemoteIp", value: range } };
  }),
  "remote.ip": each<PrincipalInit>((value) => {
    const range = cidrRange(value);
    return range && { identifier: { case: "remoteIp", value: range } };
  }),
  "source.namespace": each<PrincipalInit>((value) => authenticated(regex(`.*/ns/${value.split("*").map(quoteRegex).join(".*")}/.*`))),
  "source.serviceAccount": each<PrincipalInit>((value, { namespace }) => {
    const [first = "", second] = value.split("/");
    const [ns, account] = second === undefined ? [namespace, first] : [first, second];
    return authenticated(regex(`spiffe://.+/ns/${quoteRegex(ns)}/(.+/|)sa/${quoteRegex(account)}(/.+)?`));
  }),
  "source.trustDomain": {
    matches: (values, { trustDomains }) => domainsWithAliases(values, trustDomains).map((value) => authenticated(trustDomain(value))),
  } satisfies Attribute<PrincipalInit>,
  "source.principal": {
    matches: (values, { trustDomains }) => principalsOfAllDomains(values, trustDomains).map((value) => authenticated(spiffeName(value))),
  } satisfies Attribute<PrincipalInit>,
  "request.auth.principal": onlyHttp(each<PrincipalInit>(requestPrincipal)),
  "request.auth.audiences": onlyHttp(together<PrincipalInit>((values) => claim(["aud"], values))),
  "request.auth.presenter": onlyHttp(together<PrincipalInit>((values) => claim(["azp"], values))),
} as const;

/** `request.headers[name]`. */
export function requestHeader(name: string): Attribute<PrincipalInit> {
  return onlyHttp(each((value) => ({ identifier: { case: "header", value: headerMatcher(name, value) } })));
}

/** `request.auth.claims[outer][inner]`: a text, or a list with such a text in it. */
export function requestClaim(keys: readonly string[]): Attribute<PrincipalInit> {
  return onlyHttp(together((values) => claim(keys, values)));
}

/** Attributes of what is called. */
export const PERMISSION_ATTRIBUTES = {
  "destination.ip": each<PermissionInit>((value) => {
    const range = cidrRange(value);
    return range && { rule: { case: "destinationIp", value: range } };
  }),
  "destination.port": each<PermissionInit>(destinationPort),
  "connection.sni": each<PermissionInit>((value) => ({ rule: { case: "requestedServerName", value: stringMatcher(value) } })),
  host: onlyHttp(each<PermissionInit>((value) => ({ rule: { case: "header", value: headerMatcher(":authority", value, true) } }))),
  method: onlyHttp(each<PermissionInit>((value) => ({ rule: { case: "header", value: headerMatcher(":method", value) } }))),
  path: onlyHttp(
    each<PermissionInit>((value, { spelling }) =>
      spelling === "any" && value !== "*"
        ? { rule: { case: "urlPath", value: { rule: { case: "path", value: pathInAnySpelling(value) } } } }
        : value.includes("{*}") || value.includes("{**}")
          ? { rule: { case: "uriTemplate", value: pathTemplate(value) } }
          : { rule: { case: "urlPath", value: { rule: { case: "path", value: stringMatcher(value) } } } },
    ),
  ),
} as const;

/** `experimental.envoy.filters.a.b[c]`: what the filter `envoy.filters.a.b` left under `c`. A value in brackets is an entry of a list. */
export function filterMetadata(filter: string, key: string): Attribute<PermissionInit> {
  return together((values) => {
    const matchers = values.map((value) =>
      value.startsWith("[") && value.endsWith("]") ? listValue(stringValue(stringMatcher(value.replace(/^\[+|\]+$/g, "")))) : stringValue(stringMatcher(value)),
    );
    return { rule: { case: "metadata", value: metadataMatcher(filter, [key], matchers) } };
  });
}

/** The names within brackets, `[a][b]`; undefined where they are not written so. */
export function bracketed(text: string): readonly string[] | undefined {
  if (!text.startsWith("[") || !text.endsWith("]")) return undefined;
  const names = [...text.matchAll(/\[([^[\]]*)\]/g)];
  const whole = names.map(([part]) => part).join("") === text;
  return whole ? names.map(([, name]) => name ?? "") : [text.slice(1, -1)];
}

function trustDomain(value: string): StringMatcherInit {
  if (value === "*") return prefix("spiffe://");
  if (!value.includes("*")) return prefix(`spiffe://${value}/`);
  const [before = "", ...after] = value.split("*");
  return regex(`spiffe://${quoteRegex(before)}[^/]*${quoteRegex(after.join("*"))}/.*`);
}

function spiffeName(value: string): StringMatcherInit {
  if (value === "*") return ANYTHING;
  if (value.startsWith("*")) return regex(`spiffe://.*${quoteRegex(value.slice(1))}`);
  return value.endsWith("*") ? prefix(`spiffe://${value.slice(0, -1)}`) : exact(`spiffe://${value}`);
}

/** Where nothing is bound at a port by that number, nothing matches. */
function destinationPort(value: string, { port }: RulePlace): PermissionInit | undefined {
  const number = /^\d{1,5}$/.test(value) ? Number(value) : 65_536;
  if (number > 65_535) return undefined;
  if (port === undefined || port.known === port.bound) return { rule: { case: "destinationPort", value: number } };
  if (number === port.known) return { rule: { case: "destinationPort", value: port.bound } };
  return number === port.bound
    ? { rule: { case: "notRule", value: { rule: { case: "any", value: true } } } }
    : { rule: { case: "destinationPort", value: number } };
}

/** `issuer/subject`; the issuer may be a URL, so the last slash divides them. */
function requestPrincipal(value: string): PrincipalInit {
  const slash = value.lastIndexOf("/");
  const issuer = slash < 0 ? value : value.slice(0, slash);
  const subject = slash < 0 ? "" : value.slice(slash + 1);
  const [issuerMatcher, subjectMatcher] = issuerAndSubject(value, issuer, subject, slash >= 0);
  const ids = [jwtClaim("iss", issuerMatcher), jwtClaim("sub", subjectMatcher)];
  return { identifier: { case: "andIds", value: { ids } } };
}

function issuerAndSubject(value: string, issuer: string, subject: string, divided: boolean): readonly [StringMatcherInit, StringMatcherInit] {
  if (value === "*") return [ANYTHING, ANYTHING];
  if (value.startsWith("*")) {
    if (!divided) return [ANYTHING, suffix(value.slice(1))];
    return [issuer === "*" ? ANYTHING : suffix(issuer.slice(1)), exact(subject)];
  }
  if (value.endsWith("*")) {
    if (!divided) return [prefix(value.slice(0, -1)), ANYTHING];
    return [exact(issuer), subject === "*" ? ANYTHING : prefix(subject.slice(0, -1))];
  }
  return [exact(issuer), exact(subject)];
}

function jwtClaim(name: string, matcher: StringMatcherInit): PrincipalInit {
  return metadata(metadataMatcher(JWT_FILTER, [JWT_PAYLOAD, name], [stringValue(matcher)]));
}

function claim(keys: readonly string[], values: readonly string[]): PrincipalInit {
  const wanted = anyOf(values.map((value) => stringValue(stringMatcher(value))));
  return metadata(metadataMatcher(JWT_FILTER, [JWT_PAYLOAD, ...keys], [listValue(wanted), wanted]));
}
