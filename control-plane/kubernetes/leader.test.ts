import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FakeKubernetes, startFakeKubernetes } from "../source/fake-kubernetes.ts";
import { createKubernetesApi, type KubernetesApi } from "../source/kubernetes-api.ts";
import { eventually } from "../test/eventually.ts";
import { type Leader, startLeader } from "./leader.ts";

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const DURATION_MS = 2_100;

let server: FakeKubernetes;
let api: KubernetesApi;
let leaders: Leader[];
beforeEach(async () => {
  server = await startFakeKubernetes();
  api = createKubernetesApi({ url: server.url, headers: async () => ({}) });
  leaders = [];
});
afterEach(async () => {
  for (const leader of leaders) await leader.close();
  api.close();
  await server.close();
});

function start(identity: string): Leader {
  const leader = startLeader({
    api,
    namespace: "weft-system",
    name: "weft-control-plane",
    identity,
    logger: quiet,
    onChange: () => undefined,
    durationMs: DURATION_MS,
  });
  leaders.push(leader);
  return leader;
}

describe("the Lease", () => {
  it("is held by one, and at once by another when that one gives it up", async () => {
    const [one, two] = [start("one"), start("two")];
    await eventually(() => expect([one.leads(), two.leads()].filter(Boolean)).toHaveLength(1));
    const [first, second] = one.leads() ? [one, two] : [two, one];
    await new Promise((resolve) => setTimeout(resolve, DURATION_MS * 1.5));
    expect([first.leads(), second.leads()]).toEqual([true, false]);
    await first.close();
    expect(first.leads()).toBe(false);
    await eventually(() => expect(second.leads()).toBe(true));
  });

  it("ends by itself where its holder cannot renew it, before another may take it", async () => {
    const one = start("one");
    await eventually(() => expect(one.leads()).toBe(true));
    server.refuse(500);
    await eventually(() => expect(one.leads()).toBe(false));
    server.refuse(0);
    await eventually(() => expect(one.leads()).toBe(true));
  });

  it("of somebody who is gone is taken when it has lapsed", async () => {
    const leases = "/apis/coordination.k8s.io/v1/leases";
    server.put(leases, {
      metadata: { name: "weft-control-plane", namespace: "weft-system" },
      spec: { holderIdentity: "gone", leaseDurationSeconds: 1, leaseTransitions: 4 },
    });
    const one = start("one");
    await eventually(() => expect(one.leads()).toBe(true));
    expect(server.get(leases, "weft-control-plane", "weft-system")?.spec).toMatchObject({ holderIdentity: "one", leaseTransitions: 5 });
  });
});
