// The same for a whole minute: 10,000 edits. The time of the last one is printed; the limit of the test only bounds a failure.
import { expect, it } from "vitest";
import { editsInARow } from "./coalescing.ts";

it("serves 10,000 edits in a minute together, the last one too", { timeout: 300_000 }, async () => {
  const { edits, lastLiveMs, resourcesPerStream, leftBehind } = await editsInARow(10_000, 60_000);
  console.log(`${edits} edits: the last was live after ${Math.round(lastLiveMs)} ms, each stream had taken ${resourcesPerStream} resources`);
  expect(resourcesPerStream).toBeLessThan(edits);
  expect(leftBehind).toBe(0);
  expect(lastLiveMs).toBeLessThan(30_000);
});
