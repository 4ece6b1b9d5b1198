import { toBinary } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.js";
import { TcpProxySchema } from "../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";

import { packAny } from "./any.ts";

describe("packAny", () => {
  it("gives back the message that was packed", () => {
    const packed = packAny(TcpProxySchema, { statPrefix: "orders", clusterSpecifier: { case: "cluster", value: "outbound|80||orders" } });
    expect(packed.typeUrl).toBe("type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy");
    expect(anyUnpack(packed, TcpProxySchema)).toMatchObject({ statPrefix: "orders", clusterSpecifier: { case: "cluster", value: "outbound|80||orders" } });
    expect(anyUnpack(packed, RouterSchema)).toBeUndefined();
  });

  it("packs a message without fields to no bytes", () => {
    expect(packAny(RouterSchema)).toMatchObject({ typeUrl: "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router", value: new Uint8Array() });
  });

  it("gives equal bytes whatever the order in which fields are named", () => {
    const one = packAny(TcpProxySchema, { statPrefix: "orders", clusterSpecifier: { case: "cluster", value: "a" }, idleTimeout: { seconds: 5n, nanos: 7 } });
    const other = packAny(TcpProxySchema, { idleTimeout: { nanos: 7, seconds: 5n }, clusterSpecifier: { value: "a", case: "cluster" }, statPrefix: "orders" });
    expect(toBinary(AnySchema, one)).toEqual(toBinary(AnySchema, other));
    expect(toBinary(AnySchema, packAny(TcpProxySchema, { statPrefix: "others" }))).not.toEqual(toBinary(AnySchema, one));
  });

  it("refuses a number that its field cannot hold", () => {
    expect(() => packAny(TcpProxySchema, { statPrefix: "orders", maxConnectAttempts: -1 })).toThrow(/uint32/);
  });
});
