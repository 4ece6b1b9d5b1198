// What a decision costs: CPU of Envoy per request for the same 90/10 route, decided natively and by the filter.
import { type DecisionRecord, encodeDecisionRecord } from "../../control-plane/translate/decision-record.ts";
import { PICK_HEADER } from "../../control-plane/translate/names.ts";
import { httpListener, type ListenerCost, measureListeners } from "./listener-cost.ts";

/** One way to decide the route. Without a filter Envoy decides; a filter without a record leaves it to Envoy. */
export interface RouteVariant {
  readonly name: string;
  readonly filter?: Uint8Array;
  readonly record?: DecisionRecord;
}

export interface RouteCostOptions {
  /** The first is what the others are compared with. */
  readonly variants: readonly RouteVariant[];
  readonly rounds: number;
  readonly seed: number;
  readonly onProgress?: (line: string) => void;
}

const SUBSETS = [
  { subset: "stable", weight: 90 },
  { subset: "canary", weight: 10 },
] as const;
const ZONES = ["a", "b", "c"] as const;
const USERS = Array.from({ length: 100 }, (_, index) => `user-${index + 1}`);

function recordOf(key: DecisionRecord["key"], zones: readonly string[]): DecisionRecord {
  const candidates = SUBSETS.map(({ subset, weight }) => ({
    weight,
    identity: `backend|80|${subset}`,
    entries: zones.length === 0 ? [{ width: weight, cluster: subset }] : zones.map((zone) => ({ width: weight, cluster: `${subset};zone=${zone}` })),
  }));
  return { key, salt: "default/backend/primary", candidates };
}

/** The variants that the README shows, native first. */
export function routeVariants(filter: Uint8Array, emptyFilter: Uint8Array): readonly RouteVariant[] {
  const sticky = { kind: "header", name: "x-user" } as const;
  return [
    { name: "native weighted_clusters" },
    { name: "empty wasm callback, native choice", filter: emptyFilter },
    { name: "filter, random", filter, record: recordOf({ kind: "none" }, []) },
    { name: "filter, sticky by header", filter, record: recordOf(sticky, []) },
    { name: "filter, random, three zones", filter, record: recordOf({ kind: "none" }, ZONES) },
    { name: "filter, sticky, three zones", filter, record: recordOf(sticky, ZONES) },
  ];
}

/** The filter as translation configures it: off but where a route names it. */
function wasmFilter(filter: Uint8Array): object {
  const code = { local: { inline_bytes: Buffer.from(filter).toString("base64") } };
  return {
    name: "weft",
    disabled: true,
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
      config: { name: "weft", failure_policy: "FAIL_OPEN", vm_config: { vm_id: "bench", runtime: "envoy.wasm.runtime.v8", code } },
    },
  };
}

/** The route that each variant measures, in the shape that translation gives it. */
function routeOf({ filter, record }: RouteVariant): object {
  const entries =
    record?.candidates.flatMap((candidate) => candidate.entries.map(({ cluster, width }) => ({ name: cluster, weight: width }))) ??
    SUBSETS.map(({ subset, weight }) => ({ name: subset, weight }));
  return {
    name: "backend.default/primary",
    route: { weighted_clusters: { ...(record ? { header_name: PICK_HEADER } : {}), clusters: entries } },
    ...(record ? { metadata: { filter_metadata: { weft: encodeDecisionRecord(record) } }, request_headers_to_remove: [PICK_HEADER] } : {}),
    ...(filter ? { typed_per_filter_config: { weft: { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", config: {} } } } : {}),
  };
}

function clusters(port: number): readonly object[] {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  return SUBSETS.flatMap(({ subset }) => [subset, ...ZONES.map((zone) => `${subset};zone=${zone}`)]).map((name) => ({
    name,
    type: "STATIC",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  }));
}

/** CPU per request of each variant. Linux only. */
export function measureRouteCost({ variants, ...options }: RouteCostOptions): Promise<readonly ListenerCost[]> {
  return measureListeners({
    ...options,
    variants: variants.map((variant) => ({
      name: variant.name,
      listener: (name) => httpListener(name, { route: routeOf(variant), filters: variant.filter ? [wasmFilter(variant.filter)] : [] }),
    })),
    clusters,
    headers: USERS.map((user) => ({ "x-user": user })),
  });
}
