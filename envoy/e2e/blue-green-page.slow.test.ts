// Demo 2 as a person sees it: the page in headless Chromium through the ingress gateway of a real mesh, in its three phases.
// WEFT_UPDATE_SCREENSHOTS=1 writes the pictures of docs/ anew.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openBlueGreenPage, type PageCounts, pauseWhen, resume, type ServerCounts, serverCounts, settled, usersWith } from "./blue-green-page.ts";
import { EXAMPLES, startMesh, type TestMesh, until } from "./mesh.ts";
import { gatewayUrl, serviceUrl } from "./ready.ts";
import { requireTool } from "./require-tool.ts";

const DOCS = fileURLToPath(new URL("../../docs/", import.meta.url));
const MAX_PICTURE_BYTES = 150_000;

let mesh: TestMesh;
const closers: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  mesh = await startMesh(join(EXAMPLES, "blue-green"));
});
afterAll(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await mesh?.close();
});

/**
 * What the color servers counted, by version. Asked through the sidecar of `page`: the VirtualService binds the gateway only, so requests inside the mesh
 * reach every copy in turn, also one that was started after `ready`. Retried until both versions have answered, the stable one with this colour only.
 */
function servedBy(stableColor: string): Promise<{ readonly stable: ServerCounts; readonly canary: ServerCounts }> {
  const url = `${serviceUrl(mesh.ready, "page", "color")}/count`;
  return until(`counts of a ${stableColor} stable version and of the canary`, async () => {
    const answers: ServerCounts[] = [];
    for (let index = 0; index < 24; index++) answers.push(serverCounts.parse(await (await fetch(url)).json()));
    const stable = answers.filter(({ version }) => version === "stable");
    const canary = answers.find(({ version }) => version === "canary");
    const [first] = stable;
    return first !== undefined && canary !== undefined && stable.every(({ color }) => color === stableColor) ? { stable: first, canary } : undefined;
  });
}

async function editInForce(file: string, change: (text: string) => string): Promise<void> {
  const from = await mesh.edit(file, change);
  await mesh.event("applied", ({ files }) => files.includes(file), { from });
}

/** Writes the two weights of traffic.yaml. */
function weights(...values: readonly [number, number]): (text: string) => string {
  let index = 0;
  return (text) => text.replace(/weight: \d+/g, () => `weight: ${values[index++]}`);
}

async function picture(page: Page, name: string, shown: PageCounts): Promise<void> {
  await settled(page, shown);
  const png = await page.screenshot({ animations: "disabled" });
  expect(png.length).toBeLessThan(MAX_PICTURE_BYTES);
  if (process.env.WEFT_UPDATE_SCREENSHOTS !== "1") return;
  await mkdir(DOCS, { recursive: true });
  await writeFile(join(DOCS, `blue-green-${name}.png`), png);
}

it("shows the three phases of a canary, and counts what the servers count", { timeout: 240_000 }, async ({ skip }) => {
  const { page, complaints } = await openBlueGreenPage(requireTool("chromium", skip), `${gatewayUrl(mesh.ready)}/?users=100&interval=500`);
  closers.push(async () => page.context().browser()?.close());

  const first = await pauseWhen(page, ({ requests, userVersions }) => requests >= 400 && usersWith(userVersions, "stable").length === 100);
  expect(first).toMatchObject({ green: 0, errors: 0, changed: 0, blue: first.requests });
  const servedFirst = await servedBy("blue");
  expect([servedFirst.stable.total, servedFirst.canary.total]).toEqual([first.blue, 0]);
  await picture(page, "1-stable", first);

  await editInForce("traffic.yaml", weights(90, 10));
  await resume(page);
  const second = await pauseWhen(page, ({ requests, changed }) => requests >= first.requests + 800 && changed > 0);
  const canaryUsers = usersWith(second.userVersions, "canary");
  // 100 users at 10 %: four standard deviations are 12 users. Whoever moved did so once, and nobody moved back.
  expect(canaryUsers.length).toBeGreaterThan(0);
  expect(canaryUsers.length).toBeLessThanOrEqual(22);
  expect(second).toMatchObject({ errors: 0, changed: canaryUsers.length, moves: canaryUsers.length });
  const servedSecond = await servedBy("blue");
  expect([servedSecond.stable.total, servedSecond.canary.total]).toEqual([second.blue, second.green]);
  await picture(page, "2-canary-90-10", second);

  // The blue copy has counted all that it ever will: the page is paused while it is rolled.
  await mesh.edit("color.yaml", (text) => text.replace("image: color:blue", "image: color:green"));
  await servedBy("green");
  await resume(page);
  const third = await pauseWhen(
    page,
    ({ requests, userColors, recent }) =>
      requests >= second.requests + 800 && usersWith(userColors, "green").length === 100 && (recent["stable blue"] ?? 0) === 0,
  );
  expect(third).toMatchObject({ blue: second.blue, errors: 0, changed: canaryUsers.length, moves: canaryUsers.length });
  expect(usersWith(third.userVersions, "canary")).toEqual(canaryUsers);
  const servedThird = await servedBy("green");
  expect(servedThird.stable.total + servedThird.canary.total).toBe(third.green);
  await picture(page, "3-all-green", third);

  await editInForce("traffic.yaml", weights(100, 0));
  await resume(page);
  const last = await pauseWhen(page, ({ userVersions, recent }) => usersWith(userVersions, "stable").length === 100 && (recent["canary green"] ?? 0) === 0);
  expect(last).toMatchObject({ blue: second.blue, errors: 0, changed: canaryUsers.length, moves: 2 * canaryUsers.length });
  const servedLast = await servedBy("green");
  expect(servedLast.stable.total + servedLast.canary.total).toBe(last.green);
  expect(complaints).toEqual([]);
});
