// Programs that somebody runs by hand, with real Envoys: they join a service as a copy of it, or are given the requests of one person alone.
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MESHES, startMesh, type TestMesh, until } from "./mesh.ts";
import { serviceUrl } from "./ready.ts";

describe("a program that somebody runs by hand", () => {
  let mesh: TestMesh;
  let port: number;
  let editor: Server | undefined;
  const listen = async (): Promise<void> => {
    const server = createServer((_request, response) => response.end("editor"));
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    const address = server.address();
    port = typeof address === "object" && address !== null ? address.port : 0;
    editor = server;
  };
  const close = async (): Promise<void> => {
    const server = editor;
    editor = undefined;
    if (server === undefined) return;
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  };
  const attach = (more: string) => (text: string) =>
    text
      .replace(/\n {2}attach:[\s\S]*$/, "\n")
      .trimEnd()
      .concat(`\n  attach:\n    - {workload: echo-v1, attach: "127.0.0.1:${port}"${more}}\n`);

  beforeAll(async () => {
    port = 0;
    await listen();
    await close();
    mesh = await startMesh(join(MESHES, "echo"));
  });
  afterAll(async () => {
    await close();
    await mesh?.close();
  });

  /** Who answers, `editor` or another. */
  const answers = async (headers: Readonly<Record<string, string>> = {}): Promise<"editor" | "mesh"> => {
    const response = await fetch(`${serviceUrl(mesh.ready, "caller", "echo")}/x`, { headers });
    expect(response.status).toBe(200);
    return (await response.text()) === "editor" ? "editor" : "mesh";
  };
  const answersOf = async (count: number, headers: Readonly<Record<string, string>> = {}): Promise<ReadonlySet<string>> =>
    new Set(await Promise.all(Array.from({ length: count }, () => answers(headers))));

  it("joins a service when its port opens, leaves when it closes, and no request is lost", async () => {
    await mesh.edit("weft.yaml", attach(""));
    await listen();
    await until("both answer", async () => ((await answersOf(20)).size === 2 ? true : undefined));
    await close();
    await until("the mesh answers alone", async () => ((await answersOf(20)).has("editor") ? undefined : true));
  });

  it("is given all requests with the header of its intercept and no others, while its port is open", async () => {
    const mine = { "x-dev": "alice" };
    const from = await mesh.edit("weft.yaml", attach(', intercept: "header:x-dev=alice"'));
    await mesh.event("workload", ({ instance, state }) => instance === "echo-v1-attached" && state === "stopped", { from });
    await listen();
    await until("the intercept is open", async () => ((await answers(mine)) === "editor" ? true : undefined));
    expect(await answersOf(40, mine)).toEqual(new Set(["editor"]));
    expect(await answersOf(40)).toEqual(new Set(["mesh"]));
    expect(await answersOf(20, { "x-dev": "bob" })).toEqual(new Set(["mesh"]));
    const { stdout } = await mesh.weft("explain", "--live", "--from", "caller", "GET", "http://echo/x", "-H", "x-dev: alice", "-o", "json");
    expect(stdout).toContain("weft.mesh/intercept:x-dev=alice");
    await close();
    await until("the mesh answers alone", async () => ((await answers(mine)) === "mesh" ? true : undefined));
  });
});
