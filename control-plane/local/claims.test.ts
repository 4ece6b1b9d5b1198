import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { claimLoopbackPort, claimNetwork, claimPortBlock } from "./claims.ts";

describe.runIf(process.platform === "linux")("claims", () => {
  it("give two meshes different networks, and the same mesh the same one again", async () => {
    const first = await claimNetwork("a test's mesh");
    const second = await claimNetwork("a test's mesh");
    expect(second?.network).not.toBe(first?.network);
    first?.release();
    second?.release();
    const again = await claimNetwork("a test's mesh");
    expect(again?.network).toBe(first?.network);
    again?.release();
  });

  it("give two meshes different blocks of ports, without those that somebody has", async () => {
    const first = await claimPortBlock("a test's mesh");
    const second = await claimPortBlock("a test's mesh");
    expect(first.ports.filter((port) => second.ports.includes(port))).toEqual([]);
    const [taken = 0] = second.ports;
    second.release();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(taken, "127.0.0.1", resolve));
    const again = await claimPortBlock("a test's mesh");
    expect(again.ports).toEqual(second.ports.slice(1));
    await new Promise((resolve) => server.close(resolve));
    first.release();
    again.release();
  });

  it("give two gateways different ports", async () => {
    const first = await claimLoopbackPort(0);
    const second = await claimLoopbackPort(first.port);
    expect(second.port).toBeGreaterThan(first.port);
    first.release();
    second.release();
  });
});
