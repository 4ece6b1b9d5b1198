// What Envoy's OpenTelemetry sink sends, for tests: an ExportMetricsServiceRequest with one counter.
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { PROXY_ATTRIBUTE } from "./metrics-service.ts";

/** `proxyId`: what the report says of itself; nothing where it is absent. */
export function reportOf(proxyId: string | undefined, name: string, value: number): Buffer {
  const writer = new BinaryWriter();
  const open = (field: number): BinaryWriter => writer.tag(field, WireType.LengthDelimited).fork();
  open(1);
  open(1);
  if (proxyId !== undefined) {
    open(1);
    writer.tag(1, WireType.LengthDelimited).string(PROXY_ATTRIBUTE);
    open(2);
    writer.tag(1, WireType.LengthDelimited).string(proxyId).join().join();
  }
  writer.join();
  open(2);
  open(2);
  writer.tag(1, WireType.LengthDelimited).string(name);
  open(7);
  open(1);
  writer.tag(3, WireType.Bit64).fixed64(1).tag(6, WireType.Bit64).sfixed64(value).join();
  return Buffer.from(writer.tag(2, WireType.Varint).int32(2).join().join().join().join().finish());
}
