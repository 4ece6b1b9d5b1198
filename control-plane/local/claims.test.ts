import { describe, expect, it } from "vitest";
import { claimLoopbackPort, claimNetwork } from "./claims.ts";

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
});
