// Real Envoys that get what translation makes, from the real xDS server, in one process and without a runner: for tests of what Envoy makes of it.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type IncomingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ListenAddress } from "../../control-plane/mesh/instance.ts";
import type { Mesh } from "../../control-plane/mesh/mesh.ts";
import { createSecretJoiner, gatewaySecrets, NO_SECRETS } from "../../control-plane/snapshot/gateway-secrets.ts";
import type { Refusal } from "../../control-plane/snapshot/quarantine.ts";
import { buildSnapshot } from "../../control-plane/snapshot/snapshot.ts";
import type { Translation } from "../../control-plane/translate/resource.ts";
import { translate } from "../../control-plane/translate/translate.ts";
import { systemClock } from "../../control-plane/xds/clock.ts";
import { startXdsServer } from "../../control-plane/xds/server.ts";
import { buildFilter } from "../../filter/build.ts";
import { bootstrapOf } from "../bootstrap.ts";
import { ensureEnvoy } from "../install.ts";

export interface ServedMesh {
  /** What Envoys refused so far, as `type/name: reason`. */
  readonly refusals: readonly string[];
  /** What all Envoys have logged so far. */
  readonly log: () => string;
  /** Serves another mesh; resolves when every Envoy has taken it. */
  readonly publish: (mesh: Mesh) => Promise<void>;
  readonly close: () => Promise<void>;
}

const WAIT_MS = 30_000;

/**
 * Starts one Envoy for each proxy and resolves when all have taken what they are to hold. Rejects with what Envoy refused. `alter` changes what is served: for
 * tests that need Envoy to say more about a request than it does.
 */
export async function serveMesh(mesh: Mesh, alter: (translation: Translation) => Translation = (translation) => translation): Promise<ServedMesh> {
  const folder = await mkdtemp(join(tmpdir(), "weft-served-"));
  const wasm = await readFile((await buildFilter()).path);
  const refusals: string[] = [];
  let log = "";
  let revision = 0;
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const xds = await startXdsServer({
    host: "127.0.0.1",
    port: 0,
    plaintext: true,
    logger: quiet,
    clock: systemClock,
    onState: () => undefined,
    onNack: ({ resource, reason }: Refusal) => refusals.push(`${resource.type}/${resource.name}: ${reason}`),
  });
  const joinSecrets = createSecretJoiner();
  const children: ChildProcess[] = [];
  const publish = async (next: Mesh): Promise<void> => {
    revision += 1;
    const secrets = new Map(next.proxies.map((proxy) => [proxy.id, gatewaySecrets(next, proxy)]));
    const snapshot = buildSnapshot({
      translation: alter(translate(next, { filter: { wasm, generationOf: () => 0 } })),
      quarantine: new Map(),
      accepted: xds.accepted(),
      revision,
      secretsOf: (proxyId) => joinSecrets(proxyId, NO_SECRETS, secrets.get(proxyId)),
    });
    const inconsistent = snapshot.diagnostics.filter(({ code }) => code === "WEFT0702").map(({ what }) => what);
    if (inconsistent.length > 0) throw new Error(inconsistent.join("\n"));
    xds.publish(snapshot);
    if (children.length > 0) await taken();
  };
  const taken = async (): Promise<void> => {
    const endMs = Date.now() + WAIT_MS;
    while (!xds.state().every(({ connected, ackedRevision }) => connected && ackedRevision === revision)) {
      if (refusals.length > 0) throw new Error(`Envoy refused\n${refusals.join("\n")}`);
      if (Date.now() > endMs) throw new Error(`Envoy did not take it in time: ${JSON.stringify(xds.state())}\n${log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const close = async (): Promise<void> => {
    await Promise.all(
      children.map(
        (child) =>
          new Promise((resolve) => {
            child.once("close", resolve);
            child.kill("SIGKILL");
          }),
      ),
    );
    await xds.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await publish(mesh);
    const program = await ensureEnvoy();
    for (const [index, proxy] of mesh.proxies.entries()) {
      const path = join(folder, `${index}.json`);
      const bootstrap = bootstrapOf(proxy, { admin: { address: "127.0.0.1", port: 0 }, xds: { address: "127.0.0.1", port: xds.port } });
      await writeFile(path, JSON.stringify(bootstrap));
      const child = spawn(program, ["-c", path, "--concurrency", "1", "--use-dynamic-base-id", "-l", "warning"], { stdio: ["ignore", "ignore", "pipe"] });
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        log += text;
      });
      children.push(child);
    }
    await taken();
  } catch (error) {
    await close();
    throw error;
  }
  return { refusals, log: () => log, publish, close };
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One request. `path` may be an absolute URL, as a proxy's clients send it. */
export function ask(
  to: ListenAddress,
  path: string,
  options: { readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Reply> {
  const { method = "GET", headers = {} } = options;
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: to.address, port: to.port, path, method, headers, agent: false }, (incoming) => {
      let body = "";
      incoming.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body })).once("error", reject);
    });
    outgoing.once("error", reject).end();
  });
}
