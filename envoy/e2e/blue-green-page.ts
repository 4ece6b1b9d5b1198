// Drives the page of examples/blue-green in headless Chromium: opens it, waits on its counts, and reads them when nothing is under way.
import { chromium, type Page } from "playwright-core";
import { vi } from "vitest";
import { z } from "zod";

const pageCounts = z.object({
  requests: z.number(),
  blue: z.number(),
  green: z.number(),
  errors: z.number(),
  versions: z.record(z.string(), z.number()),
  changed: z.number(),
  moves: z.number(),
  changedEver: z.number(),
  userVersions: z.record(z.string(), z.string()),
  userColors: z.record(z.string(), z.string()),
  recent: z.record(z.string(), z.number()),
  inFlight: z.number(),
});

/** What the page counts, `window.weftCounts`. */
export type PageCounts = z.output<typeof pageCounts>;

/** What a color server counts, `GET /count`. */
export const serverCounts = z.object({ color: z.string(), version: z.string(), total: z.number() });
export type ServerCounts = z.output<typeof serverCounts>;

/** A generous limit for what is awaited on the page. */
const WAIT = { timeout: 50_000, interval: 50 };

export interface BlueGreenPage {
  readonly page: Page;
  /** Warnings and errors of the browser's console, and exceptions. */
  readonly complaints: readonly string[];
}

/** Opens the page in a browser of its own, which the caller closes. */
export async function openBlueGreenPage(executablePath: string, url: string): Promise<BlueGreenPage> {
  const browser = await chromium.launch({ executablePath, args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const complaints: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.goto(url);
    return { page, complaints };
  } catch (error) {
    await browser.close();
    throw error;
  }
}

/** The counts now. */
export async function countsOf(page: Page): Promise<PageCounts> {
  return pageCounts.parse(await page.evaluate("window.weftCounts"));
}

/** Waits for a condition on the counts, then pauses the page and gives its counts once nothing is under way. */
export async function pauseWhen(page: Page, condition: (counts: PageCounts) => boolean): Promise<PageCounts> {
  await vi.waitUntil(async () => condition(await countsOf(page)), WAIT);
  await page.click("#pause");
  await vi.waitUntil(async () => (await countsOf(page)).inFlight === 0, WAIT);
  return countsOf(page);
}

/** Lets a paused page go on. */
export async function resume(page: Page): Promise<void> {
  await page.click("#pause");
}

/** Waits until a paused page shows these counts: it draws four times a second. */
export async function settled(page: Page, shown: PageCounts): Promise<void> {
  await vi.waitUntil(async () => (await page.textContent("#requests")) === shown.requests.toLocaleString("en"), WAIT);
}

/** The users whose version or colour is this. */
export function usersWith(users: Readonly<Record<string, string>>, value: string): readonly string[] {
  return Object.keys(users).filter((name) => users[name] === value);
}
