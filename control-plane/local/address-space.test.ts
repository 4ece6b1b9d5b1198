import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createAddressSpace, createPortSpace } from "./address-space.ts";

const space = (taken: readonly number[] = []) => createAddressSpace({ network: 80, isTaken: (port) => taken.includes(port) });

describe("address space", () => {
  it("gives each owner an address of its own, and leaves the first to the claim", () => {
    const addresses = space();
    expect(addresses.listen("a", "admin", 15_000)).toEqual({ address: "127.80.0.2", port: 15_000 });
    expect(addresses.listen("b", "admin", 15_000)).toEqual({ address: "127.80.0.3", port: 15_000 });
  });

  it("gives the same place for the same use again, whatever has come in between", () => {
    const addresses = space();
    const first = addresses.listen("a", "inbound 9090", 9_090);
    for (let owner = 0; owner < 500; owner++) addresses.listen(`other-${owner}`, "inbound 9090", 9_090);
    expect(addresses.listen("a", "inbound 9090", 9_090)).toEqual(first);
  });

  it.each([
    ["moves a privileged port up by 8000", [], 80, 8_080],
    ["keeps an unprivileged port", [], 9_090, 9_090],
    ["goes on to the next port where a program listens on every address", [9_090, 9_091], 9_090, 9_092],
  ])("%s", (_, taken, preferred, port) => {
    expect(space(taken).listen("a", "service", preferred).port).toBe(port);
  });

  it("keeps two ports of one owner apart that would be bound alike", () => {
    const addresses = space();
    expect(addresses.listen("a", "inbound 80", 80).port).toBe(8_080);
    expect(addresses.listen("a", "inbound 8080", 8_080).port).toBe(8_081);
  });

  it("gives applications ports that no other application of the mesh has", () => {
    const addresses = space();
    const ports = Array.from({ length: 50 }, (_, owner) => addresses.listenAlone(`owner-${owner}`, "application").port);
    expect(new Set(ports).size).toBe(50);
  });

  it("never gives two uses the same place", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(20), fc.nat(20), fc.integer({ min: 1, max: 65_535 }), fc.boolean()), { maxLength: 200 }), (questions) => {
        const addresses = space();
        const places = new Map<string, string>();
        for (const [owner, use, port, alone] of questions) {
          const { address, port: bound } = alone ? addresses.listenAlone(`${owner}`, `${use}`) : addresses.listen(`${owner}`, `${use}`, port);
          places.set(`${owner} ${use}`, `${address}:${bound}`);
        }
        expect(new Set(places.values()).size).toBe(places.size);
      }),
    );
  });
});

describe("port space", () => {
  it("gives every use a port of its own on 127.0.0.1, and the same one again", () => {
    const addresses = createPortSpace([20_000, 20_001, 20_002, 20_003]);
    expect(addresses.inbound("a", 80)).toEqual({ address: "127.0.0.1", port: 20_000 });
    expect(addresses.inbound("b", 80)).toEqual({ address: "127.0.0.1", port: 20_001 });
    expect(addresses.service("a", "orders", 80)).toMatchObject({ listen: { port: 20_002 }, explain: { port: 20_003 } });
    expect(addresses.inbound("a", 80).port).toBe(20_000);
    expect(() => addresses.inbound("c", 80)).toThrow("all in use");
  });
});
