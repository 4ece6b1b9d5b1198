// VirtualServices and DestinationRules are often two edits of one change. Between the two, a route names subsets that are declared nowhere (yet, or
// any more) and would fail every request. So the last version of a VirtualService waits for the subsets of the new one, and a subset that a serving
// route still sends to outlives its removal. Pure: what served before is an input, and what serves now an output that outlives a restart.
import type { Diagnostic, Origin } from "../model/diagnostic.ts";
import type { Json, RememberedResource } from "../model/last-good.ts";
import { type AnyResource, type DestinationRule, resourceLabel, type VirtualService } from "../model/resource.ts";
import { readRemembered } from "../source/read-document.ts";

/** A resource that serves, and what is remembered of it. */
export interface Served {
  readonly resource: AnyResource;
  readonly remembered: RememberedResource;
}

export interface Settlement {
  readonly served: readonly Served[];
  readonly diagnostics: readonly Diagnostic[];
  /** The VirtualServices and DestinationRules that serve. */
  readonly settled: readonly RememberedResource[];
}

/** A subset that a route sends to. `name` is `host|subset`, the host fully qualified but for the cluster's domain. */
interface Reference {
  readonly name: string;
  readonly host: string;
  readonly subset: string;
  readonly origin: Origin;
}

type Declared = ReadonlyMap<string, { readonly rule: RememberedResource; readonly subset: Json }>;

/**
 * Holds back and keeps as described above. `former` is what {@link Settlement.settled} was; `running`: something served before, so that this is a change of it.
 */
export function settle(served: readonly Served[], former: readonly RememberedResource[], running = former.length > 0): Settlement {
  const now = declaredBy(served);
  const complete = served.every(({ resource }) => resource.kind !== "VirtualService" || references(resource).every(({ name }) => now.has(name)));
  if (complete) return { served, diagnostics: [], settled: trafficOf(served) };
  const formerByKey = new Map(former.map((remembered) => [keyOf(remembered), remembered]));
  const before = declaredBy(former.flatMap(recall));
  const diagnostics: Diagnostic[] = [];
  const held = served.flatMap((entry): readonly Served[] => {
    if (entry.resource.kind !== "VirtualService") return [entry];
    const missing = references(entry.resource).filter(({ name }) => !now.has(name) && !before.has(name));
    const remembered = formerByKey.get(keyOf(entry.remembered));
    const [last] = missing.length === 0 ? [] : recallSlot(remembered);
    if (running && remembered === undefined && leadsNowhere(entry.resource, (name) => now.has(name) || before.has(name))) {
      diagnostics.push(...missing.map((reference) => waitsToBegin(entry.resource, reference)));
      return [];
    }
    if (last === undefined || last.resource.kind !== "VirtualService" || last.remembered.digest === entry.remembered.digest) return [entry];
    if (references(last.resource).some(({ name }) => !now.has(name) && !before.has(name))) return [entry];
    diagnostics.push(...missing.map((reference) => waits(entry.resource, reference)));
    return [last];
  });
  const kept = new Map<string, Declared>();
  for (const { resource } of held) {
    if (resource.kind !== "VirtualService") continue;
    for (const reference of references(resource)) {
      const old = before.get(reference.name);
      if (now.has(reference.name) || old === undefined) continue;
      const key = keyOf(old.rule);
      if (kept.get(key)?.has(reference.name) !== true) diagnostics.push(stillUsed(resource, reference));
      kept.set(key, new Map([...(kept.get(key) ?? []), [reference.name, old]]));
    }
  }
  const result = withKept(held, kept);
  return { served: result, diagnostics, settled: trafficOf(result) };
}

/** The rules with the subsets that are kept; a rule that is gone comes back with nothing but those. */
function withKept(served: readonly Served[], kept: ReadonlyMap<string, Declared>): readonly Served[] {
  const present = new Set(served.map(({ remembered }) => keyOf(remembered)));
  const extended = served.map((entry) => {
    const subsets = kept.get(keyOf(entry.remembered));
    return subsets === undefined ? entry : (extend(entry.remembered, subsets) ?? entry);
  });
  const returned = [...kept].flatMap(([key, subsets]) => {
    const [first] = subsets.values();
    if (present.has(key) || first === undefined) return [];
    const bare = withSpec(first.rule, (spec) => ({ host: spec.host ?? "", subsets: [] }));
    return extend(bare, subsets) ?? [];
  });
  return [...extended, ...returned];
}

function extend(rule: RememberedResource, subsets: Declared): Served | undefined {
  const added = [...subsets.values()].map(({ subset }) => subset);
  const remembered = withSpec(rule, (spec) => ({ ...spec, subsets: [...(Array.isArray(spec.subsets) ? spec.subsets : []), ...added] }));
  return recallSlot(remembered)[0];
}

function withSpec(rule: RememberedResource, change: (spec: Readonly<Record<string, Json>>) => Json): RememberedResource {
  const document = mapOf(rule.document);
  return { ...rule, document: { ...document, spec: change(mapOf(document.spec)) } };
}

function mapOf(value: Json | undefined): Readonly<Record<string, Json>> {
  return typeof value === "object" && value !== null && !isList(value) ? value : {};
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function recall(remembered: RememberedResource): readonly Served[] {
  return remembered.kind === "DestinationRule" ? recallSlot(remembered) : [];
}

/** The resource again, or nothing where this version of Weft reads it differently. */
function recallSlot(remembered: RememberedResource | undefined): readonly Served[] {
  if (remembered === undefined) return [];
  const { file, line, column } = remembered;
  const resource = readRemembered({ file, line, column }, remembered.document);
  return resource === undefined ? [] : [{ resource, remembered }];
}

function declaredBy(served: readonly Served[]): Declared {
  const rules = served.flatMap(({ resource, remembered }) => (resource.kind === "DestinationRule" ? [{ rule: resource, remembered }] : []));
  return new Map(
    rules.flatMap(({ rule, remembered }) => {
      const known = SUBSETS.get(remembered);
      if (known?.rule === rule) return known.subsets;
      const subsets = subsetsOf(rule, remembered);
      SUBSETS.set(remembered, { rule, subsets });
      return subsets;
    }),
  );
}

const SUBSETS = new WeakMap<RememberedResource, { readonly rule: DestinationRule; readonly subsets: ReturnType<typeof subsetsOf> }>();

function subsetsOf(rule: DestinationRule, remembered: RememberedResource): readonly (readonly [string, { rule: RememberedResource; subset: Json }])[] {
  const documents = mapOf(mapOf(remembered.document).spec).subsets;
  const written = documents !== undefined && isList(documents) ? documents : [];
  return rule.spec.subsets.map(({ name }, index) => [
    `${qualified(rule.spec.host, rule.namespace)}|${name}`,
    { rule: remembered, subset: written[index] ?? { name } },
  ]);
}

/** Subsets that requests and connections are sent to: of several destinations those with a weight, of one that one. */
function references(service: VirtualService): readonly Reference[] {
  const known = REFERENCES.get(service) ?? routesOf(service).flatMap((route) => route.references);
  REFERENCES.set(service, known);
  return known;
}

/** A resource is looked at again at each change of another. */
const REFERENCES = new WeakMap<VirtualService, readonly Reference[]>();

/** Whether some route has no destination whose subset, if it names one, is declared: it would answer 503 to everything. */
function leadsNowhere(service: VirtualService, isDeclared: (name: string) => boolean): boolean {
  return routesOf(service).some((route) => route.references.length > 0 && !route.hasOthers && !route.references.some(({ name }) => isDeclared(name)));
}

interface SubsetRoute {
  readonly references: readonly Reference[];
  /** It also sends to a host as a whole. */
  readonly hasOthers: boolean;
}

function routesOf(service: VirtualService): readonly SubsetRoute[] {
  const { http, tls, tcp } = service.spec;
  const lists = [["http", http] as const, ["tls", tls] as const, ["tcp", tcp] as const];
  return lists.flatMap(([list, routes]) =>
    routes.map(({ route }, i): SubsetRoute => {
      const live = route.flatMap(({ destination, weight }, j) => (route.length > 1 && weight === 0 ? [] : [{ destination, j }]));
      const found = live.flatMap(({ destination: { host, subset }, j }) => {
        if (subset === undefined || subset === "") return [];
        const origin = service.locate(["spec", list, i, "route", j, "destination", "subset"]);
        return [{ name: `${qualified(host, service.namespace)}|${subset}`, host, subset, origin }];
      });
      return { references: found, hasOthers: found.length < live.length };
    }),
  );
}

/** `name.namespace` for a Service however it is written, any other host as it is. */
function qualified(host: string, namespace: string): string {
  const [name = "", own = namespace, svc, ...domain] = host.split(".");
  if (svc === undefined) return `${name}.${own}`;
  return svc === "svc" && (domain.length === 0 || domain.join(".") === "cluster.local") ? `${name}.${own}` : host;
}

function trafficOf(served: readonly Served[]): readonly RememberedResource[] {
  return served.flatMap(({ resource: { kind }, remembered }) => (kind === "VirtualService" || kind === "DestinationRule" ? [remembered] : []));
}

function keyOf({ kind, namespace, name }: { readonly kind: string; readonly namespace: string; readonly name: string }): string {
  return `${kind}/${namespace}/${name}`;
}

function waits(resource: AnyResource, { host, subset, origin }: Reference): Diagnostic {
  return {
    code: "WEFT0310",
    severity: "error",
    origin,
    resource: resourceLabel(resource),
    what: `no DestinationRule declares the subset ${subset} of ${host}, so the last version of this VirtualService goes on serving`,
    fix: "declare the subset in the DestinationRule of this host, or correct its name here; the new version then serves by itself",
  };
}

function waitsToBegin(resource: AnyResource, { host, subset, origin }: Reference): Diagnostic {
  return {
    code: "WEFT0310",
    severity: "error",
    origin,
    resource: resourceLabel(resource),
    what: `no DestinationRule declares the subset ${subset} of ${host}, so this VirtualService does not serve yet, and requests go on as they did`,
    fix: "declare the subset in the DestinationRule of this host, or correct its name here; it then serves by itself",
  };
}

function stillUsed(resource: AnyResource, { host, subset, origin }: Reference): Diagnostic {
  return {
    code: "WEFT0311",
    severity: "warning",
    origin,
    resource: resourceLabel(resource),
    what: `the subset ${subset} of ${host} is declared no more, and is kept as it was because this route sends requests to it`,
    fix: "send the requests elsewhere, or declare the subset again",
  };
}
