import { describe, expect, it } from "vitest";
import type { Diagnostic } from "../model/diagnostic.ts";
import { buildSnapshot } from "../snapshot/snapshot.ts";
import { resourcesOf } from "../test/mesh-of.ts";
import { wiredMesh } from "../test/wired-mesh.ts";
import { translate } from "../translate/translate.ts";
import { createRevisionLog, resourceStatuses } from "./resource-status.ts";

const workload = (name: string) => `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec: {containers: [{name: main, image: "main:1", ports: [{containerPort: 9080}]}]}
`;
const yaml = (timeout: string) => `${workload("caller")}${workload("reviews")}---
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], exportTo: ["."], http: [{timeout: ${timeout}, route: [{destination: {host: reviews}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: unbound}
spec: {hosts: [shop.example], gateways: [nowhere], http: [{route: [{destination: {host: reviews}}]}]}
`;

function statuses(
  log: ReturnType<typeof createRevisionLog>,
  timeout: string,
  revision: number,
  acked: Readonly<Record<string, number>>,
  diagnostics: readonly Diagnostic[] = [],
) {
  const resources = resourcesOf(yaml(timeout));
  const translation = translate(wiredMesh(yaml(timeout), { httpProxy: false }), { filter: { wasm: Uint8Array.of(0), generationOf: () => 0 } });
  const snapshot = buildSnapshot({ translation, quarantine: new Map(), accepted: new Map(), revision });
  log.note(resources, revision);
  const states = Object.entries(acked).map(([proxyId, ackedRevision]) => ({ proxyId, connected: true, ackedRevision, nacks: 0 }));
  return new Map(resourceStatuses(resources, log, snapshot, states, diagnostics).map((status) => [`${status.kind} ${status.name}`, status]));
}

describe("the status of a resource", () => {
  it("names the proxies that hold something of it, and counts what they acknowledged since it changed", () => {
    const log = createRevisionLog();
    const first = statuses(log, "1s", 10, { "caller-1.default": 10, "reviews-1.default": 9 });
    expect(first.get("VirtualService reviews")?.proxies).toEqual([
      { proxyId: "caller-1.default", connected: true, taken: true },
      { proxyId: "reviews-1.default", connected: true, taken: false },
    ]);
    const unchanged = statuses(log, "1s", 11, { "caller-1.default": 10, "reviews-1.default": 10 });
    expect(unchanged.get("VirtualService reviews")?.proxies.every(({ taken }) => taken)).toBe(true);
    const changed = statuses(log, "2s", 12, { "caller-1.default": 12, "reviews-1.default": 11 });
    expect(changed.get("VirtualService reviews")?.proxies.map(({ taken }) => taken)).toEqual([true, false]);
    expect(changed.get("Service reviews")?.proxies.every(({ taken }) => taken)).toBe(true);
  });

  it("knows that nobody needs what is bound nowhere, nor what only says what runs", () => {
    const status = statuses(createRevisionLog(), "1s", 1, {});
    expect(status.get("VirtualService unbound")?.proxies).toEqual([]);
    expect(status.get("Deployment caller")?.proxies).toEqual([]);
  });

  it("tells a proxy that is away, and the errors that stand", () => {
    const error: Diagnostic = {
      code: "WEFT0701",
      severity: "error",
      origin: { file: "in.yaml", line: 1, column: 1 },
      resource: "VirtualService default/reviews",
      what: "Envoy refuses it",
      fix: "mend it",
    };
    const status = statuses(createRevisionLog(), "1s", 1, { "caller-1.default": 1 }, [error]).get("VirtualService reviews");
    expect(status?.proxies).toContainEqual({ proxyId: "reviews-1.default", connected: false, taken: false });
    expect(status?.problems).toEqual(["Envoy refuses it"]);
  });
});
