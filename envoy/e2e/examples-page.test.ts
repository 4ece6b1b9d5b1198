// The blue/green page in headless Chromium, before a small front server that plays the gateway: what the page counts must be what the servers counted.
import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { Agent, request as ask } from "undici";
import { afterEach, expect, test } from "vitest";
import { z } from "zod";
import { countsOf, openBlueGreenPage, type PageCounts, pauseWhen, resume, serverCounts, settled, usersWith } from "./blue-green-page.ts";
import { type Program, startProgram } from "./program.ts";
import { requireTool } from "./require-tool.ts";

const BLUE_GREEN = fileURLToPath(new URL("../../examples/blue-green/", import.meta.url));
/** Set it to a folder to keep the pictures. */
const SCREENSHOTS = process.env.WEFT_SCREENSHOTS;

/** A test is several waits on the page; together they may take longer than the usual limit where the machine is busy. */
const LIMIT = { timeout: 180_000 };

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** What stands behind the front server: for each request, which program answers; none is a 503. */
interface Route {
  choose: (user: number, request: number) => Program | undefined;
}

async function startColor(version: string, color: string): Promise<Program> {
  const program = await startProgram(join(BLUE_GREEN, "color/server.mjs"), { COLOR: color, VERSION: version, POD_NAME: `${version}-0` });
  closers.push(() => program.kill());
  return program;
}

/** Serves the page at `/`, and `/color` by `route`. */
async function startFront(route: Route): Promise<string> {
  const page = await startProgram(join(BLUE_GREEN, "page/server.mjs"));
  const agent = new Agent();
  let requests = 0;
  const server = createServer(async (request, response) => {
    const path = request.url ?? "/";
    const user = String(request.headers["x-user"] ?? "");
    const program = path === "/color" ? route.choose(Number(user.slice("user-".length)), requests++) : page;
    if (program === undefined) return response.writeHead(503).end("no healthy upstream");
    const answer = await ask(`${program.url}${path}`, { dispatcher: agent, headers: { "x-user": user } });
    return response.writeHead(answer.statusCode, answer.headers).end(Buffer.from(await answer.body.arrayBuffer()));
  });
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await agent.close();
    await page.kill();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the front server is not listening");
  return `http://127.0.0.1:${address.port}`;
}

async function served(programs: readonly Program[]): Promise<readonly z.output<typeof serverCounts>[]> {
  return Promise.all(programs.map(async ({ url }) => serverCounts.parse(await (await ask(`${url}/count`)).body.json())));
}

const totalOf = (all: Awaited<ReturnType<typeof served>>, wanted: { readonly color?: string; readonly version?: string }) =>
  all.filter(({ color, version }) => (wanted.color ?? color) === color && (wanted.version ?? version) === version).reduce((sum, { total }) => sum + total, 0);

async function expectEqualCounts(shown: PageCounts, programs: readonly Program[]): Promise<void> {
  const all = await served(programs);
  expect({ blue: shown.blue, green: shown.green, requests: shown.requests - shown.errors }).toEqual({
    blue: totalOf(all, { color: "blue" }),
    green: totalOf(all, { color: "green" }),
    requests: totalOf(all, {}),
  });
  expect({ stable: 0, canary: 0, ...shown.versions }).toEqual({ stable: totalOf(all, { version: "stable" }), canary: totalOf(all, { version: "canary" }) });
}

/** Keeps a picture, where pictures are wanted, once the page shows these figures. */
async function picture(page: Page, name: string, shown: PageCounts): Promise<void> {
  await settled(page, shown);
  if (SCREENSHOTS === undefined) return;
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), animations: "disabled" });
}

/** What the eye sees: each tile's background, in the page's light colours. */
async function tileColors(page: Page): Promise<readonly string[]> {
  const colors = await page.evaluate("[...document.querySelectorAll('#users > li')].map((tile) => getComputedStyle(tile).backgroundColor)");
  return z.array(z.string()).parse(colors);
}
const BLUE = "rgb(36, 89, 201)";
const GREEN = "rgb(20, 128, 60)";

const CANARY_USERS = Array.from({ length: 10 }, (_, index) => `user-${String(10 * index + 7).padStart(3, "0")}`);

test("follows a canary through its phases, and counts what the servers count", LIMIT, async ({ skip }) => {
  const executablePath = requireTool("chromium", skip);
  const [blue, canary, green] = await Promise.all([startColor("stable", "blue"), startColor("canary", "green"), startColor("stable", "green")]);
  const programs = [blue, canary, green];
  const route: Route = { choose: () => blue };
  const { page, complaints } = await openBlueGreenPage(executablePath, `${await startFront(route)}/?users=100&interval=400`);
  closers.push(() => page.context().browser()?.close() ?? Promise.resolve());

  const first = await pauseWhen(page, ({ requests, userVersions }) => requests >= 300 && usersWith(userVersions, "stable").length === 100);
  await expectEqualCounts(first, programs);
  expect(first).toMatchObject({ green: 0, errors: 0, changed: 0, moves: 0, versions: { stable: first.requests } });
  await picture(page, "1-stable-blue", first);
  expect(await page.textContent("#story")).toBe("All 100 users get stable (blue). Nobody has changed version.");

  route.choose = (user) => (user % 10 === 7 ? canary : blue);
  await resume(page);
  const second = await pauseWhen(
    page,
    ({ changed, requests, recent }) => changed >= 10 && requests >= first.requests + 400 && Math.abs((recent["canary green"] ?? 0) - 0.1) < 0.005,
  );
  await expectEqualCounts(second, programs);
  expect(second).toMatchObject({ errors: 0, changed: 10, moves: 10 });
  expect(usersWith(second.userVersions, "canary")).toEqual(CANARY_USERS);
  expect(usersWith(second.userColors, "green")).toEqual(CANARY_USERS);
  expect(await tileColors(page)).toEqual(Array.from({ length: 100 }, (_, index) => (index % 10 === 6 ? GREEN : BLUE)));
  await picture(page, "2-canary-green", second);
  expect(await page.textContent("#story")).toBe("90 users get stable (blue), 10 canary (green). 10 changed version, once each; everyone else keeps theirs.");

  route.choose = (user) => (user % 10 === 7 ? canary : green);
  await resume(page);
  const third = await pauseWhen(
    page,
    ({ requests, userColors, recent }) => requests >= second.requests + 400 && usersWith(userColors, "green").length === 100 && recent["stable blue"] === 0,
  );
  await expectEqualCounts(third, programs);
  expect(third).toMatchObject({ errors: 0, changed: 10, moves: 10 });
  expect(new Set(await tileColors(page))).toEqual(new Set([GREEN]));
  await picture(page, "3-stable-green-too", third);

  route.choose = () => green;
  await page.click("#new-phase");
  expect(await countsOf(page)).toMatchObject({ changed: 0, moves: 0, changedEver: 10 });
  await resume(page);
  const last = await pauseWhen(page, ({ userVersions, recent }) => usersWith(userVersions, "stable").length === 100 && recent["canary green"] === 0);
  await expectEqualCounts(last, programs);
  expect(last).toMatchObject({ blue: second.blue, errors: 0, changed: 10, moves: 10, changedEver: 10 });
  await picture(page, "4-stable-alone", last);
  expect(complaints).toEqual([]);
});

test("shows users who change to and fro, and counts errors", LIMIT, async ({ skip }) => {
  const executablePath = requireTool("chromium", skip);
  const [blue, canary] = await Promise.all([startColor("stable", "blue"), startColor("canary", "green")]);
  let refused = 0;
  const route: Route = { choose: (_user, request) => (request % 7 === 0 ? canary : blue) };
  const { page } = await openBlueGreenPage(executablePath, `${await startFront(route)}/?users=40&interval=200&concurrency=3`);
  closers.push(() => page.context().browser()?.close() ?? Promise.resolve());
  const flickering = await pauseWhen(page, ({ moves, changed }) => moves > 2 * changed && changed > 12);
  await expectEqualCounts(flickering, [blue, canary]);

  const choose = route.choose;
  route.choose = (user, request) => {
    if (request % 20 !== 0) return choose(user, request);
    refused += 1;
    return undefined;
  };
  await resume(page);
  const failing = await pauseWhen(page, ({ errors }) => errors >= 5);
  expect(failing.errors).toBe(refused);
  await expectEqualCounts(failing, [blue, canary]);
  await picture(page, "flicker-and-errors", failing);
  expect(await page.textContent("#whether")).toMatch(/^\d+ changed version, \d+ times in all: they do not keep it\./);
  expect(await page.textContent("#last-error")).toMatch(/^Last error: user-\d{3}: status 503: no healthy upstream$/);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.setViewportSize({ width: 400, height: 900 });
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(400);
  await picture(page, "narrow-dark", failing);
});
