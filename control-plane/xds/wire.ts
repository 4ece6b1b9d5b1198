// DeltaDiscoveryRequest bytes in, the fields that a stream needs out; a response out of resources that were encoded before.
// Hand-read rather than decoded whole: the first request of an Envoy carries 61 KB of node, of which two strings are wanted.
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { EncodedResource } from "../snapshot/encode.ts";
import { TYPE_URLS } from "../snapshot/type-urls.ts";
import { XDS_TYPES, type XdsType } from "../translate/resource.ts";

export interface NodeIdentity {
  readonly id: string;
  readonly cluster: string;
}

/** What a stream reads of a DeltaDiscoveryRequest. Source: envoy/service/discovery/v3/discovery.proto. */
export interface DeltaRequest {
  /** On the first request of a stream only. */
  readonly node?: NodeIdentity;
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** Name to version of what the client holds; on the first request of a type only. */
  readonly initialVersions: ReadonlyMap<string, string>;
  /** Empty unless the request answers a response. */
  readonly nonce: string;
  /** The client's text where it refuses the response with this nonce. */
  readonly error?: string;
}

export interface DeltaResponse {
  readonly type: XdsType;
  readonly nonce: string;
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
  /** Other clients are sent the very same: the list of resources and the nonce are the same objects for all of them. */
  readonly alike?: true;
}

/** The xDS type of a type URL; undefined for one that Weft does not serve. */
export function typeOfUrl(url: string): XdsType | undefined {
  return XDS_TYPES.find((type) => TYPE_URLS[type] === url);
}

/** Reads a request. Throws on bytes that are no protobuf message. */
export function parseRequest(bytes: Uint8Array): DeltaRequest {
  const reader = new BinaryReader(bytes);
  const subscribe: string[] = [];
  const unsubscribe: string[] = [];
  const initialVersions = new Map<string, string>();
  let [typeUrl, nonce] = ["", ""];
  let node: NodeIdentity | undefined;
  let error: string | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) node = parseNode(reader.bytes());
    else if (field === 2) typeUrl = reader.string();
    else if (field === 3) subscribe.push(reader.string());
    else if (field === 4) unsubscribe.push(reader.string());
    else if (field === 5) {
      const [name, version] = parseTexts(reader.bytes(), [1, 2]);
      initialVersions.set(name ?? "", version ?? "");
    } else if (field === 6) nonce = reader.string();
    else if (field === 7) error = parseTexts(reader.bytes(), [2])[0] ?? "";
    else reader.skip(wireType, field);
  }
  return { typeUrl, subscribe, unsubscribe, initialVersions, nonce, ...(node === undefined ? {} : { node }), ...(error === undefined ? {} : { error }) };
}

/** The DeltaDiscoveryResponse: resources go in as the bytes that all streams share. */
export function encodeResponse(response: DeltaResponse): Buffer {
  if (response.alike === undefined) return joinResponse(response);
  const bytes = ALIKE.get(response.resources)?.deref() ?? joinResponse(response);
  ALIKE.set(response.resources, new WeakRef(bytes));
  return bytes;
}

/** Kept no longer than anything is being sent them: what they are made of is kept anyway. */
const ALIKE = new WeakMap<readonly EncodedResource[], WeakRef<Buffer>>();

function joinResponse(response: DeltaResponse): Buffer {
  const rest = new BinaryWriter().tag(4, WireType.LengthDelimited).string(TYPE_URLS[response.type]).tag(5, WireType.LengthDelimited).string(response.nonce);
  for (const name of response.removed) rest.tag(6, WireType.LengthDelimited).string(name);
  return Buffer.concat([...response.resources.flatMap(({ head, body }) => [head, body]), rest.finish()]);
}

/** The two fields that are read of a Node: id is field 1, cluster field 2. */
export function parseNode(bytes: Uint8Array): NodeIdentity {
  const [id, cluster] = parseTexts(bytes, [1, 2]);
  return { id: id ?? "", cluster: cluster ?? "" };
}

/** The named string fields of a message, in the order asked for; the rest is skipped unread. */
function parseTexts(bytes: Uint8Array, fields: readonly number[]): readonly (string | undefined)[] {
  const reader = new BinaryReader(bytes);
  const found = new Map<number, string>();
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (fields.includes(field)) found.set(field, reader.string());
    else reader.skip(wireType, field);
  }
  return fields.map((field) => found.get(field));
}
