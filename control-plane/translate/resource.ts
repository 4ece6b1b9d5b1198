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
}

export interface Translation {
  readonly proxies: ReadonlyMap<string, ProxyResources>;
  readonly diagnostics: readonly Diagnostic[];
}

/** A resource as an origin. */
export function resourceOrigin(resource: AnyResource): ResourceOrigin {
  return { origin: resource.origin, resource: resourceLabel(resource) };
}

/** Each origin once, at its first place. */
export function uniqueOrigins(origins: readonly ResourceOrigin[]): readonly ResourceOrigin[] {
  return [...new Map(origins.map((origin) => [origin.resource, origin])).values()];
}
