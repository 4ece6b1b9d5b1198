import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { covers, isListening, parseListeners, wildcardPorts } from "./listeners.ts";

describe.runIf(process.platform === "linux")("listeners of this machine", () => {
  it.each(["0.0.0.0", "127.0.0.1"])("are seen at %s while they listen, and not before or after", async (host) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    expect(isListening({ address: "127.0.0.1", port })).toBe(true);
    expect(isListening({ address: "127.0.0.9", port })).toBe(host === "0.0.0.0");
    expect(wildcardPorts().has(port)).toBe(host === "0.0.0.0");
    await new Promise((resolve) => server.close(resolve));
    expect(isListening({ address: "127.0.0.1", port })).toBe(false);
  });
});

describe("table of sockets", () => {
  it("gives what listens", () => {
    const table = `  sl  local_address rem_address   st tx_queue
   0: 0100007F:89B5 00000000:0000 0A 00000000:00000000
   1: 00000000:1F90 00000000:0000 0A 00000000:00000000
   2: 00000000:1F91 0100007F:0001 01 00000000:00000000
   3: 00000000000000000000000000000000:2382 00000000000000000000000000000000:0000 0A 00000000:00000000
`;
    expect(parseListeners(table)).toEqual([
      { address: "0100007F", port: 35_253 },
      { address: "00000000", port: 8_080 },
      { address: "00000000000000000000000000000000", port: 9_090 },
    ]);
  });

  it.each([
    ["0100007F", "127.0.0.1", true],
    ["0200007F", "127.0.0.1", false],
    ["00000000", "127.0.0.1", true],
    ["0000000000000000FFFF00000100007F", "127.0.0.1", true],
    ["00000000000000000000000001000000", "127.0.0.1", false],
    ["00000000000000000000000001000000", "::1", true],
  ])("takes connections at %s to %s: %s", (listener, address, expected) => {
    expect(covers(listener, address)).toBe(expected);
  });
});
