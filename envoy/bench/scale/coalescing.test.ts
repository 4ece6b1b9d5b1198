// Edits that come faster than they can be served are served together, and the last one is never left behind.
import { expect, it } from "vitest";
import { editsInARow } from "./coalescing.ts";

it("serves many edits together, the last one too", { timeout: 120_000 }, async () => {
  const { edits, lastLiveMs, resourcesPerStream, leftBehind } = await editsInARow(400, 2_000);
  // Each is another version of one of 20 hosts: uncoalesced, each would be sent.
  expect(resourcesPerStream).toBeLessThan(edits);
  expect(leftBehind).toBe(0);
  expect(lastLiveMs).toBeLessThan(30_000);
});
