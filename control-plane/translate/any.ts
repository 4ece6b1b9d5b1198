// Packs a generated message into google.protobuf.Any, the way Envoy nests the configuration of its extensions.
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";

const TYPE_URL_PREFIX = "type.googleapis.com/";

/**
 * The message as an Any. Fields are written in the order of the schema, so equal input gives equal bytes, except for map fields: those keep the order in
 * which their keys were inserted, which is for the caller to fix. Throws when a value does not fit its field (a number out of range).
 */
export function packAny<Desc extends DescMessage>(schema: Desc, init?: MessageInitShape<Desc>): Any {
  return create(AnySchema, { typeUrl: `${TYPE_URL_PREFIX}${schema.typeName}`, value: toBinary(schema, create(schema, init)) });
}
