// The load clients against plain local servers that count for themselves: a client that miscounts would hide a lost request.
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type LoadAnswer, startLoad } from "./load.ts";
import { requireTool } from "./require-tool.ts";
import { runWrk } from "./wrk.ts";

const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${portOf(server)}`;
}

function portOf(server: { address(): ReturnType<Server["address"]> }): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server is not listening");
  return address.port;
}

describe("startLoad", () => {
  test("counts exactly the requests that the server failed", async () => {
    let seen = 0;
    const url = await listen((_request, response) => {
      seen += 1;
      response.writeHead(seen % 100 === 0 ? 503 : 200).end(seen % 100 === 0 ? "no healthy upstream" : "ok");
    });
    const report = await startLoad({ url, connections: 8, total: 2_000, countBodies: true }).finished;
    expect(report).toMatchObject({
      sent: 2_000,
      ok: 1_980,
      failed: 20,
      byStatus: { 200: 1_980, 503: 20 },
      byReason: { "status 503": 20 },
      byBody: { ok: 1_980, "no healthy upstream": 20 },
    });
    expect(seen).toBe(2_000);
    expect(report.errors).toHaveLength(20);
    expect(report.errors[0]).toMatch(/^request \d+ to http:\/\/127.0.0.1:\d+\/ after [\d.]+ s: status 503: no healthy upstream$/);
  });

  test("counts a connection that is cut instead of answered, and does not ask again", async () => {
    let seen = 0;
    const url = await listen((request, response) => {
      seen += 1;
      if (seen % 100 === 0) request.socket.destroy();
      else response.end("ok");
    });
    const report = await startLoad({ url, connections: 4, total: 1_000 }).finished;
    expect(report).toMatchObject({ sent: 1_000, ok: 990, failed: 10, byStatus: { 200: 990 } });
    expect(Object.values(report.byReason).reduce((sum, count) => sum + count, 0)).toBe(10);
    expect(seen).toBe(1_000);
  });

  test("counts an answer that breaks off", async () => {
    const url = await listen((request, response) => {
      response.writeHead(200, { "content-length": "10" });
      response.write("half", () => request.socket.destroy());
    });
    const report = await startLoad({ url, connections: 1, total: 3 }).finished;
    expect(report).toMatchObject({ sent: 3, ok: 0, failed: 3 });
  });

  test("counts refused connections by their code", async () => {
    const closed = createTcpServer();
    await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${portOf(closed)}`;
    await new Promise((resolve) => closed.close(resolve));
    const report = await startLoad({ url, connections: 2, total: 6 }).finished;
    expect(report).toMatchObject({ sent: 6, ok: 0, failed: 6, byReason: { ECONNREFUSED: 6 } });
  });

  test("stop waits for the answers under way and counts them", async () => {
    const held: (() => void)[] = [];
    let allHeld: () => void = () => undefined;
    const full = new Promise<void>((resolve) => {
      allHeld = resolve;
    });
    const url = await listen((_request, response) => {
      held.push(() => response.end("late"));
      if (held.length === 5) allHeld();
    });
    const load = startLoad({ url, connections: 5 });
    await full;
    const stopped = load.stop();
    expect(load.report()).toMatchObject({ sent: 5, ok: 0, failed: 0 });
    for (const release of held) release();
    expect(await stopped).toMatchObject({ sent: 5, ok: 5, failed: 0 });
    expect(await load.stop()).toEqual(await stopped);
    expect(held).toHaveLength(5);
  });

  test("sends the method, the headers and the body of each request once, in turn to each URL", async () => {
    const seen: string[] = [];
    const url = await listen((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      request.on("end", () => {
        seen.push(`${request.method} ${request.url} ${request.headers["x-user"]} ${body}`);
        response.setHeader("x-seen", String(seen.length)).end("done");
      });
    });
    const answers: LoadAnswer[] = [];
    const options = {
      connections: 1,
      total: 3,
      method: "POST",
      headers: (index: number) => ({ "x-user": `user-${index}` }),
      body: (index: number) => `order ${index}`,
    } as const;
    await startLoad({ ...options, url: [`${url}/a`, `${url}/b?q=1`], onResponse: (answer) => answers.push(answer) }).finished;
    expect(seen).toEqual(["POST /a user-0 order 0", "POST /b?q=1 user-1 order 1", "POST /a user-2 order 2"]);
    expect(answers.map(({ index, status, body, headers }) => [index, status, body, headers["x-seen"]])).toEqual([
      [0, 200, "done", "1"],
      [1, 200, "done", "2"],
      [2, 200, "done", "3"],
    ]);
  });

  test("a check turns a good status with a wrong answer into a failure", async () => {
    let seen = 0;
    const url = await listen((_request, response) => response.end(++seen === 7 ? "green" : "blue"));
    const report = await startLoad({ url, connections: 1, total: 10, check: ({ body }) => (body === "blue" ? undefined : "not blue") }).finished;
    expect(report).toMatchObject({ ok: 9, failed: 1, byStatus: { 200: 10 }, byReason: { "not blue": 1 } });
    expect(report.errors[0]).toContain("request 6 ");
  });

  test("more waits for requests that were sent after the call", async () => {
    let phase = "old";
    const url = await listen((_request, response) => response.end(phase));
    const bodies: string[] = [];
    const load = startLoad({ url, connections: 4, onResponse: ({ body }) => bodies.push(body) });
    await load.more(50);
    phase = "new";
    await load.more(50);
    await load.stop();
    expect(bodies.filter((body) => body === "new").length).toBeGreaterThanOrEqual(50);
    await expect(load.more(1)).rejects.toThrow("stopped");
  });

  test("keeps to its rate", async () => {
    const url = await listen((_request, response) => response.end("ok"));
    const report = await startLoad({ url, connections: 10, ratePerSecond: 400, total: 201 }).finished;
    // Request 200 is due 500 ms after the start, never earlier.
    expect(report.durationSeconds).toBeGreaterThan(0.49);
    expect(report).toMatchObject({ sent: 201, ok: 201 });
  });

  test("ends with the error of a callback that throws", async () => {
    const url = await listen((_request, response) => response.end("ok"));
    const load = startLoad({
      url,
      connections: 2,
      onResponse: ({ index }) => {
        if (index === 5) throw new Error("not what I expected");
      },
    });
    await expect(load.finished).rejects.toThrow("not what I expected");
  });
});

describe("runWrk", () => {
  test("counts exactly the bad answers of the server, and sends method, headers and body as told", async ({ skip }) => {
    const path = requireTool("wrk", skip);
    let seen = 0;
    const kinds = new Set<string>();
    const url = await listen((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      request.on("end", () => {
        seen += 1;
        kinds.add(`${request.method} ${request.headers["x-user"]} ${body}`);
        response.writeHead(seen % 100 === 0 ? 503 : 200).end("x");
      });
    });
    const report = await runWrk({ path, url, connections: 4, durationSeconds: 1, method: "POST", headers: { "x-user": 'a"b\\c' }, body: "line 1\nline 2" });
    expect(kinds).toEqual(new Set(['POST a"b\\c line 1\nline 2']));
    expect(report.requests).toBeGreaterThan(0);
    // Answers still under way at the end are in the server's count only.
    expect(seen - report.requests).toBeLessThanOrEqual(4);
    expect(report.badStatus).toBeGreaterThanOrEqual(Math.floor((seen - 4) / 100));
    expect(report.badStatus).toBeLessThanOrEqual(Math.floor(seen / 100));
    expect(report.failed).toBe(report.badStatus);
  });

  test("counts cut connections", async ({ skip }) => {
    const path = requireTool("wrk", skip);
    const url = await listen((request) => request.socket.destroy());
    const report = await runWrk({ path, url, connections: 2, durationSeconds: 1 });
    expect(report.requests).toBe(0);
    expect(report.failed).toBeGreaterThan(0);
  });
});

describe("requireTool", () => {
  const skip = (note: string): never => {
    throw new Error(`skipped: ${note}`);
  };

  test("skips with the command that installs the program", () => {
    expect(() => requireTool("wrk", skip, { PATH: "/nowhere" })).toThrow("skipped: wrk is not there: apt-get install wrk");
    expect(() => requireTool("chromium", skip, { PATH: "/nowhere", CHROMIUM: "/nowhere/chrome" })).toThrow("skipped: /nowhere/chrome is not there");
  });

  test("fails instead of skipping when CI=true", () => {
    expect(() => requireTool("wrk", skip, { PATH: "/nowhere", CI: "true" })).toThrow(/^wrk is not there/);
  });

  test("takes the path from the environment first", () => {
    expect(requireTool("wrk", skip, { PATH: "/nowhere", WRK: process.execPath })).toBe(process.execPath);
  });
});
