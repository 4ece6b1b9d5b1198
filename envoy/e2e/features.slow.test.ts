// Each traffic feature on real Envoys, with counted requests: mirrors, faults, circuit breaking, outlier ejection, rewrites, redirects and headers.
import { readFile, writeFile } from "node:fs/promises";
import { get as httpsGet } from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { createRoot, type Issuer, issueLeaf } from "../../control-plane/ca/certificates.ts";
import { type LoadReport, startLoad } from "./load.ts";
import { MESHES, startMesh, type TestMesh, until } from "./mesh.ts";
import { gatewayUrl, serviceUrl, workloadNamed } from "./ready.ts";

const echoed = z.object({
  pod: z.string(),
  path: z.string(),
  authority: z.string(),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
});
const counted = z.record(z.string(), z.number());

/** A VirtualService for echo with one route. */
function virtualService(route: string, hosts = "[echo]"): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: echo
spec:
  hosts: ${hosts}
  http:
    - name: all
${route.replace(/^/gm, "      ")}
`;
}

function destinationRule(trafficPolicy: string): string {
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: echo
spec:
  host: echo
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
  trafficPolicy:
${trafficPolicy.replace(/^/gm, "    ")}
`;
}

const TO_V1 = "route:\n  - destination: {host: echo, subset: v1}";
const NO_RETRIES = "retries: {attempts: 0}";

/** A Secret with a fresh certificate for shop.example. */
async function secretOf(root: Issuer): Promise<string> {
  const leaf = await issueLeaf(root, { uri: "spiffe://test/x", dnsNames: ["shop.example"], nowMs: Date.now(), lifetimeMs: 3_600_000 });
  const indented = (text: string): string => text.trimEnd().replace(/^/gm, "    ");
  return `apiVersion: v1
kind: Secret
metadata: {name: shop}
type: kubernetes.io/tls
stringData:
  tls.crt: |
${indented(leaf.chainPem)}
  tls.key: |
${indented(leaf.privateKey.reveal())}
`;
}

const GATEWAY = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
    - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example], tls: {mode: SIMPLE, credentialName: shop}}
    - {port: {number: 443, name: https-lost, protocol: HTTPS}, hosts: [lost.example], tls: {mode: SIMPLE, credentialName: lost}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front}
spec: {hosts: [shop.example], gateways: [front], http: [{route: [{destination: {host: echo, subset: v2}}]}]}
`;

describe("traffic features", () => {
  let mesh: TestMesh;
  let echo: string;
  let root: Issuer;
  beforeAll(async () => {
    root = await createRoot(1, Date.now());
    const prepare = async (folder: string): Promise<void> => {
      await writeFile(join(folder, "secret.yaml"), await secretOf(root));
      await writeFile(join(folder, "gateway.yaml"), GATEWAY);
    };
    mesh = await startMesh(join(MESHES, "echo"), { prepare });
    echo = serviceUrl(mesh.ready, "caller", "echo");
  });
  afterAll(() => mesh?.close());

  const apply = async (file: string, text: string): Promise<void> => {
    const from = await mesh.write(file, text);
    await mesh.event("applied", ({ files }) => files.includes(file), { from });
  };
  const ask = async (path: string, init: RequestInit = {}): Promise<z.output<typeof echoed>> => {
    const answer = await fetch(`${echo}${path}`, init);
    expect(answer.status).toBe(200);
    return echoed.parse(await answer.json());
  };
  /** Requests that an instance has seen, by authority; asked directly. */
  const countsOf = async (workload: string): Promise<Record<string, number>> =>
    counted.parse(await (await fetch(`${workloadNamed(mesh.ready, workload).url}/counts`)).json());
  const load = (path: string, total: number, connections = 8): Promise<LoadReport> =>
    startLoad({ url: `${echo}${path}`, connections, total, isOk: () => true }).finished;

  it("mirrors the share that is asked for, under an authority that ends in -shadow", async () => {
    await apply(
      "traffic.yaml",
      virtualService(`${TO_V1}\nmirrors:\n  - destination: {host: shadow}\n    percentage: {value: 50}\n  - destination: {host: echo, subset: v2}`),
    );
    const report = await load("/mirrored", 1_000);
    expect(report.byStatus).toEqual({ 200: 1_000 });
    const copies = (counts: Record<string, number>): number =>
      Object.entries(counts)
        .filter(([authority]) => authority.includes("-shadow"))
        .reduce((sum, [, count]) => sum + count, 0);
    // Copies are fire and forget: the last ones may come after the last answer.
    await until("every request's copy at v2", async () => (copies(await countsOf("echo-v2")) === 1_000 ? true : undefined));
    const half = copies(await countsOf("shadow"));
    // 1,000 draws at one half: five standard deviations are 79.
    expect(half).toBeGreaterThan(421);
    expect(half).toBeLessThan(579);
    expect(copies(await countsOf("echo-v1"))).toBe(0);
  });

  it("aborts and delays the shares that are asked for", async () => {
    await apply("traffic.yaml", virtualService(`${TO_V1}\nfault:\n  abort: {httpStatus: 418, percentage: {value: 30}}`));
    const aborted = (await load("/aborted", 2_000)).byStatus[418] ?? 0;
    // 2,000 draws at 0.3: five standard deviations are 102.
    expect(Math.abs(aborted - 600)).toBeLessThan(102);

    await apply("traffic.yaml", virtualService(`${TO_V1}\nfault:\n  delay: {fixedDelay: 3s, percentage: {value: 40}}`));
    const log = workloadNamed(mesh.ready, "caller").accessLog;
    expect((await load("/delayed", 200, 200)).byStatus).toEqual({ 200: 200 });
    const delayed = await until("200 lines about delayed requests", async () => {
      const lines = (await readFile(log, "utf8")).split("\n").filter((line) => line.includes("/delayed"));
      return lines.length === 200 ? lines.filter((line) => /\bDI\b/.test(line)).length : undefined;
    });
    // 200 draws at 0.4: five standard deviations are 35.
    expect(Math.abs(delayed - 80)).toBeLessThan(35);
  });

  it("breaks the circuit: what is above the limits is answered at once, with the flag UO", async () => {
    await apply("traffic.yaml", virtualService(`${TO_V1}\n${NO_RETRIES}`));
    await apply("rule.yaml", destinationRule("connectionPool:\n  tcp: {maxConnections: 1}\n  http: {http1MaxPendingRequests: 1}"));
    const report = await load("/overflow?sleep=300", 40, 20);
    expect(report.byStatus[200]).toBeGreaterThan(0);
    expect(report.byStatus[503]).toBeGreaterThan(0);
    const log = workloadNamed(mesh.ready, "caller").accessLog;
    await until("the flag UO in the access log", async () =>
      /\/overflow[^\n]*\bUO\b|\bUO\b[^\n]*\/overflow/.test(await readFile(log, "utf8")) ? true : undefined,
    );
    // Negative control: without the limits all are served.
    await apply("rule.yaml", destinationRule("loadBalancer: {simple: ROUND_ROBIN}"));
    expect((await load("/overflow?sleep=100", 40, 20)).byStatus).toEqual({ 200: 40 });
  });

  it("ejects an endpoint that fails, and takes it back", async () => {
    const both = "route:\n  - destination: {host: echo}";
    await apply("traffic.yaml", virtualService(`${both}\n${NO_RETRIES}`));
    await apply(
      "rule.yaml",
      destinationRule(
        "outlierDetection: {consecutive5xxErrors: 3, interval: 100ms, baseEjectionTime: 2s, maxEjectionPercent: 100}\nloadBalancer: {simple: ROUND_ROBIN}",
      ),
    );
    const v1 = workloadNamed(mesh.ready, "echo-v1").url;
    await fetch(`${v1}/mode?status=500`);
    const ejected = async (): Promise<LoadReport> => load("/ejected", 40, 2);
    await until("only the healthy endpoint", async () => ((await ejected()).byStatus[500] === undefined ? true : undefined));
    await fetch(`${v1}/mode?status=200`);
    const versions = new Set<string>();
    await until("both endpoints again", async () => {
      versions.clear();
      await startLoad({ url: `${echo}/returned`, connections: 2, total: 40, onResponse: ({ headers }) => versions.add(String(headers["x-version"])) }).finished;
      return versions.size === 2 ? true : undefined;
    });
    // Negative control: with ejection switched off the failing endpoint keeps its share.
    await apply("rule.yaml", destinationRule("outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 0}\nloadBalancer: {simple: ROUND_ROBIN}"));
    await fetch(`${v1}/mode?status=500`);
    await load("/kept", 100, 2);
    expect((await load("/kept", 100, 2)).byStatus[500]).toBeGreaterThan(20);
    await fetch(`${v1}/mode?status=200`);
    await apply("rule.yaml", destinationRule("loadBalancer: {simple: ROUND_ROBIN}"));
  });

  it("rewrites, redirects, and changes headers of requests and responses, per destination too", async () => {
    await apply(
      "traffic.yaml",
      virtualService(`match:
  - uri: {prefix: /old/}
    headers:
      x-kind: {exact: rewrite}
rewrite: {uri: /new/, authority: other.example}
headers:
  request: {set: {x-set: one}, add: {x-set: two}, remove: [x-gone]}
  response: {set: {x-answer: "yes"}}
route:
  - destination: {host: echo, subset: v1}
    headers:
      request: {set: {x-destination: v1}}`).concat(`    - name: moved
      match: [{uri: {exact: /moved}}]
      redirect: {uri: /there, redirectCode: 308}
    - name: rest
      route:
        - destination: {host: echo, subset: v2}
`),
    );
    const answer = await fetch(`${echo}/old/page?q=1`, { headers: { "x-kind": "rewrite", "x-gone": "1" } });
    expect(answer.headers.get("x-answer")).toBe("yes");
    const seen = echoed.parse(await answer.json());
    expect(seen).toMatchObject({ path: "/new/page?q=1", authority: "other.example", headers: { "x-destination": "v1", "x-set": "one, two" } });
    expect(seen.headers).not.toHaveProperty("x-gone");
    const moved = await fetch(`${echo}/moved`, { redirect: "manual" });
    expect(moved.status).toBe(308);
    expect(moved.headers.get("location")).toMatch(/\/there$/);
    expect((await ask("/old/page")).pod).toMatch(/^echo-v2/);
  });

  it("allows the origins of a CORS policy, and answers their preflights by itself", async () => {
    await apply("traffic.yaml", virtualService(`${TO_V1}\ncorsPolicy: {allowOrigins: [{exact: "https://shop.example"}], allowMethods: [PUT]}`));
    const counted = async (): Promise<number> => Object.values(await countsOf("echo-v1")).reduce((sum, count) => sum + count, 0);
    const before = await counted();
    const headers = { origin: "https://shop.example", "access-control-request-method": "PUT" };
    for (let index = 0; index < 20; index++) {
      const preflight = await fetch(`${echo}/cors`, { method: "OPTIONS", headers });
      expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([200, "https://shop.example"]);
    }
    expect(await counted()).toBe(before);
    const answer = await fetch(`${echo}/cors`, { headers: { origin: "https://shop.example" } });
    expect(answer.headers.get("access-control-allow-origin")).toBe("https://shop.example");
    const foreign = await fetch(`${echo}/cors`, { headers: { origin: "https://evil.example" } });
    expect(foreign.headers.get("access-control-allow-origin")).toBeNull();
    expect(await counted()).toBe(before + 2);
  });

  it("serves HTTPS at the gateway by a certificate from a Secret, takes a renewed one, and says which is missing", async () => {
    const { diagnostics } = await mesh.event("diagnostics", (event) => event.diagnostics.some(({ code }) => code === "WEFT0432"));
    expect(diagnostics.filter(({ code }) => code === "WEFT0432").map(({ what }) => what)).toEqual([expect.stringContaining("/lost")]);
    const { port } = new URL(gatewayUrl(mesh.ready));
    const call = (): Promise<{ readonly version: unknown; readonly serial: string }> =>
      new Promise((resolve, reject) => {
        const options = { host: "127.0.0.1", port, servername: "shop.example", headers: { host: "shop.example" }, agent: false, ca: root.rootsPem[0] };
        httpsGet({ ...options, path: "/secure" }, (incoming) => {
          const serial =
            "getPeerCertificate" in incoming.socket && typeof incoming.socket.getPeerCertificate === "function"
              ? String(incoming.socket.getPeerCertificate().serialNumber)
              : "";
          incoming.resume().once("end", () => resolve({ version: incoming.headers["x-version"], serial }));
        }).once("error", reject);
      });
    const first = await call();
    expect(first.version).toBe("v2");
    for (let index = 0; index < 20; index++) expect(await call()).toEqual(first);
    await apply("secret.yaml", await secretOf(root));
    await until("the renewed certificate", async () => ((await call()).serial === first.serial ? undefined : true));
  });
});
