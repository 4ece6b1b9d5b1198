// Who lets an explained request in, for `weft explain` and `weft test`: at a gateway, then at the sidecars that it may reach. What the proxies hold comes in; one
// step for each place that decides goes out, with the policy and the rule. Pure.
import type { Cluster } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import type { LbEndpoint } from "../gen/envoy/config/endpoint/v3/endpoint_components_pb.js";
import type { ClusterLoadAssignment } from "../gen/envoy/config/endpoint/v3/endpoint_pb.js";
import type { Listener } from "../gen/envoy/config/listener/v3/listener_pb.js";
import type { ListenAddress } from "../mesh/instance.ts";
import type { Origin } from "../model/diagnostic.ts";
import type { RuleName } from "../simulate/authorize.ts";
import type { SimulatedConnection } from "../simulate/match-listener.ts";
import type { CallToken } from "../simulate/rbac.ts";
import type { SimulatedRequest } from "../simulate/request.ts";
import { type Admission, admissionAt, connectionTo } from "../what-if/authorization.ts";

/** What a proxy holds, as far as it matters here. */
export interface HeldConfiguration {
  readonly listenerAt: (place: ListenAddress) => Listener | undefined;
  readonly cluster: (name: string) => Cluster | undefined;
  readonly endpoints: (cluster: string) => ClusterLoadAssignment | undefined;
}

/** One place that decides, or several that decide alike. */
export interface AuthorizationStep {
  /** The gateway's name, or those of the instances. */
  readonly at: readonly string[];
  /** SPIFFE id by which the caller is known there; null in plain text, and where nobody here can know it. */
  readonly caller: string | null;
  readonly mutualTls: boolean;
  readonly admission: Admission;
}

/** The way of a request. */
export interface Journey {
  readonly caller: {
    readonly kind: "workload" | "gateway";
    readonly name: string;
    /** Undefined where it is not known. */
    readonly spiffeId: string | undefined;
    readonly address: string | undefined;
    readonly holds: HeldConfiguration;
  };
  /** Where it goes in, and how. */
  readonly entry: { readonly place: ListenAddress; readonly connection: SimulatedConnection; readonly request: SimulatedRequest };
  /** What goes on from there; absent where nothing does. */
  readonly forwarded?: { readonly cluster: string; readonly request: SimulatedRequest; readonly isHttp: boolean };
  /** The sidecar that is bound there; undefined where none is. */
  readonly sidecarAt: (place: ListenAddress) => { readonly instance: string; readonly holds: HeldConfiguration } | undefined;
  readonly token: CallToken;
}

/** As many endpoints are asked: those of a service mostly decide alike. */
const MOST_ENDPOINTS = 16;

/** Asks everybody on the way. A gateway that refuses is the last one. */
export function authorizationSteps(journey: Journey): readonly AuthorizationStep[] {
  const own = gatewayStep(journey);
  if (own?.admission.decision === "denied") return [own];
  const goesOn = own === undefined || !("tokenGoesOn" in own.admission) || own.admission.tokenGoesOn;
  return [...(own === undefined ? [] : [own]), ...destinationSteps(goesOn ? journey : withoutToken(journey))];
}

function gatewayStep({ caller, entry, token }: Journey): AuthorizationStep | undefined {
  if (caller.kind !== "gateway") return undefined;
  const { place, connection, request } = entry;
  const principals = connection.transport === "tls" ? undefined : [];
  const admission = admissionAt(caller.holds.listenerAt(place), { place, connection, request, principals, clientAddress: undefined, token });
  return { at: [caller.name], caller: null, mutualTls: false, admission };
}

function destinationSteps({ caller, forwarded, sidecarAt, token }: Journey): readonly AuthorizationStep[] {
  if (forwarded === undefined) return [];
  const cluster = caller.holds.cluster(forwarded.cluster);
  const steps = new Map<string, AuthorizationStep>();
  for (const { place, endpoint } of firstEndpoints(caller.holds.endpoints(forwarded.cluster))) {
    const sidecar = sidecarAt(place);
    if (sidecar === undefined) continue;
    const { mutualTls, connection } = connectionTo(cluster, endpoint, place, forwarded.isHttp);
    const principals = !mutualTls ? [] : caller.spiffeId === undefined ? undefined : [caller.spiffeId];
    const call = { place, request: forwarded.request, clientAddress: caller.address, token, throughGateway: caller.kind === "gateway" };
    const source = caller.address === undefined ? connection : { ...connection, sourceAddress: caller.address };
    const admission = admissionAt(sidecar.holds.listenerAt(place), { ...call, connection: source, principals });
    const key = JSON.stringify([mutualTls, admission]);
    const known = steps.get(key);
    steps.set(key, { at: [...(known?.at ?? []), sidecar.instance], caller: principals?.[0] ?? null, mutualTls, admission });
  }
  return [...steps.values()];
}

/** Those that requests go to while all are well. */
function firstEndpoints(assignment: ClusterLoadAssignment | undefined): readonly { readonly place: ListenAddress; readonly endpoint: LbEndpoint }[] {
  const groups = [...(assignment?.endpoints ?? [])].filter(({ lbEndpoints }) => lbEndpoints.length > 0);
  const first = Math.min(...groups.map(({ priority }) => priority));
  return groups
    .filter(({ priority }) => priority === first)
    .flatMap(({ lbEndpoints }) => lbEndpoints)
    .flatMap((endpoint) => {
      const address = endpoint.hostIdentifier.case === "endpoint" ? endpoint.hostIdentifier.value.address?.address : undefined;
      if (address?.case !== "socketAddress" || address.value.portSpecifier.case !== "portValue") return [];
      return [{ place: { address: address.value.address, port: address.value.portSpecifier.value }, endpoint }];
    })
    .slice(0, MOST_ENDPOINTS);
}

/** A gateway has taken the token out. */
function withoutToken(journey: Journey): Journey {
  const { forwarded } = journey;
  if (forwarded === undefined) return journey;
  const { authorization: _, ...headers } = forwarded.request.headers;
  return { ...journey, token: { kind: "as-sent" }, forwarded: { ...forwarded, request: { ...forwarded.request, headers } } };
}

/** `allowed` where everybody on the way lets it through, `denied` where somebody refuses it. */
export function overallDecision(steps: readonly AuthorizationStep[]): Admission["decision"] {
  const decisions = steps.map(({ admission }) => admission.decision);
  return decisions.includes("denied") ? "denied" : decisions.includes("unknown") ? "unknown" : "allowed";
}

/** `namespace/name` of the policy whose rule decided: the one that refuses, else the last one that allows; null where none did. */
export function decidingPolicy(steps: readonly AuthorizationStep[]): string | null {
  const ruled = steps.flatMap(({ admission }) =>
    admission.by === "rule" && admission.rule !== undefined ? [{ ...admission.rule, decision: admission.decision }] : [],
  );
  const deciding = ruled.find(({ decision }) => decision === "denied") ?? ruled.at(-1);
  return deciding === undefined || (overallDecision(steps) === "denied" && deciding.decision !== "denied") ? null : `${deciding.namespace}/${deciding.policy}`;
}

/** The token of a request: with the claims that are given, it holds. */
export function tokenOf(claims: Readonly<Record<string, unknown>> | undefined): CallToken {
  return claims === undefined ? { kind: "as-sent" } : { kind: "valid", claims };
}

/** By this a rule's place is found. */
export function ruleKey({ namespace, policy, rule }: RuleName): string {
  return `${namespace}/${policy}/${rule}`;
}

/** All rules that steps speak of. */
export function mentionedRules(steps: readonly AuthorizationStep[]): readonly RuleName[] {
  return steps.flatMap(({ admission }) =>
    "tried" in admission ? [...(admission.rule ? [admission.rule] : []), ...admission.audited, ...admission.tried.flatMap(({ rule }) => rule ?? [])] : [],
  );
}

/** A step in words, one line after the other; none where no policy asks. `origins` by {@link ruleKey}, as far as they are known. */
export function stepLines({ at, caller, mutualTls, admission }: AuthorizationStep, origins: Readonly<Record<string, Origin>>): readonly string[] {
  const named = (rule: RuleName): string => {
    const origin = origins[ruleKey(rule)];
    return `AuthorizationPolicy ${rule.namespace}/${rule.policy}, rule[${rule.rule}]${origin === undefined ? "" : ` (${origin.file}:${origin.line})`}`;
  };
  const who = at.length > 3 ? `${at.slice(0, 3).join(", ")} and ${at.length - 3} more` : at.join(", ");
  const decided = decisionText(admission, named);
  const tried = "tried" in admission ? admission.tried : [];
  const audited = "audited" in admission ? admission.audited : [];
  const known = caller === null ? (mutualTls ? "by mutual TLS" : "in plain text, so that the caller has no identity") : `as ${caller}`;
  if (decided === undefined && tried.length + audited.length === 0) return [];
  return [
    `${who}: ${decided ?? "allowed: no policy that is enforced asks"}`,
    `called ${known}`,
    ...tried.map(({ action, would, rule }) => {
      const by = rule === undefined ? (would === "deny" ? ", no rule takes it" : "") : `, by ${named(rule)}`;
      return `dry run (${action.toUpperCase()}): ${would === "unknown" ? "not known" : `would ${would} it`}${by}`;
    }),
    ...audited.map((rule) => `audited by ${named(rule)}`),
  ];
}

function decisionText(admission: Admission, named: (rule: RuleName) => string): string | undefined {
  switch (admission.by) {
    case "no-chain":
      return "refused, since the port takes no such connection: PeerAuthentication or TLS decides";
    case "no-listener":
      return "not known, for nothing listens there";
    case "token":
      return admission.status === 401
        ? "refused with 401: no RequestAuthentication takes tokens of this issuer"
        : "refused with 403: the token is for another audience";
    case "no-rule":
      return `refused with 403: no rule of ${policiesText(admission.allowPolicies)} takes it`;
    case "rule":
      return admission.rule === undefined
        ? undefined
        : `${admission.decision === "denied" ? `refused with ${admission.status ?? 403}` : "allowed"} by ${named(admission.rule)}`;
    case "nothing":
      if (admission.decision === "unknown") return `not known. It depends on ${admission.dependsOn.join("; and on ")}`;
      return admission.asked.length === 0 ? undefined : `allowed: no rule of ${policiesText(admission.asked)} takes it`;
  }
}

function policiesText(policies: readonly string[]): string {
  return `${policies.length === 1 ? "AuthorizationPolicy" : "the AuthorizationPolicies"} ${policies.join(", ")}`;
}
