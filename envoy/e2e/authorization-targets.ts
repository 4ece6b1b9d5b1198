// Filters of authorization as things to be asked one by one on a real Envoy: whole, and piece by piece, so that a piece decides alone what the whole hides.
import { z } from "zod";

/** Who is asked. */
export type Side = "istio" | "weft";

/** A chain of RBAC filters that both sides have. */
export interface Target {
  readonly id: string;
  /** The facets of requests that it asks for; empty for a whole chain, which asks for all. */
  readonly facets: ReadonlySet<string>;
  readonly chains: Readonly<Record<Side, readonly object[]>>;
}

const rules = z.looseObject({
  action: z.string().optional(),
  policies: z.record(z.string(), z.looseObject({ permissions: z.array(z.json()), principals: z.array(z.json()) })).default({}),
});
const filter = z.object({
  name: z.string(),
  typedConfig: z.looseObject({
    rules: rules.optional(),
    shadowRules: rules.optional(),
    shadowRulesStatPrefix: z.string().optional(),
    filterEnabledMetadata: z.json().optional(),
  }),
});
type Filter = z.output<typeof filter>;

/** The targets of one pair of filter lists, given as JSON of Envoy's API. Throws where the two are not made of the same pieces. */
export function targetsOf(name: string, transport: "http" | "tcp", istio: readonly unknown[], weft: readonly unknown[]): readonly Target[] {
  const [theirs, ours] = [istio, weft].map((filters) => z.array(filter).parse(filters));
  const whole: Target = { id: name, facets: new Set(), chains: { istio: chainOf(theirs ?? [], transport), weft: chainOf(ours ?? [], transport) } };
  const pieces = [theirs, ours].map((filters) => (filters ?? []).flatMap(piecesOf));
  const [theirPieces = [], ourPieces = []] = pieces;
  if (theirPieces.length !== ourPieces.length) throw new Error(`${name}: ${theirPieces.length} pieces of Istio's and ${ourPieces.length} of ours`);
  const seen = new Set<string>();
  return [
    whole,
    ...theirPieces.flatMap((piece, index): readonly Target[] => {
      const text = JSON.stringify(piece);
      if (seen.has(text)) return [];
      seen.add(text);
      const chain = (alone: object): readonly object[] => [rbac(transport, { rules: { action: "ALLOW", policies: { alone } } })];
      return [{ id: `${name} #${index}`, facets: facetsOf(text), chains: { istio: chain(piece), weft: chain(ourPieces[index] ?? {}) } }];
    }),
  ];
}

/** What is observed of a filter is whether it lets a request through; what it only notes is refused by a filter after it. */
function chainOf(filters: readonly Filter[], transport: "http" | "tcp"): readonly object[] {
  return filters.flatMap(({ name, typedConfig }) => {
    const { rules: enforced, shadowRules, shadowRulesStatPrefix = "", filterEnabledMetadata } = typedConfig;
    // Where the authorizer would be asked.
    if (name.endsWith("ext_authz")) return [refusing(transport, filterEnabledMetadata)];
    const sets = { ...(enforced && { rules: enforced }), ...(shadowRules && { shadowRules, shadowRulesStatPrefix }) };
    const noted = shadowRules !== undefined && shadowRulesStatPrefix.includes("dry_run");
    return [
      rbac(transport, sets),
      ...(enforced?.action === "LOG" ? [refusing(transport, { filter: "envoy.common", path: [{ key: "access_log_hint" }], value: { boolMatch: true } })] : []),
      ...(noted ? [refusing(transport, engineResult(transport, shadowRulesStatPrefix))] : []),
    ];
  });
}

function engineResult(transport: "http" | "tcp", prefix: string): object {
  const filterName = transport === "http" ? "envoy.filters.http.rbac" : "envoy.filters.network.rbac";
  return { filter: filterName, path: [{ key: `${prefix}shadow_engine_result` }], value: { stringMatch: { exact: "denied" } } };
}

function refusing(transport: "http" | "tcp", metadata: unknown): object {
  return rbac(transport, { rules: { action: "DENY", policies: { noted: { permissions: [{ metadata }], principals: [{ any: true }] } } } });
}

function rbac(transport: "http" | "tcp", sets: object): object {
  return transport === "http"
    ? { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", ...sets }
    : { "@type": "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC", statPrefix: "tcp.", ...sets };
}

const ANY = { any: true };
const sets = z.union([
  z.object({ andRules: z.object({ rules: z.array(z.json()) }) }).transform(({ andRules }) => andRules.rules),
  z.object({ andIds: z.object({ ids: z.array(z.json()) }) }).transform(({ andIds }) => andIds.ids),
]);

/** Each term of each conjunction as a policy of its own. */
function piecesOf({ typedConfig }: Filter): readonly object[] {
  const policies = [typedConfig.rules, typedConfig.shadowRules].flatMap((set) => Object.values(set?.policies ?? {}));
  const terms = (matches: readonly unknown[]): readonly unknown[] => matches.flatMap((match) => sets.safeParse(match).data ?? [match]);
  return policies.flatMap(({ permissions, principals }) => [
    ...terms(permissions).map((permission) => ({ permissions: [permission], principals: [ANY] })),
    ...terms(principals).map((principal) => ({ permissions: [ANY], principals: [principal] })),
  ]);
}

const SIGNS: readonly (readonly [sign: RegExp, facet: string])[] = [
  [/"authenticated"/, "principal"],
  [/"directRemoteIp"/, "source"],
  [/"remoteIp"/, "remote"],
  [/"destinationIp"/, "destination"],
  [/"destinationPort"/, "port"],
  [/"requestedServerName"/, "sni"],
  [/":authority"/, "host"],
  [/":method"/, "method"],
  [/"urlPath"|"uriTemplate"/, "path"],
  [/"header":\{"name":"[^:]/, "header"],
  [/envoy\.filters\.http\.jwt_authn/, "token"],
  [/envoy\.filters\.a\.b/, "metadata"],
];

function facetsOf(text: string): ReadonlySet<string> {
  return new Set(SIGNS.filter(([sign]) => sign.test(text)).map(([, facet]) => facet));
}
