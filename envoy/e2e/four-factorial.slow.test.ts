// A host with a base endpoint stays, while a VirtualService, a DestinationRule, a ServiceEntry and a WorkloadEntry that add a subset to it come and go in every
// order, under load: no request fails, and with all four there the new subset has its share.
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Load, startLoad } from "./load.ts";
import { MESHES, startMesh, type TestMesh } from "./mesh.ts";
import { serviceUrl, workloadNamed } from "./ready.ts";

type Part = "route" | "rule" | "entry" | "workload";
const PARTS: readonly Part[] = ["route", "rule", "entry", "workload"];

/** Every order of a list. */
function ordersOf<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  if (items.length < 2) return [items];
  return items.flatMap((first, index) => ordersOf([...items.slice(0, index), ...items.slice(index + 1)]).map((rest) => [first, ...rest]));
}

const HEAD = "apiVersion: networking.istio.io/v1\n";
/** The host, and the endpoint that stays. */
const BASE = `apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {selector: {app: echo, version: v1}, ports: [{name: http, port: 80, targetPort: http}]}
`;
const PORTS = "ports: [{number: 80, name: http, protocol: HTTP}]";

function at(url: string): { readonly address: string; readonly port: string } {
  const { hostname, port } = new URL(url);
  return { address: hostname, port };
}

/** `base`: the subset of the endpoint that stays, or the host as a whole. */
function filesOf(newUrl: string, base: "subset" | "whole", fault: string): Readonly<Record<Part, string>> {
  const { address, port } = at(newUrl);
  const first = base === "subset" ? "{host: orders, subset: base}" : "{host: orders}";
  const subsets = `${base === "subset" ? "{name: base, labels: {version: v1}}, " : ""}{name: new, labels: {version: new}}`;
  return {
    route: `${HEAD}kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - name: split
      ${fault}
      route:
        - {destination: ${first}, weight: 50}
        - {destination: {host: orders, subset: new}, weight: 50}
`,
    rule: `${HEAD}kind: DestinationRule\nmetadata: {name: orders}\nspec: {host: orders, subsets: [${subsets}]}\n`,
    entry: `${HEAD}kind: ServiceEntry
metadata: {name: orders-new}
spec: {hosts: [orders.default.svc.cluster.local], ${PORTS}, location: MESH_INTERNAL, resolution: STATIC, workloadSelector: {labels: {app: orders-new}}}
`,
    workload: `${HEAD}kind: WorkloadEntry
metadata: {name: orders-new}
spec: {address: ${address}, ports: {http: ${port}}, labels: {app: orders-new, version: new}}
`,
  };
}

describe("what adds a subset to a host", () => {
  let mesh: TestMesh;
  let url: string;
  beforeAll(async () => {
    mesh = await startMesh(join(MESHES, "echo"), { prepare: (folder) => writeFile(join(folder, "base.yaml"), BASE) });
    url = serviceUrl(mesh.ready, "caller", "orders.");
  }, 180_000);
  afterAll(() => mesh?.close());

  const apply = async (part: Part, text: string): Promise<void> => {
    const file = `${part}.yaml`;
    const from = await mesh.write(file, text);
    await mesh.event("applied", ({ files }) => files.includes(file), { from });
  };
  const remove = async (part: Part): Promise<void> => {
    const file = `${part}.yaml`;
    const from = mesh.events.length;
    await rm(join(mesh.folder, file));
    await mesh.event("applied", ({ files }) => files.includes(file), { from });
  };

  /** Puts the four on and takes them off again; gives how many answers came from the new subset while all were there. */
  const comeAndGo = async (
    order: readonly Part[],
    files: Readonly<Record<Part, string>>,
    load: Load,
    fromNew: () => number,
    requests: number,
  ): Promise<number> => {
    for (const part of order) await apply(part, files[part]);
    const before = fromNew();
    await load.more(requests);
    const share = fromNew() - before;
    for (const part of order) await remove(part);
    return share;
  };

  it.each(["subset", "whole"] as const)(
    "fails no request in any of the 24 orders (base: %s)",
    async (base) => {
      let fromNew = 0;
      const load = startLoad({ url, connections: 4, ratePerSecond: 400, onResponse: ({ headers }) => (fromNew += headers["x-version"] === "v2" ? 1 : 0) });
      const files = filesOf(workloadNamed(mesh.ready, "echo-v2").url, base, "");
      const orders = ordersOf(PARTS);
      expect(orders).toHaveLength(24);
      for (const order of orders) {
        const share = await comeAndGo(order, files, load, () => fromNew, 60);
        expect([order.join(" "), share > 5]).toEqual([order.join(" "), true]);
      }
      const report = await load.stop();
      expect([report.failed, report.byReason, report.errors]).toEqual([0, {}, []]);
      expect(report.sent).toBeGreaterThan(2_000);
    },
    600_000,
  );

  it("fails no request that waits in a 5-second fault delay meanwhile", async () => {
    const fault = "fault: {delay: {fixedDelay: 5s, percentage: {value: 50}}}";
    const files = filesOf(workloadNamed(mesh.ready, "echo-v2").url, "subset", fault);
    let fromNew = 0;
    const load = startLoad({
      url,
      connections: 100,
      ratePerSecond: 40,
      timeoutMs: 30_000,
      onResponse: ({ headers }) => (fromNew += headers["x-version"] === "v2" ? 1 : 0),
    });
    for (const order of [
      ["workload", "entry", "rule", "route"],
      ["rule", "route", "workload", "entry"],
      ["entry", "workload", "route", "rule"],
      ["route", "rule", "entry", "workload"],
    ] as const) {
      expect(await comeAndGo(order, files, load, () => fromNew, 120)).toBeGreaterThan(10);
    }
    const report = await load.stop();
    expect([report.failed, report.byReason, report.errors]).toEqual([0, {}, []]);
  }, 600_000);
});
