// The authority of a mesh as a whole: what is kept on disk, what a restart takes over, and how another issuer takes its place.
import { X509Certificate } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Proxy } from "../mesh/instance.ts";
import { createRoot, type Issuer, type Leaf } from "./certificates.ts";
import { type MeshIdentity, type MeshIdentityOptions, startMeshIdentity } from "./mesh-identity.ts";
import { leafVersion } from "./sds-version.ts";

let folder = "";
let closing: MeshIdentity[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-mesh-identity-"));
});
afterEach(async () => {
  for (const identity of closing) await identity.close();
  closing = [];
  await rm(folder, { recursive: true, force: true });
});

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const locality = { region: "", zone: "", subzone: "" };
const proxy: Proxy = {
  id: "web-1.default",
  kind: "sidecar",
  namespace: "default",
  serviceAccount: "web",
  workload: "web",
  labels: {},
  locality,
  inbound: [],
  outbound: [],
  gatewayPorts: [],
};

/** A mesh with one proxy that acknowledges all that it is given. */
async function start(options: Partial<MeshIdentityOptions> = {}): Promise<{ readonly identity: MeshIdentity; readonly servers: Leaf[] }> {
  const servers: Leaf[] = [];
  const identity: MeshIdentity = await startMeshIdentity({
    folder: join(folder, "identity"),
    logger: quiet,
    proxies: () => [proxy],
    secretsHeld: () => ({ connected: true, versions: new Map([...identity.secretsOf(proxy.id).resources].map(([name, { version }]) => [name, version])) }),
    onChange: () => undefined,
    onServerCertificate: (certificate) => servers.push(certificate),
    ...options,
  });
  closing.push(identity);
  return { identity, servers };
}

function subjectsOf(identity: MeshIdentity): readonly string[] {
  return identity.certificates().map(({ kind, subject, generation, state }) => `${kind} ${generation} ${state} ${subject}`);
}

async function writeIssuer(path: string, { rootsPem, privateKey }: Issuer): Promise<void> {
  const lines = (text: string) => text.trim().replaceAll("\n", "\n    ");
  const entries = [`  tls.crt: |\n    ${lines(rootsPem.join(""))}`, `  tls.key: |\n    ${lines(privateKey.reveal())}`];
  await writeFile(path, ["apiVersion: v1", "kind: Secret", "type: kubernetes.io/tls", "metadata: { name: mesh-ca }", "stringData:", ...entries, ""].join("\n"));
}

describe("the identity of a mesh", () => {
  it("is made once and kept, readable by its owner alone; a restart makes no certificate", async () => {
    const first = (await start()).identity.certificates();
    expect((await start()).identity.certificates()).toEqual(first);
    const files = (await readdir(join(folder, "identity"))).sort();
    expect(files).toEqual(["authority.json", "roots.json", "token-key.json"]);
    for (const file of files) expect([file, (await stat(join(folder, "identity", file))).mode & 0o777]).toEqual([file, 0o600]);
    expect(await readFile(join(folder, "identity", "roots.json"), "utf8")).not.toContain("PRIVATE");
  });

  it("is never replaced because its file cannot be read", async () => {
    await start();
    const path = join(folder, "identity", "authority.json");
    await writeFile(path, (await readFile(path, "utf8")).slice(0, 200));
    const error = await start().catch((refused: Error) => refused.message);
    expect(error).toMatch(/Fix: restore it, or delete it/);
    expect(error).not.toContain("BEGIN");
  });

  it("names workloads in the mesh's trust domain, and renews them when that changes", async () => {
    const { identity } = await start();
    identity.server.secrets.asked(proxy.id, ["default"], new Map());
    await expect.poll(() => subjectsOf(identity).at(-1)).toBe("proxy 1 in use spiffe://cluster.local/ns/default/sa/web");
    identity.setTrustDomain("shop.example");
    await expect.poll(() => subjectsOf(identity).at(-1)).toBe("proxy 1 in use spiffe://shop.example/ns/default/sa/web");
  });

  it("takes over another issuer when its Secret changes, both trusted meanwhile, and says why it does not", async () => {
    const path = join(folder, "secret.yaml");
    const [one, two] = [await createRoot(7, Date.now()), await createRoot(8, Date.now())];
    const problems: string[] = [];
    const logger = { ...quiet, error: (fields: object) => void problems.push(JSON.stringify(fields)) };
    await writeIssuer(path, one);
    const { identity, servers } = await start({ external: path, logger, lifetimeMs: 5_000 });
    expect(subjectsOf(identity)[0]).toBe("root 1 issuing O=weft, CN=weft root 7");
    identity.server.secrets.asked(proxy.id, ["default"], new Map());
    await writeIssuer(path, { ...two, privateKey: one.privateKey });
    // A file that is read while it is written is a problem of its own.
    await expect.poll(() => problems.some((problem) => problem.includes("tls.key is not the key")), { timeout: 10_000 }).toBe(true);
    await writeIssuer(path, two);
    await expect
      .poll(() => subjectsOf(identity).slice(0, 2), { timeout: 10_000 })
      .toEqual(["root 1 issuing O=weft, CN=weft root 7", "root 2 trusted O=weft, CN=weft root 8"]);
    await expect.poll(() => subjectsOf(identity)[0], { timeout: 15_000 }).toBe("root 2 issuing O=weft, CN=weft root 8");
    await expect.poll(() => new X509Certificate(servers.at(-1)?.chainPem ?? "").issuer).toBe("O=weft\nCN=weft root 8");
    await expect(identity.rotate("root")).rejects.toThrow(/not its own/);
  }, 60_000);

  it("shows a certificate that only its proxy has by what its version says", async () => {
    const expiresAtMs = Date.now() + 80_000_000;
    const { identity } = await start();
    const fingerprint = "0123456789";
    const version = leafVersion({ expiresAtMs, fingerprint, serial: "aabbccddeeff00112233" });
    const other = await start({ secretsHeld: () => ({ connected: true, versions: new Map([["default", version]]) }) });
    const row = other.identity.certificates().at(-1);
    expect(row).toMatchObject({
      name: proxy.id,
      state: "held",
      serial: "aabbccddeeff0011…",
      notAfter: new Date(Math.floor(expiresAtMs / 1_000) * 1_000).toISOString(),
    });
    expect(identity.certificates()).toHaveLength(2);
  });
});
