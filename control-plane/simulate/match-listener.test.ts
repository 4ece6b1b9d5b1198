import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.js";
import { findFilterChain, type SimulatedConnection } from "./match-listener.ts";

const range = (addressPrefix: string, prefixLen: number) => ({ addressPrefix, prefixLen });
const listener = create(ListenerSchema, {
  filterChains: [
    { name: "wide", filterChainMatch: { prefixRanges: [range("10.0.0.0", 8)] } },
    { name: "narrow", filterChainMatch: { prefixRanges: [range("10.1.0.0", 16)] } },
    { name: "six", filterChainMatch: { prefixRanges: [range("1234::", 16)] } },
    { name: "sni", filterChainMatch: { serverNames: ["a.example.com", "b.example.com"], transportProtocol: "tls" } },
    { name: "wildcard", filterChainMatch: { serverNames: ["*.example.com"], transportProtocol: "tls" } },
    { name: "longer wildcard", filterChainMatch: { serverNames: ["*.x.example.com"], transportProtocol: "tls" } },
    { name: "http", filterChainMatch: { applicationProtocols: ["http/1.1", "h2c"] } },
    { name: "port", filterChainMatch: { destinationPort: 9_000 } },
  ],
  defaultFilterChain: { name: "default" },
});
const plain: SimulatedConnection = { transport: "raw_buffer", applicationProtocols: [] };
const tls = (serverName: string): SimulatedConnection => ({ transport: "tls", serverName, applicationProtocols: ["h2"] });

describe("the filter chain of a connection", () => {
  it.each<{ readonly connection: SimulatedConnection; readonly chain: string }>([
    { connection: { ...plain, address: "10.2.3.4" }, chain: "wide" },
    { connection: { ...plain, address: "10.1.3.4" }, chain: "narrow" },
    { connection: { ...plain, address: "1234:1::1" }, chain: "six" },
    { connection: tls("a.example.com"), chain: "sni" },
    { connection: tls("A.Example.com"), chain: "sni" },
    { connection: tls("c.example.com"), chain: "wildcard" },
    { connection: tls("c.x.example.com"), chain: "longer wildcard" },
    { connection: tls("example.com"), chain: "default" },
    { connection: { ...plain, applicationProtocols: ["h2c"] }, chain: "http" },
    { connection: { ...plain, port: 9_000 }, chain: "port" },
    // The port was chosen first, and is not given up for what the address would have fitted.
    { connection: { ...plain, port: 9_000, address: "10.1.2.3" }, chain: "port" },
    { connection: plain, chain: "default" },
  ])("$connection goes to $chain", ({ connection, chain }) => {
    expect(findFilterChain(listener, connection)?.name).toBe(chain);
  });

  it("is none where no chain takes it and there is no default", () => {
    expect(findFilterChain(create(ListenerSchema, { filterChains: listener.filterChains }), plain)).toBeUndefined();
  });
});
