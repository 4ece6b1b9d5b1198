// What Envoy refused (NACK): the culprit is set aside and its last accepted version serves, on every proxy alike, until its input changes.
import type { Diagnostic } from "../model/diagnostic.ts";
import { compareDiagnostics } from "../model/diagnostic.ts";
import type { XdsType } from "../translate/resource.ts";
import { type EncodedResource, resourceKey, routeConfigurationOf, versionKey } from "./encode.ts";
import { hostsByRoute, lookUp, ofType, type View } from "./view.ts";

/** One resource that one Envoy refused when it was sent alone. */
export interface Refusal {
  readonly proxyId: string;
  readonly resource: EncodedResource;
  /** Envoy's own text. */
  readonly reason: string;
}

/** Refusals by `type/name@version`. Kept in memory only: a restarted control plane asks Envoy again. */
export type Quarantine = ReadonlyMap<string, Refusal>;

export const EMPTY_QUARANTINE: Quarantine = new Map();

/** The quarantine with one more refusal; the first text for a version stays. */
export function quarantined(quarantine: Quarantine, refusal: Refusal): Quarantine {
  const key = versionKey(refusal.resource);
  return quarantine.has(key) ? quarantine : new Map([...quarantine, [key, refusal]]);
}

/** The quarantine without versions that translation no longer asks for: their input has changed, so they are tried again should they return. */
export function stillAsked(quarantine: Quarantine, views: Iterable<View>): Quarantine {
  if (quarantine.size === 0) return quarantine;
  const asked = new Set<string>();
  for (const view of new Set(views)) for (const culprit of culpritsIn(view, quarantine)) asked.add(versionKey(culprit));
  return asked.size === quarantine.size ? quarantine : new Map([...quarantine].filter(([key]) => asked.has(key)));
}

/** The resources of a view that are in quarantine. */
export function culpritsIn(view: View, quarantine: Quarantine): readonly EncodedResource[] {
  return [...quarantine.values()].flatMap(({ resource }) => {
    const present = view.get(resource.type)?.get(resource.name);
    return present !== undefined && present.version === resource.version ? [present] : [];
  });
}

/** A view with culprits set aside. */
export interface Mended {
  readonly view: View;
  /** `type/name` of what is neither sent nor removed: a proxy that holds an older version goes on with it. */
  readonly frozen: ReadonlySet<string>;
}

/**
 * Sets culprits aside. Each takes its last accepted version, with what that version needs; without one it is left out. The same then
 * holds for whatever needed it, until every need is met again.
 */
export function setAside(view: View, quarantine: Quarantine, accepted: (type: XdsType, name: string) => EncodedResource | undefined): Mended {
  const draft = new Map([...view].map(([type, names]) => [type, new Map(names)]));
  const frozen = new Set<string>();
  const fallBack = (resource: EncodedResource): void => {
    const former = accepted(resource.type, resource.name);
    const usable = former !== undefined && former.version !== resource.version && !quarantine.has(versionKey(former));
    if (!usable) {
      draft.get(resource.type)?.delete(resource.name);
      frozen.add(resourceKey(resource.type, resource.name));
      return;
    }
    draft.get(resource.type)?.set(resource.name, former);
    bringAlong(draft, former, accepted);
  };
  for (const culprit of culpritsIn(view, quarantine)) fallBack(culprit);
  // Each round takes a resource back by a version or out of the draft, so the rounds end.
  for (let unmet = unmetIn(draft); unmet.length > 0; unmet = unmetIn(draft)) for (const resource of unmet) fallBack(resource);
  return { view: draft, frozen };
}

/** One error per refusal, addressed to the YAML that shaped the resource. */
export function refusalDiagnostics(quarantine: Quarantine): readonly Diagnostic[] {
  return [...quarantine.values()]
    .map(({ resource, reason, proxyId }): Diagnostic => {
      const source = resource.origins[0];
      return {
        code: "WEFT0701",
        severity: "error",
        origin: source?.origin ?? { file: "(generated)", line: 1, column: 1 },
        ...(source === undefined ? {} : { resource: source.resource }),
        what: `Envoy (${proxyId}) refuses the ${resource.type} ${resource.name}: ${reason.replace(/\.$/, "")}`,
        fix: "correct what Envoy names; until then the last accepted version serves, and everything else is applied",
      };
    })
    .sort(compareDiagnostics);
}

function bringAlong(
  draft: Map<XdsType, Map<string, EncodedResource>>,
  resource: EncodedResource,
  accepted: (type: XdsType, name: string) => EncodedResource | undefined,
): void {
  for (const need of resource.needs) {
    if (lookUp(draft, need) !== undefined) continue;
    const [type, name] = splitKey(need, draft);
    const former = type === undefined ? undefined : accepted(type, name);
    if (former === undefined) continue;
    draft.get(former.type)?.set(former.name, former);
    bringAlong(draft, former, accepted);
  }
}

function splitKey(key: string, view: View): readonly [XdsType | undefined, string] {
  const slash = key.indexOf("/");
  return [[...view.keys()].find((type) => type === key.slice(0, slash)), key.slice(slash + 1)];
}

/** Resources with a need that is not met, VHDS route configurations without hosts, and hosts whose route configuration is gone. */
function unmetIn(view: View): readonly EncodedResource[] {
  const hosts = hostsByRoute(view);
  const routes = ofType(view, "route");
  return [...view.values()].flatMap((names) =>
    [...names.values()].filter(
      (resource) =>
        resource.needs.some((need) => lookUp(view, need) === undefined) ||
        (resource.usesVhds && !hosts.has(resource.name)) ||
        (resource.type === "virtualHost" && !routes.has(routeConfigurationOf(resource.name))),
    ),
  );
}
