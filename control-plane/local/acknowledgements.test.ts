import { describe, expect, it } from "vitest";
import { createAcknowledgements, isInForce, type Publication } from "./acknowledgements.ts";

const publication = (revision: number, sequence: number, proxies = ["a", "b"]): Publication => ({
  kind: "published",
  revision,
  sequence,
  files: [],
  changedAtMs: 0,
  proxies,
});
const state = (proxyId: string, ackedRevision: number, connected = true) => ({ proxyId, connected, ackedRevision, nacks: 0 });

describe("acknowledgements", () => {
  it.each([
    { name: "every live proxy has ACKed", states: [state("a", 5), state("b", 6)], live: ["a", "b"], inForce: true },
    { name: "one is behind", states: [state("a", 5), state("b", 4)], live: ["a", "b"], inForce: false },
    { name: "one that is behind only starts", states: [state("a", 5), state("b", 4)], live: ["a"], inForce: true },
    { name: "a live one has no connection: it serves what it held", states: [state("a", 5), state("b", 5, false)], live: ["a", "b"], inForce: false },
    { name: "a live one was never heard of", states: [state("a", 5)], live: ["a", "b"], inForce: false },
    { name: "one that is not in the publication is behind", states: [state("a", 5), state("b", 5), state("c", 1)], live: ["a", "b", "c"], inForce: true },
  ])("are complete or not: $name", ({ states, live, inForce }) => {
    expect(isInForce(publication(5, 1), new Map(states.map((one) => [one.proxyId, one])), new Set(live))).toBe(inForce);
  });

  it("are awaited from the first publication that answers", async () => {
    const acknowledgements = createAcknowledgements(() => new Set(["a", "b"]));
    acknowledgements.onPublished(publication(1, 6));
    acknowledgements.onProxies([state("a", 1), state("b", 1)]);
    let resolved = false;
    const inForce = acknowledgements.inForce(7, 10_000).then((value) => {
      resolved = true;
      return value;
    });
    acknowledgements.onPublished(publication(2, 7));
    acknowledgements.onPublished(publication(3, 8));
    acknowledgements.onProxies([state("a", 3), state("b", 1)]);
    await Promise.resolve();
    expect(resolved).toBe(false);
    acknowledgements.onProxies([state("a", 3), state("b", 2)]);
    expect(await inForce).toBe(true);
  });

  it("of a control plane that has ended count no longer", async () => {
    const acknowledgements = createAcknowledgements(() => new Set(["a"]));
    acknowledgements.onPublished(publication(1, 1, ["a"]));
    acknowledgements.onProxies([state("a", 1)]);
    acknowledgements.onEnded();
    const inForce = acknowledgements.inForce(2, 10_000);
    acknowledgements.onPublished(publication(9, 0, []));
    acknowledgements.onPublished(publication(10, 3, ["a"]));
    expect(acknowledgements.stateOf("a")).toEqual({ connected: false, upToDate: false });
    acknowledgements.onProxies([state("a", 10)]);
    expect(await inForce).toBe(true);
    expect(acknowledgements.stateOf("a")).toEqual({ connected: true, upToDate: true });
  });

  it("are not waited for longer than asked", async () => {
    const acknowledgements = createAcknowledgements(() => new Set(["a"]));
    expect(await acknowledgements.inForce(1, 1)).toBe(false);
  });
});
