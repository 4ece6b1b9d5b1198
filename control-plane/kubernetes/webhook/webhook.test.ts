import { request } from "node:https";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { createRoot, type Issuer, issueLeaf, type Leaf } from "../../ca/certificates.ts";
import { parseFile } from "../../source/parse-file.ts";
import { DEFAULT_SETTINGS } from "../inject/settings.ts";
import { needsCaBundle, withCaBundle } from "./ca-bundle.ts";
import { startWebhooks, type WebhookServer, webhookNames } from "./server.ts";

const answerSchema = z.object({
  response: z.object({
    uid: z.string(),
    allowed: z.boolean(),
    status: z.object({ message: z.string() }).optional(),
    warnings: z.array(z.string()).default([]),
    patch: z.string().optional(),
  }),
});

const MESH = `
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80}]}
`;

function virtualService(http: unknown, metadata: object = {}): object {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "reviews", namespace: "default", ...metadata },
    spec: { hosts: ["reviews"], http },
  };
}
const route = (...weights: number[]) => [{ route: weights.map((weight) => ({ destination: { host: "reviews" }, weight })) }];

describe("the webhooks", () => {
  let server: WebhookServer;
  let roots: readonly [Issuer, Issuer];
  const files = new Map([["default/Service/reviews", parseFile("default/Service/reviews", MESH)]]);
  const leafOf = (issuer: Issuer): Promise<Leaf> =>
    issueLeaf(issuer, { uri: "spiffe://cluster.local/ns/weft-system/sa/weft-control-plane", dnsNames: webhookNames(), nowMs: Date.now(), lifetimeMs: 60_000 });

  beforeAll(async () => {
    roots = [await createRoot(1, Date.now()), await createRoot(2, Date.now())];
    server = await startWebhooks({
      address: "127.0.0.1",
      port: 0,
      certificate: await leafOf(roots[0]),
      injection: { settings: DEFAULT_SETTINGS },
      validation: { files: () => files, nowMs: () => Date.now() },
      onError: (error) => {
        throw error;
      },
    });
  });
  afterAll(() => server.close());

  const post = (path: string, body: unknown, root = roots[0]): Promise<{ readonly status: number; readonly text: string }> =>
    new Promise((resolve, reject) => {
      const options = {
        host: "127.0.0.1",
        port: server.port,
        path,
        method: "POST",
        ca: [...root.rootsPem],
        servername: "weft-control-plane.weft-system.svc",
        agent: false as const,
      };
      const outgoing = request(options, (incoming) => {
        let text = "";
        incoming.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        incoming.once("end", () => resolve({ status: incoming.statusCode ?? 0, text }));
      });
      outgoing.once("error", reject).end(JSON.stringify(body));
    });
  const review = async (path: string, asked: { readonly object: object; readonly oldObject?: object; readonly kind?: object; readonly operation?: string }) => {
    const request = {
      uid: "1",
      kind: { group: "", version: "v1", kind: "Pod" },
      namespace: "default",
      operation: asked.oldObject === undefined ? "CREATE" : "UPDATE",
      ...asked,
    };
    const { text } = await post(path, { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request });
    return answerSchema.parse(JSON.parse(text)).response;
  };
  const ofVirtualService = { group: "networking.istio.io", version: "v1", kind: "VirtualService" };
  const validated = (object: object, oldObject?: object) =>
    review("/validate", { kind: ofVirtualService, object, ...(oldObject === undefined ? {} : { oldObject }) });

  it("patches a pod, and tells its author what they should know", async () => {
    const probed = { name: "app", image: "a:1", livenessProbe: { tcpSocket: { port: 80 } } };
    const { allowed, patch = "", warnings } = await review("/inject", { object: { metadata: { generateName: "a-" }, spec: { containers: [probed] } } });
    expect(allowed).toBe(true);
    expect(Buffer.from(patch, "base64").toString()).toContain('"op":"add","path":"/spec/initContainers"');
    expect(warnings).toEqual([expect.stringContaining("weft: livenessProbe of the container app opens a connection")]);
  });

  it("leaves alone a pod that wants no proxy, and what it cannot read", async () => {
    const labels = { "sidecar.istio.io/inject": "false" };
    expect(await review("/inject", { object: { metadata: { labels }, spec: { containers: [{ name: "a" }] } } })).toMatchObject({ allowed: true });
    expect(await review("/inject", { object: { spec: {} } })).toMatchObject({ allowed: true, uid: "1" });
  });

  it("lets a resource pass that is right", async () => {
    expect(await validated(virtualService(route(90, 10)))).toEqual({ uid: "1", allowed: true, warnings: [] });
  });

  it("refuses what is wrong, with the field and the fix", async () => {
    const { allowed, status } = await validated(virtualService(route(0, 0)));
    expect(allowed).toBe(false);
    expect(status?.message).toMatch(/^WEFT03\d\d error spec\.http\[0\]: .*weight.*\. Fix: .*\.$/);
  });

  it("says all that is wrong, not the first thing", async () => {
    const { status } = await validated(virtualService([{ timeout: "5", route: [{ destination: { host: "reviews" }, weight: -1 }] }]));
    expect(status?.message.split("\n")).toEqual([expect.stringContaining("spec.http[0].timeout"), expect.stringContaining("spec.http[0].route[0].weight")]);
  });

  it("warns of what is missing elsewhere, since it may come later", async () => {
    const { allowed, warnings } = await validated(virtualService([{ route: [{ destination: { host: "reviews", subset: "v9" } }] }]));
    expect(allowed).toBe(true);
    expect(warnings).toEqual([expect.stringMatching(/^\w+ error spec\.http\[0\]\.route\[0\]\.destination.*v9/)]);
  });

  it("lets a mistake that stands there already keep nobody from other changes", async () => {
    const wrong = virtualService(route(0, 0), { finalizers: ["x"] });
    expect((await validated(virtualService(route(0, 0)), wrong)).allowed).toBe(true);
    expect((await validated(virtualService(route(0, 0, 0)), wrong)).allowed).toBe(false);
  });

  it("refuse what is no review", async () => {
    expect((await post("/inject", {})).status).toBe(400);
    expect((await post("/", {})).status).toBe(404);
  });

  it("take a renewed certificate", async () => {
    await expect(post("/inject", {}, roots[1])).rejects.toThrow(/certificate|issuer/);
    server.setCertificate(await leafOf(roots[1]));
    expect((await post("/inject", {}, roots[1])).status).toBe(400);
  });
});

describe("the bundle of a webhook configuration", () => {
  const service = { name: "weft-control-plane", namespace: "weft-system", path: "/inject" };
  const other = { name: "theirs", clientConfig: { service: { name: "x", namespace: "y" }, caBundle: "dGhlaXJz" } };
  const given = { metadata: { name: "weft-injection" }, webhooks: [{ name: "ours", clientConfig: { service } }, other] };

  it("is written where the webhook is ours, once", () => {
    const next = withCaBundle(given, ["one\n", "two\n"]);
    expect(next.webhooks?.map(({ clientConfig }) => Buffer.from(clientConfig.caBundle ?? "", "base64").toString())).toEqual(["one\ntwo\n", "theirs"]);
    expect(needsCaBundle(given, ["one\n", "two\n"])).toBe(true);
    expect(needsCaBundle(next, ["one\n", "two\n"])).toBe(false);
  });
});
