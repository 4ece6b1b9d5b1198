// Real Envoys that get what translation makes, from the real xDS server, in one process and without a runner: for tests of what Envoy makes of it.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type IncomingHttpHeaders, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startMeshIdentity } from "../../control-plane/ca/mesh-identity.ts";
import { createProxyTokens } from "../../control-plane/local/proxy-tokens.ts";
import type { ListenAddress } from "../../control-plane/mesh/instance.ts";
import type { Mesh } from "../../control-plane/mesh/mesh.ts";
import { createSecretJoiner, gatewaySecrets, NO_SECRETS } from "../../control-plane/snapshot/gateway-secrets.ts";
import type { Refusal } from "../../control-plane/snapshot/quarantine.ts";
import { type ProxySecrets, renewSecrets } from "../../control-plane/snapshot/secrets.ts";
import { buildSnapshot, type Snapshot } from "../../control-plane/snapshot/snapshot.ts";
import { refusePrivateKeys, refusePrivateKeysBelow } from "../../control-plane/test/private-keys.ts";
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
  /** Where the authority keeps its root, where there is one. */
  readonly identityFolder: string;
  /** What all Envoys have logged so far. */
  readonly log: () => string;
  /** Serves another mesh; resolves when every Envoy has taken it. */
  readonly publish: (mesh: Mesh) => Promise<void>;
  readonly close: () => Promise<void>;
}

const WAIT_MS = 30_000;

export interface ServeOptions {
  /** Changes what is served: for tests that need Envoy to say more about a request than it does. */
  readonly alter?: (translation: Translation) => Translation;
  /** Proxies get certificates, by which they call each other. Default: they have none, and all is in plain text. */
  readonly identities?: boolean;
}

/** Starts one Envoy for each proxy and resolves when all have taken what they are to hold. Rejects with what Envoy refused. */
export async function serveMesh(mesh: Mesh, { alter = (translation) => translation, identities = false }: ServeOptions = {}): Promise<ServedMesh> {
  const folder = await mkdtemp(join(tmpdir(), "weft-served-"));
  const wasm = await readFile((await buildFilter()).path);
  const refusals: string[] = [];
  let log = "";
  // A renewed certificate counts a revision too, and only for its own proxy.
  let revision = 0;
  let published = 0;
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
  let snapshot: Snapshot | undefined;
  let proxies = mesh.proxies;
  const authority = identities
    ? await startMeshIdentity({
        folder: join(folder, "identity"),
        logger: quiet,
        proxies: () => proxies,
        secretsHeld: (proxyId) => xds.secretsHeld(proxyId),
        onChange: (proxyIds) => {
          if (snapshot === undefined) return;
          revision += 1;
          snapshot = renewSecrets(snapshot, proxyIds, secretsOf, revision);
          xds.publish(snapshot);
        },
        onServerCertificate: (certificate) => xds.replaceCertificate(certificate),
      })
    : undefined;
  const tokens = identities ? createProxyTokens(join(folder, "identity"), () => undefined) : undefined;
  const xds = await startXdsServer({
    host: "127.0.0.1",
    port: 0,
    ...(authority === undefined ? { plaintext: true } : authority.server),
    logger: quiet,
    clock: systemClock,
    onState: () => undefined,
    onNack: ({ resource, reason }: Refusal) => refusals.push(`${resource.type}/${resource.name}: ${reason}`),
  });
  const joinSecrets = createSecretJoiner();
  let named: ReadonlyMap<string, ReturnType<typeof gatewaySecrets>> = new Map();
  const secretsOf = (proxyId: string): ProxySecrets => joinSecrets(proxyId, authority?.secretsOf(proxyId) ?? NO_SECRETS, named.get(proxyId));
  const children: ChildProcess[] = [];
  const publish = async (said: Mesh): Promise<void> => {
    revision += 1;
    published = revision;
    const next = { ...said, certificates: identities };
    proxies = next.proxies;
    named = new Map(next.proxies.map((proxy) => [proxy.id, gatewaySecrets(next, proxy)]));
    snapshot = buildSnapshot({
      translation: alter(translate(next, { filter: { wasm, generationOf: () => 0 } })),
      quarantine: new Map(),
      accepted: xds.accepted(),
      revision,
      secretsOf,
    });
    const inconsistent = snapshot.diagnostics.filter(({ code }) => code === "WEFT0702").map(({ what }) => what);
    if (inconsistent.length > 0) throw new Error(inconsistent.join("\n"));
    xds.publish(snapshot);
    if (children.length > 0) await taken();
  };
  const taken = async (): Promise<void> => {
    const endMs = Date.now() + WAIT_MS;
    while (!xds.state().every(({ connected, ackedRevision }) => connected && ackedRevision >= published)) {
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
    tokens?.close();
    await authority?.close();
    await xds.close();
    refusePrivateKeys("an Envoy's log", log);
    await refusePrivateKeysBelow(folder, (path) => path.startsWith("identity"));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await publish(mesh);
    const program = await ensureEnvoy();
    for (const [index, proxy] of mesh.proxies.entries()) {
      const path = join(folder, `${index}.json`);
      const identity = await tokens?.prepare(proxy);
      const bootstrap = bootstrapOf(proxy, {
        admin: { address: "127.0.0.1", port: 0 },
        xds: { address: "127.0.0.1", port: xds.port },
        ...(identity === undefined ? {} : { identity }),
      });
      await writeFile(path, JSON.stringify(bootstrap));
      const args = ["-c", path, "--concurrency", "1", "--use-dynamic-base-id", "--drain-strategy", "immediate", "-l", "warning"];
      const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
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
  return { refusals, identityFolder: join(folder, "identity"), log: () => log, publish, close };
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
