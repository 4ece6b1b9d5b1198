// The programs of the demos, alone: started on loopback as a laptop or a cluster would start them, without any mesh.
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Agent, request as ask } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Program, startProgram as start } from "./program.ts";

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));

const PRODUCTS =
  '[{"id":1,"name":"라즈베리파이 4 8GB + 개발 키트","price":250000,"my_order_histories":[{"id":1,"ordered_at":"2022-10-18 19:30"},{"id":2,"ordered_at":"2022-10-21 18:03"},{"id":3,"ordered_at":"2022-10-23 12:25"},{"id":4,"ordered_at":"2022-10-29 13:16"}]},{"id":2,"name":"USB 32GB","price":12000,"my_order_histories":[{"id":5,"ordered_at":"2022-11-07 07:03"}]},{"id":3,"name":"맥북 프로 M1X","price":3200000,"my_order_histories":[{"id":6,"ordered_at":"2022-11-08 11:33"}]}]';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function startProgram(path: string, env: Readonly<Record<string, string>> = {}): Promise<Program> {
  const program = await start(join(EXAMPLES, path), env);
  closers.push(() => program.kill());
  return program;
}

async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return urlOf(server);
}

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server is not listening");
  return `http://127.0.0.1:${address.port}`;
}

/** A server that answers when told to: `next` resolves to the response of the next request. */
function heldRequests(): { readonly answer: RequestListener; next(): Promise<{ request: IncomingMessage; response: ServerResponse }> } {
  const arrived: { request: IncomingMessage; response: ServerResponse }[] = [];
  const wanted: ((held: { request: IncomingMessage; response: ServerResponse }) => void)[] = [];
  return {
    answer: (request, response) => {
      const want = wanted.shift();
      if (want === undefined) arrived.push({ request, response });
      else want({ request, response });
    },
    next: async () => arrived.shift() ?? new Promise((resolve) => wanted.push(resolve)),
  };
}

describe("shop", () => {
  test("product answers the talk's JSON byte for byte, with the histories of order-history", async () => {
    const histories = await startProgram("shop/order-history/server.mjs", { POD_NAME: "order-history-a-0" });
    const product = await startProgram("shop/product/server.mjs", { ORDER_HISTORY_URL: histories.url });
    const answer = await ask(`${product.url}/products`, { headers: { "x-request-id": "abc-123" } });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(answer.headers["x-order-history-served-by"]).toBe("order-history-a-0");
    expect(Buffer.from(await answer.body.arrayBuffer()).equals(Buffer.from(PRODUCTS, "utf8"))).toBe(true);
    await histories.line("GET /order-histories");
    expect(product.lines()).toContain("GET /products request-id=abc-123");
    expect(histories.lines()).toContain("GET /order-histories request-id=abc-123");
  });

  test("the expected JSON is the talk's (needs conformance data)", async ({ skip }) => {
    const talk = await readFile(join(process.env.WEFT_SHARED ?? fileURLToPath(new URL("../../../shared", import.meta.url)), "talk.md"), "utf8").catch(
      () => undefined,
    );
    if (talk === undefined) return skip("talk.md is not there: WEFT_SHARED names its folder");
    expect(talk).toContain(`\`${PRODUCTS}\``);
  });

  test("a health check is no line in the log, and an unknown path is 404", async () => {
    const histories = await startProgram("shop/order-history/server.mjs");
    const health = await ask(`${histories.url}/healthz`);
    expect([health.statusCode, await health.body.json()]).toEqual([200, { status: "ok" }]);
    const missing = await ask(`${histories.url}/orders`);
    expect([missing.statusCode, await missing.body.json()]).toEqual([404, { error: "no such page: GET /orders" }]);
    await histories.line("GET /orders");
    expect(histories.lines().join("\n")).not.toContain("healthz");
  });

  test.each([
    {
      name: "a bad status",
      answer: (response: ServerResponse) => response.writeHead(503).end("no healthy upstream"),
      reason: "status 503: no healthy upstream",
    },
    { name: "no JSON", answer: (response: ServerResponse) => response.end("<html>"), reason: "not a list of order histories: <html>" },
    { name: "a cut connection", answer: (response: ServerResponse) => response.destroy(), reason: "socket hang up" },
  ])("product answers 502 and says what failed: $name", async ({ answer, reason }) => {
    const upstream = await listen((_request, response) => {
      answer(response);
    });
    const product = await startProgram("shop/product/server.mjs", { ORDER_HISTORY_URL: upstream });
    const failed = await ask(`${product.url}/products`);
    expect([failed.statusCode, await failed.body.json()]).toEqual([502, { error: "order-history failed", upstream: `${upstream}/order-histories`, reason }]);
  });

  test("product names a refused connection", async () => {
    const histories = await startProgram("shop/order-history/server.mjs");
    await histories.kill();
    const product = await startProgram("shop/product/server.mjs", { ORDER_HISTORY_URL: histories.url });
    const failed = await ask(`${product.url}/products`);
    expect(failed.statusCode).toBe(502);
    expect(await failed.body.json()).toMatchObject({ error: "order-history failed", reason: `connect ECONNREFUSED ${histories.url.slice("http://".length)}` });
  });

  test("product goes on when order-history closes a connection that product had kept open", async () => {
    let answered = 0;
    const closing = new Set<IncomingMessage["socket"]>();
    const upstream = await listen((request, response) => {
      // The second request on a connection finds it closed, as when both sides act at the same moment.
      if (closing.has(request.socket)) return request.socket.destroy();
      closing.add(request.socket);
      answered += 1;
      return response.end("[]");
    });
    const product = await startProgram("shop/product/server.mjs", { ORDER_HISTORY_URL: upstream });
    for (let round = 1; round <= 3; round += 1) {
      const answer = await ask(`${product.url}/products`);
      await answer.body.dump();
      expect([answer.statusCode, answered]).toEqual([200, round]);
    }
  });
});

describe("stopping", () => {
  test("SIGTERM lets the request under way finish, and the program ends with code 0", async () => {
    const held = heldRequests();
    const upstream = await listen(held.answer);
    const product = await startProgram("shop/product/server.mjs", { ORDER_HISTORY_URL: upstream, DRAIN_MS: "0" });
    const answer = ask(`${product.url}/products`);
    const { response } = await held.next();
    product.signal("SIGTERM");
    await product.line("SIGTERM: draining");
    response.end("[]");
    const { statusCode, headers, body } = await answer;
    expect([statusCode, headers.connection]).toEqual([200, "close"]);
    expect(await body.json()).toHaveLength(3);
    expect(await product.exited).toBe(0);
  });

  test.each(["shop/order-history/server.mjs", "blue-green/color/server.mjs", "blue-green/page/server.mjs"])(
    "%s drains: kept connections are answered and closed, /healthz says so, and a second signal ends the wait",
    async (path) => {
      const program = await startProgram(path, { DRAIN_MS: "60000" });
      const url = `${program.url}/${path.includes("order") ? "order-histories" : path.includes("color") ? "color" : ""}`;
      const agent = new Agent({ connections: 1, pipelining: 1 });
      closers.push(() => agent.destroy());
      const before = await ask(url, { dispatcher: agent });
      await before.body.dump();
      expect([before.statusCode, before.headers.connection]).toEqual([200, "keep-alive"]);
      program.signal("SIGTERM");
      await program.line("SIGTERM: draining");
      const during = await ask(url, { dispatcher: agent });
      await during.body.dump();
      expect([during.statusCode, during.headers.connection]).toEqual([200, "close"]);
      const health = await ask(`${program.url}/healthz`, { dispatcher: agent });
      expect([health.statusCode, await health.body.json()]).toEqual([503, { status: "draining" }]);
      program.signal("SIGTERM");
      expect(await program.exited).toBe(0);
    },
  );

  test("both demos share one way to serve", async () => {
    const [shop, blueGreen] = await Promise.all(["shop", "blue-green"].map((demo) => readFile(join(EXAMPLES, demo, "serve.mjs"), "utf8")));
    expect(blueGreen).toBe(shop);
  });
});

describe("color", () => {
  const countsOf = z.object({ color: z.string(), version: z.string(), total: z.number(), users: z.record(z.string(), z.number()) });

  test("answers its colour and counts its answers by user", async () => {
    const color = await startProgram("blue-green/color/server.mjs", { COLOR: "green", VERSION: "canary", POD_NAME: "canary-0" });
    for (const user of ["user-001", "user-002", "user-001"]) {
      const answer = await ask(`${color.url}/color`, { headers: { "x-user": user } });
      expect(await answer.body.json()).toEqual({ color: "green", version: "canary", pod: "canary-0" });
    }
    await (await ask(`${color.url}/color`)).body.dump();
    const counts = countsOf.parse(await (await ask(`${color.url}/count`)).body.json());
    expect(counts).toMatchObject({ color: "green", version: "canary", total: 4, users: { "user-001": 2, "user-002": 1 } });
    await color.line("GET /color color=green");
    expect(color.lines().filter((line) => line === "GET /color user=user-001 color=green version=canary")).toHaveLength(2);
  });
});
