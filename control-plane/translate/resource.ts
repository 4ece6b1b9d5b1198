// What translation hands on: one Envoy resource, encoded, with the YAML that it came from.
import type { Diagnostic, Origin } from "../model/diagnostic.ts";
import { type AnyResource, resourceLabel } from "../model/resource.ts";

/** The xDS types, in the order in which additions are sent. The one table that streams, diff and checks iterate. */
export const XDS_TYPES = ["cluster", "secret", "endpoint", "listener", "route", "virtualHost", "extension"] as const;
export type XdsType = (typeof XDS_TYPES)[number];

export interface TranslatedResource {
  readonly type: XdsType;
  readonly name: string;
  /** The encoded message (`envoy.config.cluster.v3.Cluster`, …), without its Any wrapper. Equal input gives equal bytes. */
  readonly body: Uint8Array;
  /** The YAML resources that shaped it, most specific first; what a refusal by Envoy is reported against. Empty for the mesh's own. */
  readonly origins: readonly ResourceOrigin[];
  /** Names of resources that must be there for it to work, as `type/name`: checked before a snapshot is published. */
  readonly needs: readonly string[];
}

export interface ResourceOrigin {
  readonly origin: Origin;
  /** `VirtualService default/reviews`. */
  readonly resource: string;
}

/** All that one proxy is to hold. Resources shared between proxies are the same objects. */
export interface ProxyResources {
  readonly proxyId: string;
  readonly resources: readonly TranslatedResource[];
  /** The part of `resources` that other proxies are to hold too: one array for all of them, and for the next translation as long as nothing in it changes. */
  readonly shared?: readonly TranslatedResource[];
  /** The rest of `resources`, where there is a shared part. */
  readonly own?: readonly TranslatedResource[];
}

/** What a proxy holds in common with others, and its own. */
export function layeredResources(proxyId: string, shared: readonly TranslatedResource[], own: readonly TranslatedResource[]): ProxyResources {
  let all: readonly TranslatedResource[] | undefined;
  return {
    proxyId,
    shared,
    own,
    get resources() {
      all ??= [...shared, ...own];
      return all;
    },
  };
}

export interface Translation {
  readonly proxies: ReadonlyMap<string, ProxyResources>;
  readonly diagnostics: readonly Diagnostic[];
}

const ORIGINS = new WeakMap<AnyResource, ResourceOrigin>();

/** A resource as an origin: the same object each time, since it is one of many Envoy resources. */
export function resourceOrigin(resource: AnyResource): ResourceOrigin {
  const known = ORIGINS.get(resource) ?? { origin: resource.origin, resource: resourceLabel(resource) };
  ORIGINS.set(resource, known);
  return known;
}

/** Each origin once, at its first place. */
export function uniqueOrigins(origins: readonly ResourceOrigin[]): readonly ResourceOrigin[] {
  return [...new Map(origins.map((origin) => [origin.resource, origin])).values()];
}
