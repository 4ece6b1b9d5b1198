// One delta stream that asks and answers as an Envoy does, at the least cost: it reads of a resource only what it must subscribe to next, and each content once
// for all streams.
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Client, type ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import { ClusterSchema } from "../../../control-plane/gen/envoy/config/cluster/v3/cluster_pb.js";
import { ListenerSchema } from "../../../control-plane/gen/envoy/config/listener/v3/listener_pb.js";
import { HttpConnectionManagerSchema } from "../../../control-plane/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { TYPE_URLS } from "../../../control-plane/snapshot/type-urls.ts";
import { XDS_TYPES, type XdsType } from "../../../control-plane/translate/resource.ts";
import { AGGREGATED_DISCOVERY_SERVICE } from "../../../control-plane/xds/server.ts";
import { typeOfUrl } from "../../../control-plane/xds/wire.ts";

/** What a stream has taken since its counters were last set to zero. */
export interface StreamCounters {
  bytes: number;
  resources: number;
  removals: number;
  /** By the clock of performance.now plus its time origin; 0 where nothing came. */
  lastAtMs: number;
}

/** What a proxy holds: it outlives its streams. */
export interface ProxyMemory {
  readonly id: string;
  readonly held: Readonly<Record<XdsType, Map<string, string>>>;
  readonly names: Readonly<Record<XdsType, Set<string>>>;
}

/** A proxy that has never been connected. */
export function newProxyMemory(id: string): ProxyMemory {
  const perType = <Value>(make: () => Value): Record<XdsType, Value> => ({
    cluster: make(),
    secret: make(),
    endpoint: make(),
    listener: make(),
    route: make(),
    virtualHost: make(),
    extension: make(),
  });
  return { id, held: perType(() => new Map()), names: perType(() => new Set()) };
}

export interface EnvoyStream {
  readonly counters: StreamCounters;
  readonly call: ClientDuplexStream<Buffer, Buffer>;
}

const passBytes = (bytes: Buffer): Buffer => bytes;

/** Opens a stream for a proxy, which reports what it holds. */
export function openStream(client: Client, memory: ProxyMemory, onBroken: (error: Error) => void, metadata = new Metadata()): EnvoyStream {
  const call = client.makeBidiStreamRequest(AGGREGATED_DISCOVERY_SERVICE.DeltaAggregatedResources.path, passBytes, passBytes, metadata);
  const counters: StreamCounters = { bytes: 0, resources: 0, removals: 0, lastAtMs: 0 };
  const requested = new Set<XdsType>();
  const { held, names } = memory;

  const request = (
    type: XdsType,
    fields: { readonly subscribe?: readonly string[]; readonly unsubscribe?: readonly string[]; readonly nonce?: string },
  ): void => {
    const writer = new BinaryWriter();
    if (requested.size === 0) writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(memory.id).join();
    writer.tag(2, WireType.LengthDelimited).string(TYPE_URLS[type]);
    for (const name of fields.subscribe ?? []) writer.tag(3, WireType.LengthDelimited).string(name);
    for (const name of fields.unsubscribe ?? []) writer.tag(4, WireType.LengthDelimited).string(name);
    if (!requested.has(type)) {
      for (const [name, version] of held[type]) {
        writer.tag(5, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(name).tag(2, WireType.LengthDelimited).string(version).join();
      }
    }
    if (fields.nonce !== undefined) writer.tag(6, WireType.LengthDelimited).string(fields.nonce);
    requested.add(type);
    call.write(Buffer.from(writer.finish()));
  };
  const subscribe = (type: XdsType, wanted: Iterable<string>): void => {
    const fresh = [...wanted].filter((name) => !names[type].has(name));
    for (const name of fresh) names[type].add(name);
    if (fresh.length > 0) request(type, { subscribe: fresh });
  };
  const unsubscribe = (type: XdsType, unwanted: Iterable<string>): void => {
    const gone = [...unwanted].filter((name) => names[type].delete(name));
    for (const name of gone) held[type].delete(name);
    if (gone.length > 0) request(type, { unsubscribe: gone });
  };

  /** Asks for what the resources name; listeners are asked for once all clusters have their endpoints. */
  const follow = (type: XdsType, resources: readonly ReceivedResource[], removed: readonly string[]): void => {
    if (type === "cluster") {
      subscribe("endpoint", resources.flatMap(referencesOf));
      unsubscribe(
        "endpoint",
        removed.flatMap((name) => formerReferences.get(name) ?? []),
      );
      for (const resource of resources) formerReferences.set(resource.name, referencesOf(resource));
    }
    if (type === "listener") {
      const references = resources.flatMap(referencesOf);
      subscribe(
        "route",
        references.filter((reference) => reference.startsWith("r")).map((reference) => reference.slice(1)),
      );
      subscribe(
        "extension",
        references.filter((reference) => reference.startsWith("e")).map((reference) => reference.slice(1)),
      );
    }
    const vhds = type === "route" && names.virtualHost.size === 0 ? resources.find(({ name }) => name === HTTP_PROXY_ROUTE) : undefined;
    if (vhds !== undefined) subscribe("virtualHost", [vhds.name]);
    if (!requested.has("listener") && held.cluster.size > 0 && held.endpoint.size >= names.endpoint.size) request("listener", {});
  };
  const formerReferences = new Map<string, readonly string[]>();

  call.on("data", (bytes: Buffer) => {
    counters.bytes += bytes.length;
    counters.lastAtMs = performance.timeOrigin + performance.now();
    const { type, nonce, resources, removed } = parseResponse(bytes);
    counters.resources += resources.length;
    counters.removals += removed.length;
    for (const { name, version } of resources) held[type].set(name, version);
    for (const name of removed) held[type].delete(name);
    request(type, { nonce });
    follow(type, resources, removed);
  });
  call.on("error", onBroken);
  const reconnects = held.cluster.size > 0;
  request("cluster", {});
  if (reconnects) for (const type of XDS_TYPES) if (type !== "cluster" && names[type].size > 0) request(type, { subscribe: [...names[type]] });
  if (reconnects) request("listener", {});
  return { counters, call };
}

const HTTP_PROXY_ROUTE = "http-proxy";

interface ReceivedResource {
  readonly type: XdsType;
  readonly name: string;
  readonly version: string;
  readonly any: Uint8Array;
}

/** DeltaDiscoveryResponse: resources = 2, type_url = 4, nonce = 5, removed_resources = 6. */
function parseResponse(bytes: Uint8Array): {
  readonly type: XdsType;
  readonly nonce: string;
  readonly resources: readonly ReceivedResource[];
  readonly removed: readonly string[];
} {
  const reader = new BinaryReader(bytes);
  const bodies: Uint8Array[] = [];
  const removed: string[] = [];
  let [typeUrl, nonce] = ["", ""];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 2) bodies.push(reader.bytes());
    else if (field === 4) typeUrl = reader.string();
    else if (field === 5) nonce = reader.string();
    else if (field === 6) removed.push(reader.string());
    else reader.skip(wireType, field);
  }
  const type = typeOfUrl(typeUrl);
  if (type === undefined) throw new Error(`a response of an unknown type ${typeUrl}`);
  return { type, nonce, removed, resources: bodies.map((body) => parseResource(type, body)) };
}

/** Resource: version = 1, resource (Any) = 2, name = 3. */
function parseResource(type: XdsType, bytes: Uint8Array): ReceivedResource {
  const reader = new BinaryReader(bytes);
  let [name, version] = ["", ""];
  let any: Uint8Array = new Uint8Array();
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) version = reader.string();
    else if (field === 2) any = reader.bytes();
    else if (field === 3) name = reader.string();
    else reader.skip(wireType, field);
  }
  return { type, name, version, any };
}

const REFERENCES = new Map<string, readonly string[]>();

/** Endpoints of a cluster; routes (`r…`) and extensions (`e…`) of a listener. */
function referencesOf({ type, name, version, any }: ReceivedResource): readonly string[] {
  const key = `${type} ${name} ${version}`;
  const known = REFERENCES.get(key);
  if (known !== undefined) return known;
  const body = bodyOf(any);
  const references = type === "cluster" ? endpointsOf(body) : listenerReferences(body);
  REFERENCES.set(key, references);
  return references;
}

function bodyOf(any: Uint8Array): Uint8Array {
  const reader = new BinaryReader(any);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 2) return reader.bytes();
    reader.skip(wireType, field);
  }
  return new Uint8Array();
}

function endpointsOf(body: Uint8Array): readonly string[] {
  const { edsClusterConfig, name } = fromBinary(ClusterSchema, body);
  return edsClusterConfig === undefined ? [] : [edsClusterConfig.serviceName || name];
}

function listenerReferences(body: Uint8Array): readonly string[] {
  const { filterChains, defaultFilterChain } = fromBinary(ListenerSchema, body);
  const filters = [...filterChains, ...(defaultFilterChain === undefined ? [] : [defaultFilterChain])].flatMap((chain) => chain.filters);
  return filters.flatMap(({ configType }) => {
    if (configType.case !== "typedConfig" || !configType.value.typeUrl.endsWith(HttpConnectionManagerSchema.typeName)) return [];
    const { routeSpecifier, httpFilters } = fromBinary(HttpConnectionManagerSchema, configType.value.value);
    const routes = routeSpecifier.case === "rds" ? [`r${routeSpecifier.value.routeConfigName}`] : [];
    return [...routes, ...httpFilters.filter((filter) => filter.configType.case === "configDiscovery").map(({ name }) => `e${name}`)];
  });
}
