import { request } from "node:http";
import { connect } from "node:net";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AdminServer, startAdminServer } from "./server.ts";

interface Answer {
  readonly status: number;
  readonly type: string | undefined;
  readonly body: unknown;
}

const lines: string[] = [];
const logger = pino({ level: "warn" }, { write: (line: string) => lines.push(line) });
let admin: AdminServer;

beforeAll(async () => {
  admin = await startAdminServer({
    port: 0,
    logger,
    routes: {
      "/proxies": () => [{ proxyId: "a" }],
      "/diagnostics": () => [],
      "/broken": () => {
        throw new Error("a defect");
      },
    },
  });
});

afterAll(() => admin.close());

function ask(path: string, options: { readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = "GET", headers = {} } = options;
    const outgoing = request({ host: "127.0.0.1", port: admin.port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.once("end", () => resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"], body: JSON.parse(text) }));
    });
    outgoing.once("error", reject).end();
  });
}

describe("the admin API", () => {
  it("answers a route with its value as JSON, whatever the query", async () => {
    expect(await ask("/proxies?x=1")).toEqual({ status: 200, type: "application/json", body: [{ proxyId: "a" }] });
  });

  it.each(["127.0.0.1:1234", "127.0.0.1", "localhost:15000", "[::1]:80"])("serves the host %s", async (host) => {
    expect((await ask("/proxies", { headers: { host } })).status).toBe(200);
  });

  it.each(["evil.example", "evil.example:15000", "127.0.0.1.evil.example", "localhost.evil.example:80", "127.0.0.1:80@evil.example"])(
    "refuses the host %j, which a page may point here",
    async (host) => {
      expect((await ask("/proxies", { headers: { host } })).status).toBe(403);
    },
  );

  it.each(["https://evil.example", "http://127.0.0.1:3000", "null"])("refuses a page of the origin %s", async (origin) => {
    expect((await ask("/proxies", { headers: { origin } })).status).toBe(403);
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])("refuses %s", async (method) => {
    expect((await ask("/proxies", { method })).status).toBe(405);
  });

  it.each(["/", "/proxies/", "/constructor", "/__proto__", "/nowhere"])("answers 404 to %s, with the paths that there are", async (path) => {
    const { status, body } = await ask(path);
    expect(status).toBe(404);
    expect(body).toEqual({ error: "no such path; there are /proxies, /diagnostics, /broken" });
  });

  it.each(["//", "http://[", "/%"])("answers a path that is no URL with an error, and lives on: %s", async (path) => {
    expect((await ask(path)).status).toBeGreaterThanOrEqual(400);
    expect((await ask("/proxies")).status).toBe(200);
  });

  it("says once in the log why it refuses, however often somebody tries", async () => {
    const said = (): readonly string[] => lines.flatMap((line) => (line.includes('"msg":"refused"') ? [JSON.parse(line).reason] : []));
    for (let attempt = 0; attempt < 50; attempt++) {
      await ask("/proxies", { headers: { host: "evil.example" } });
      await ask("/proxies", { headers: { origin: "https://evil.example" } });
      await ask("/proxies", { method: "DELETE" });
    }
    expect([...said()].sort()).toEqual(["admin-foreign-host", "admin-web-page", "admin-write"]);
  });

  it("refuses a request that no page and no program writes, and says so", async () => {
    const text = await new Promise<string>((resolve) => {
      let got = "";
      const socket = connect(admin.port, "127.0.0.1", () => socket.write("no request at all\r\n\r\n"));
      socket.on("data", (bytes) => (got += bytes)).once("close", () => resolve(got));
    });
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(lines.filter((line) => line.includes("admin-malformed"))).toHaveLength(1);
  });

  it("answers 500 where a route throws, and lives on", async () => {
    expect((await ask("/broken")).status).toBe(500);
    expect((await ask("/proxies")).status).toBe(200);
  });

  it("rejects a port that is taken", async () => {
    await expect(startAdminServer({ port: admin.port, routes: {}, logger })).rejects.toThrow("EADDRINUSE");
  });
});
