import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../test/eventually.ts";
import { type FakeKubernetes, startFakeKubernetes } from "./fake-kubernetes.ts";
import { createKubernetesApi, type KubernetesApi, type KubernetesObject } from "./kubernetes-api.ts";
import { type Informer, type InformerOptions, retryMs, startInformer } from "./kubernetes-informer.ts";

const PODS = "/api/v1/pods";
const quiet = { info: () => undefined, warn: () => undefined };

let server: FakeKubernetes;
let api: KubernetesApi;
let informers: Informer<string>[];
beforeEach(async () => {
  server = await startFakeKubernetes();
  api = createKubernetesApi({ url: server.url, headers: async () => ({}) });
  informers = [];
});
afterEach(async () => {
  for (const informer of informers) await informer.close();
  api.close();
  await server.close();
});

function pod(name: string, spec: string, namespace = "default"): KubernetesObject {
  return { metadata: { name, namespace }, spec };
}

interface Watched {
  readonly informer: Informer<string>;
  readonly told: readonly string[];
}

async function watchPods(options: Partial<InformerOptions<string>> = {}): Promise<Watched> {
  const told: string[] = [];
  const informer = startInformer<string>({
    api,
    path: PODS,
    keep: ({ spec }) => (typeof spec === "string" ? spec : undefined),
    same: (a, b) => a === b,
    onChange: (key, kept) => told.push(`${key}=${kept ?? "gone"}`),
    logger: quiet,
    firstRetryMs: 5,
    ...options,
  });
  informers.push(informer);
  await informer.synced;
  await eventually(() => expect(server.openWatches()).toBeGreaterThan(0));
  return { informer, told };
}

describe("an informer", () => {
  it("lists all pages, then follows what comes, changes and goes", async () => {
    for (let index = 0; index < 1_203; index += 1) server.put(PODS, pod(`pod-${index}`, "a"));
    const { informer, told } = await watchPods();
    expect(informer.store.size).toBe(1_203);
    expect(server.requests.filter((request) => request.includes("limit="))).toHaveLength(3);
    server.put(PODS, pod("pod-0", "b"));
    server.put(PODS, pod("new", "c"));
    server.remove(PODS, "pod-1", "default");
    await eventually(() => expect(told.slice(1_203)).toEqual(["default/pod-0=b", "default/new=c", "default/pod-1=gone"]));
  });

  it("says nothing of a version in which nothing differs that matters", async () => {
    server.put(PODS, pod("a", "same"));
    const { told } = await watchPods();
    server.put(PODS, { ...pod("a", "same"), status: { heard: "later" } });
    server.put(PODS, pod("b", "next"));
    await eventually(() => expect(told).toEqual(["default/a=same", "default/b=next"]));
  });

  it("goes on where it was after a broken watch, without another list", async () => {
    server.put(PODS, pod("a", "1"));
    const { told } = await watchPods();
    server.bookmark();
    server.put(PODS, pod("a", "2"));
    await eventually(() => expect(told).toHaveLength(2));
    server.breakWatches();
    server.put(PODS, pod("a", "3"));
    server.remove(PODS, "a", "default");
    await eventually(() => expect(told.slice(2)).toEqual(["default/a=3", "default/a=gone"]));
    expect(server.requests.filter((request) => request.includes("limit="))).toHaveLength(1);
  });

  it("resumes from the last bookmark", async () => {
    server.put(PODS, pod("a", "1"));
    await watchPods();
    const before = server.requests.length;
    server.bookmark();
    await eventually(() => expect(server.openWatches()).toBe(1));
    await new Promise((resolve) => setImmediate(resolve));
    server.breakWatches();
    await eventually(() => expect(server.requests.length).toBeGreaterThan(before));
    expect(server.requests.at(-1)).toContain("resourceVersion=102");
  });

  it("lists again after 410 Gone, and tells the difference alone: nothing is gone in between", async () => {
    for (const name of ["a", "b", "c"]) server.put(PODS, pod(name, "1"));
    const { informer, told } = await watchPods();
    server.compact();
    server.refuse(503);
    server.breakWatches();
    server.put(PODS, pod("b", "2"));
    server.remove(PODS, "c", "default");
    server.put(PODS, pod("d", "1"));
    server.compact();
    server.refuse(0);
    await eventually(() => expect(told.slice(3).sort()).toEqual(["default/b=2", "default/c=gone", "default/d=1"]));
    expect([...informer.store.keys()].sort()).toEqual(["default/a", "default/b", "default/d"]);
  });

  it("keeps what it has while the server is away, and catches up", async () => {
    server.put(PODS, pod("a", "1"));
    const { informer, told } = await watchPods();
    server.refuse(500);
    server.breakWatches();
    await eventually(() => expect(server.requests.length).toBeGreaterThan(6));
    expect(informer.store.size).toBe(1);
    server.put(PODS, pod("a", "2"));
    server.refuse(0);
    await eventually(() => expect(told).toEqual(["default/a=1", "default/a=2"]));
  });

  it("takes a collection that is not there for empty, and finds it when it comes", async () => {
    const path = "/apis/networking.istio.io/v1/gateways";
    server.serve("networking.istio.io", "v1", []);
    const told: string[] = [];
    const informer = startInformer<string>({
      api,
      path,
      keep: ({ spec }) => String(spec),
      same: (a, b) => a === b,
      onChange: (key, kept) => told.push(`${key}=${kept ?? "gone"}`),
      logger: quiet,
      firstRetryMs: 5,
      missingMs: 0,
    });
    informers.push(informer);
    await informer.synced;
    expect(informer.store.size).toBe(0);
    server.serve("networking.istio.io", "v1", [{ plural: "gateways", kind: "Gateway" }]);
    server.put(path, pod("edge", "x"));
    await eventually(() => expect(told).toEqual(["default/edge=x"]));
    server.serve("networking.istio.io", "v1", []);
    server.breakWatches();
    await eventually(() => expect(told).toEqual(["default/edge=x", "default/edge=gone"]));
  });

  it("loses no update, whatever breaks in whichever order", async () => {
    let seed = 7;
    const next = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((seed / 2_147_483_648) * below);
    };
    const { informer } = await watchPods();
    const truth = new Map<string, string>();
    for (let step = 0; step < 600; step += 1) {
      const name = `pod-${next(20)}`;
      if (next(4) === 0) {
        truth.delete(`default/${name}`);
        server.remove(PODS, name, "default");
      } else {
        truth.set(`default/${name}`, String(step));
        server.put(PODS, pod(name, String(step)));
      }
      const trouble = next(40);
      if (trouble === 0) server.breakWatches();
      if (trouble === 1) server.compact();
      if (trouble === 2) server.bookmark();
      if (trouble === 3) {
        server.compact();
        server.breakWatches();
      }
      if (next(10) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => expect(new Map([...informer.store].sort())).toEqual(new Map([...truth].sort())));
  });
});

describe("retries", () => {
  it.each([
    [0, 0, 0],
    [1, 100, 200],
    [3, 400, 800],
    [20, 5_000, 10_000],
  ])("after %i failures wait between %i and %i ms", (failures, shortest, longest) => {
    expect(retryMs(failures, 200, () => 0)).toBe(shortest);
    expect(retryMs(failures, 200, () => 1)).toBe(longest);
  });
});
