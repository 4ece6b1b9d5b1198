import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { claimLoopbackPort, claimNetwork, parseWildcardPorts, wildcardPorts } from "./claims.ts";

describe.runIf(process.platform === "linux")("claims", () => {
  it("give two meshes different networks, and the same mesh the same one again", async () => {
    const first = await claimNetwork("a test's mesh");
    const second = await claimNetwork("a test's mesh");
    expect(second.network).not.toBe(first.network);
    first.release();
    second.release();
    const again = await claimNetwork("a test's mesh");
    expect(again.network).toBe(first.network);
    again.release();
  });

  it("give two gateways different ports", async () => {
    const first = await claimLoopbackPort(0);
    const second = await claimLoopbackPort(first.port);
    expect(second.port).toBeGreaterThan(first.port);
    first.release();
    second.release();
  });

  it("see programs that listen on every address", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    expect(wildcardPorts().has(port)).toBe(true);
    await new Promise((resolve) => server.close(resolve));
  });
});

describe("table of sockets", () => {
  it("gives the listening ports at the address of all zeros", () => {
    const table = `  sl  local_address rem_address   st tx_queue
   0: 0100007F:89B5 00000000:0000 0A 00000000:00000000
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000
   2: 00000000:1F91 0100007F:0001 01 00000000:00000000
   3: 00000000000000000000000000000000:2382 00000000000000000000000000000000:0000 0A 00000000:00000000
`;
    expect(parseWildcardPorts(table)).toEqual([8_080, 9_090]);
  });
});
