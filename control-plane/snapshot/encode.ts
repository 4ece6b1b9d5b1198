// A translated resource in; out comes the resource as it goes on the wire: named, versioned by its content, and encoded once for every proxy that holds it.
import { createHash } from "node:crypto";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { ResourceOrigin, TranslatedResource, XdsType } from "../translate/resource.ts";
import { TYPE_URLS } from "./type-urls.ts";

/** One Envoy resource, ready to be sent. Equal (type, name, version) means equal bytes. */
export interface EncodedResource {
  readonly type: XdsType;
  readonly name: string;
  /** Hash of `body`, so that a restarted control plane finds its proxies up to date. */
  readonly version: string;
  /**
   * What stands before the body in a response: the field's number and length, and of the `envoy.service.discovery.v3.Resource` the version, the name and the
   * head of the Any. So the body of a translated resource is what is sent, and no copy of it is kept.
   */
  readonly head: Uint8Array;
  readonly body: Uint8Array;
  /** Of head and body. */
  readonly sizeBytes: number;
  readonly origins: readonly ResourceOrigin[];
  /** `type/name` of what must be there for it to work. */
  readonly needs: readonly string[];
  /** Lower-cased domains of a virtual host, or of the virtual hosts inside a route configuration; empty for other types. */
  readonly domains: readonly string[];
  /** A route configuration whose virtual hosts come by VHDS. */
  readonly usesVhds: boolean;
}

/** DeltaDiscoveryResponse.resources. */
const RESOURCES_FIELD = 2;

/** Encoded resources by `type/name@version`, kept from one snapshot to the next so that bytes are made once. */
export type EncodedPool = Map<string, EncodedResource>;

/** `cluster/outbound|80||reviews.default.svc.cluster.local`, as it stands in `needs`. */
export function resourceKey(type: XdsType, name: string): string {
  return `${type}/${name}`;
}

/** `type/name@version`: what a refusal by Envoy is about. */
export function versionKey(resource: { readonly type: XdsType; readonly name: string; readonly version: string }): string {
  return `${resource.type}/${resource.name}@${resource.version}`;
}

/**
 * The route configuration that a VHDS resource belongs to: all before the last slash.
 * Source: Envoy, source/extensions/config_subscription/grpc/watch_map.cc, `namespaceFromName`.
 */
export function routeConfigurationOf(virtualHost: string): string {
  return virtualHost.slice(0, Math.max(0, virtualHost.lastIndexOf("/")));
}

/**
 * Makes an encoder. Objects that several proxies share are encoded once, and so are equal ones; what `pool` has in the same version is taken over.
 * `pool` is filled with all that was encoded.
 */
export function createEncoder(pool: EncodedPool): (resource: TranslatedResource) => EncodedResource {
  return (resource) => {
    const known = ENCODED.get(resource);
    if (known !== undefined) {
      if (!pool.has(known.key)) pool.set(known.key, known.encoded);
      return known.encoded;
    }
    const version = versionOf(resource.body);
    const key = versionKey({ type: resource.type, name: resource.name, version });
    const encoded = adopt(resource, pool.get(key)) ?? encode(resource, version);
    pool.set(key, encoded);
    ENCODED.set(resource, { key, encoded });
    return encoded;
  };
}

/** A resource that translation hands on again as the same object is not even hashed. */
const ENCODED = new WeakMap<TranslatedResource, { readonly key: string; readonly encoded: EncodedResource }>();

/** Encodes one resource by itself, outside any pool. */
export function encodeResource(resource: TranslatedResource): EncodedResource {
  return encode(resource, versionOf(resource.body));
}

/** A ClusterLoadAssignment without endpoints: what a subscription to endpoints that do not exist is answered with, never a removal. */
export function emptyEndpoints(name: string): EncodedResource {
  return encodeResource({ type: "endpoint", name, body: new BinaryWriter().tag(1, WireType.LengthDelimited).string(name).finish(), origins: [], needs: [] });
}

/**
 * A secret, with a version of its own instead of a hash. Its bytes hold a private key: whatever prints, spreads or serializes the resource does not see them.
 */
export function encodeSecret(name: string, version: string, body: Uint8Array): EncodedResource {
  const encoded = encode({ type: "secret", name, body, origins: [], needs: [] }, version);
  return Object.defineProperties(encoded, { body: { enumerable: false } });
}

function versionOf(body: Uint8Array): string {
  return createHash("sha256").update(body).digest("hex").slice(0, 16);
}

/** The former encoding with this translation's origins: lines move in a file without a byte of the resource changing. */
function adopt(resource: TranslatedResource, former: EncodedResource | undefined): EncodedResource | undefined {
  if (former === undefined) return undefined;
  const { origins, needs } = resource;
  return sameOrigins(origins, former.origins) && sameTexts(needs, former.needs) ? former : { ...former, origins, needs };
}

function sameOrigins(a: readonly ResourceOrigin[], b: readonly ResourceOrigin[]): boolean {
  const text = ({ origin, resource }: ResourceOrigin): string => `${origin.file}:${origin.line}:${origin.column} ${resource}`;
  return a === b || sameTexts(a.map(text), b.map(text));
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((text, index) => text === b[index]));
}

function encode(resource: TranslatedResource, version: string): EncodedResource {
  const { type, name, body, origins, needs } = resource;
  const ofAny = new BinaryWriter().tag(1, WireType.LengthDelimited).string(TYPE_URLS[type]).tag(2, WireType.LengthDelimited).uint32(body.length).finish();
  const ofResource = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(version)
    .tag(3, WireType.LengthDelimited)
    .string(name)
    // Last, so that the body ends it.
    .tag(2, WireType.LengthDelimited)
    .uint32(ofAny.length + body.length)
    .finish();
  const lengthBytes = ofResource.length + ofAny.length + body.length;
  const head = Buffer.concat([new BinaryWriter().tag(RESOURCES_FIELD, WireType.LengthDelimited).uint32(lengthBytes).finish(), ofResource, ofAny]);
  const routing = type === "route" ? scanRouteConfiguration(body) : { domains: type === "virtualHost" ? scanDomains(body) : [], usesVhds: false };
  return { type, name, version, head, body, sizeBytes: head.length + body.length, origins, needs, ...routing };
}

/** Reads only the fields that the consistency check asks for: RouteConfiguration.virtual_hosts is field 2, .vhds field 9. */
function scanRouteConfiguration(body: Uint8Array): { readonly domains: readonly string[]; readonly usesVhds: boolean } {
  const domains: string[] = [];
  let usesVhds = false;
  scanFields(body, (field, reader) => {
    if (field === 9) usesVhds = true;
    if (field !== 2) return false;
    domains.push(...scanDomains(reader.bytes()));
    return true;
  });
  return { domains, usesVhds };
}

/** VirtualHost.domains is field 2; Envoy compares domains in lower case. */
function scanDomains(body: Uint8Array): readonly string[] {
  const domains: string[] = [];
  scanFields(body, (field, reader) => {
    if (field !== 2) return false;
    domains.push(reader.string().toLowerCase());
    return true;
  });
  return domains;
}

/** Calls `visit` at each top-level field; a field that it did not read is skipped. */
function scanFields(body: Uint8Array, visit: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(body);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (!visit(field, reader)) reader.skip(wireType, field);
  }
}
