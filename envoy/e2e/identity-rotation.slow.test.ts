// Certificates and roots that change under constant load, each request a handshake of its own: nobody notices. First between two Envoys with resources made by
// hand, then in a whole mesh whose sidecars speak nothing but mutual TLS.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { until } from "./dynamic-envoy.ts";
import { type CallerAndServer, startCallerAndServer } from "./identified-mesh.ts";
import { type Load, startLoad } from "./load.ts";
import { MESHES, startMesh, type TestMesh } from "./mesh.ts";
import { serviceUrl } from "./ready.ts";

let running: CallerAndServer | undefined;

afterEach(async () => {
  await running?.mesh.close();
  running = undefined;
});

const LIFETIME_MS = 5_000;
const ROTATIONS = 200;
const CONNECTIONS = 4;

describe("rotation under load", () => {
  it("renews 200 certificates of five seconds and loses no request", async () => {
    running = await startCallerAndServer({ lifetimeMs: LIFETIME_MS, reuseConnections: false });
    const { mesh, callerPort } = running;
    const load = startLoad({ url: `http://127.0.0.1:${callerPort}/`, connections: CONNECTIONS, ratePerSecond: 200 });
    const issued = () => mesh.log.filter(({ message }) => message === "issued a certificate").length;
    // They renew themselves; asking for more makes the test shorter.
    const hurry = setInterval(() => void mesh.identity.rotate("leaves"), 1_000);
    await until("200 certificates", () => issued() >= ROTATIONS, 300_000).finally(() => clearInterval(hurry));
    const report = await load.stop();
    expect({ failed: report.failed, errors: report.errors }).toEqual({ failed: 0, errors: [] });
    expect(report.sent).toBeGreaterThan(ROTATIONS);
  }, 400_000);

  it("replaces the root and loses no request", async () => {
    running = await startCallerAndServer({ lifetimeMs: LIFETIME_MS, reuseConnections: false });
    const { mesh, callerPort } = running;
    const load = startLoad({ url: `http://127.0.0.1:${callerPort}/`, connections: CONNECTIONS, ratePerSecond: 200 });
    for (let generation = 2; generation <= 4; generation++) {
      await mesh.identity.rotate("root");
      await expect(mesh.identity.rotate("root")).rejects.toThrow(/under way/);
      await until(`root ${generation} alone`, () => roots().join() === `${generation} issuing`, 60_000);
    }
    const report = await load.stop();
    expect({ failed: report.failed, errors: report.errors }).toEqual({ failed: 0, errors: [] });
    expect(mesh.log.filter(({ message }) => message === "nack")).toEqual([]);

    function roots(): readonly string[] {
      return mesh.identity.certificates().flatMap(({ kind, generation, state }) => (kind === "root" ? [`${generation} ${state}`] : []));
    }
  }, 200_000);

  it("goes on without a control plane for more than half a lifetime, and renews when it is back", async () => {
    running = await startCallerAndServer({ lifetimeMs: 20_000, reuseConnections: false });
    const { mesh, callerPort } = running;
    const load = startLoad({ url: `http://127.0.0.1:${callerPort}/`, connections: CONNECTIONS, ratePerSecond: 200 });
    await mesh.stopControlPlane();
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    await mesh.startControlPlane();
    await until(
      "both have new certificates",
      () => mesh.identity.certificates().filter(({ kind, state }) => kind === "proxy" && state === "in use").length === 2,
    );
    const report = await load.stop();
    expect({ failed: report.failed, errors: report.errors }).toEqual({ failed: 0, errors: [] });
  }, 120_000);
});

/** Nothing is served without a handshake. */
const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: weft-system}
spec: {mtls: {mode: STRICT}}
`;

const rows = z.array(z.object({ kind: z.string(), generation: z.number(), state: z.string(), subject: z.string() }));

/** A mesh in which every request between sidecars is a handshake of its own, and a load on it. */
interface StrictMesh {
  readonly mesh: TestMesh;
  readonly load: Load;
}

async function startStrictMesh(lifetimeSeconds: number): Promise<StrictMesh> {
  const mesh = await startMesh(join(MESHES, "parity"), { env: { WEFT_CERTIFICATE_SECONDS: String(lifetimeSeconds) } });
  try {
    const from = await mesh.write("strict.yaml", STRICT);
    await mesh.event("applied", ({ files }) => files.includes("strict.yaml"), { from });
    const edited = await mesh.edit("traffic.yaml", (text) =>
      text.replace("  host: echo\n", "  host: echo\n  trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } }\n"),
    );
    await mesh.event("applied", ({ files }) => files.includes("traffic.yaml"), { from: edited });
    const load = startLoad({ url: `${serviceUrl(mesh.ready, "caller", "echo.")}/`, connections: CONNECTIONS, ratePerSecond: 100 });
    await load.more(200);
    return { mesh, load };
  } catch (error) {
    await mesh.close();
    throw error;
  }
}

describe("a mesh whose sidecars speak mutual TLS alone", () => {
  let strict: StrictMesh | undefined;

  afterEach(async () => {
    await strict?.load.stop();
    await strict?.mesh.close();
    strict = undefined;
  });

  it("renews 200 certificates of five seconds and replaces its root, and loses no request", async () => {
    strict = await startStrictMesh(LIFETIME_MS / 1_000);
    const { mesh, load } = strict;
    const before = await issued(mesh);
    await until("200 certificates", async () => (await issued(mesh)) >= before + ROTATIONS, 400_000);
    expect((await mesh.weft("cert", "rotate", "--root")).code).toBe(0);
    await until(
      "the new root alone",
      async () => {
        const roots = (await certificates(mesh)).filter(({ kind }) => kind === "root");
        return roots.length === 1 && roots[0]?.generation === 2 && roots[0]?.state === "issuing";
      },
      120_000,
    );
    await load.more(200);
    await nothingFailed(load);
  }, 600_000);

  it("changes its trust domain by way of an alias, and loses no request", async () => {
    strict = await startStrictMesh(60);
    const { mesh, load } = strict;
    const served = async (settings: string): Promise<void> => {
      const from = await mesh.write("settings.yaml", `apiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {${settings}}\n`);
      await mesh.event("applied", ({ files }) => files.includes("settings.yaml"), { from });
      await load.more(100);
    };
    await served("trustDomainAliases: [new.example]");
    await served("trustDomain: new.example, trustDomainAliases: [cluster.local]");
    await until("all have certificates of the new one", async () =>
      (await certificates(mesh)).every(({ kind, subject, state }) => kind !== "proxy" || (state === "in use" && subject.startsWith("spiffe://new.example/"))),
    );
    await served("trustDomain: new.example");
    await load.more(300);
    await nothingFailed(load);
  }, 200_000);

  it("goes on without its control plane for more than half a lifetime, and renews when it is back", async () => {
    strict = await startStrictMesh(20);
    const { mesh, load } = strict;
    expect((await mesh.weft("cert", "rotate")).code).toBe(0);
    await until("all are fresh", async () => (await certificates(mesh)).every(({ kind, state }) => kind !== "proxy" || state === "in use"));
    const { pid } = mesh.ready.controlPlane;
    const before = await issued(mesh);
    // Stopped it neither answers nor ends, so that nobody starts another.
    process.kill(pid, "SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    await load.more(100);
    expect(await issued(mesh)).toBe(before);
    process.kill(pid, "SIGCONT");
    await until("it has renewed", async () => (await issued(mesh)) >= before + mesh.ready.workloads.length, 60_000);
    await load.more(200);
    await nothingFailed(load);
  }, 200_000);
});

async function certificates(mesh: TestMesh): Promise<z.output<typeof rows>> {
  return rows.parse(JSON.parse((await mesh.weft("cert", "show", "-o", "json")).stdout));
}

async function issued(mesh: TestMesh): Promise<number> {
  return (await readFile(join(mesh.folder, "..", "state", "logs", "control-plane.log"), "utf8")).split("issued a certificate").length - 1;
}

async function nothingFailed(load: Load): Promise<void> {
  const report = await load.stop();
  expect({ failed: report.failed, errors: report.errors }).toEqual({ failed: 0, errors: [] });
  expect(report.sent).toBeGreaterThan(500);
}
