// Whatever is published, and in whatever order requests, responses, ACKs, refusals and broken streams fall: the model of Envoy never comes to a moment in which a
// request would fail, ends with what was published last, and is sent nothing when it reconnects.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ofType } from "../snapshot/view.ts";
import type { TranslatedResource } from "../translate/resource.ts";
import { testResource } from "./fake-envoy.ts";
import { StreamUnderTest } from "./stream-under-test.ts";

/** Printed by fast-check with a counterexample; change it to search elsewhere. */
const SEED = 20221115;
const RUNS = Number(process.env.WEFT_PROPERTY_RUNS ?? 500);

const SERVICES = ["a", "b", "c", "d"];
const PORTS = ["p", "q", "r"];

interface ServiceInput {
  readonly present: boolean;
  readonly revision: number;
  readonly endpointRevision: number;
  readonly bad: boolean;
}

interface PortInput {
  readonly kind: "none" | "vhds" | "inline";
  readonly revision: number;
  readonly routeRevision: number;
  readonly filter: boolean;
  /** For each service: whether it has a host, in which revision, and whether Envoy refuses it. */
  readonly hosts: readonly { readonly present: boolean; readonly revision: number; readonly bad: boolean }[];
  /** Which of the hosts has the domains that move. */
  readonly movingDomain: number;
}

interface MeshInput {
  readonly services: readonly ServiceInput[];
  readonly ports: readonly PortInput[];
  readonly filterRevision: number;
}

type Step =
  | { readonly kind: "publish"; readonly mesh: MeshInput }
  | { readonly kind: "request" }
  | { readonly kind: "respond" }
  | { readonly kind: "deliver" }
  | { readonly kind: "settle" }
  | { readonly kind: "wait"; readonly delayMs: number }
  | { readonly kind: "connect" }
  | { readonly kind: "restart" };

const revision = fc.integer({ min: 1, max: 3 });

function meshes(refusals: boolean): fc.Arbitrary<MeshInput> {
  const bad = refusals ? fc.integer({ min: 0, max: 9 }).map((draw) => draw === 0) : fc.constant(false);
  const present = fc.integer({ min: 0, max: 3 }).map((draw) => draw > 0);
  return fc.record({
    services: fc.tuple(...SERVICES.map(() => fc.record({ present, revision, endpointRevision: revision, bad }))),
    ports: fc.tuple(
      ...PORTS.map(() =>
        fc.record({
          kind: fc.constantFrom("none", "vhds", "vhds", "inline"),
          revision,
          routeRevision: revision,
          filter: fc.boolean(),
          hosts: fc.tuple(...SERVICES.map(() => fc.record({ present, revision, bad }))),
          movingDomain: fc.nat(SERVICES.length - 1),
        }),
      ),
    ),
    filterRevision: revision,
  });
}

function steps(refusals: boolean): fc.Arbitrary<readonly Step[]> {
  const move = fc.constantFrom<Step>({ kind: "request" }, { kind: "respond" }, { kind: "deliver" });
  return fc.array(
    fc.oneof(
      { weight: 12, arbitrary: move },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("publish"), mesh: meshes(refusals) }) },
      { weight: 2, arbitrary: fc.constant<Step>({ kind: "settle" }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait"), delayMs: fc.constantFrom(1_000, 15_000, 20_000) }) },
      { weight: 1, arbitrary: fc.constantFrom<Step>({ kind: "connect" }, { kind: "restart" }) },
    ),
    { maxLength: 60 },
  );
}

/** Resources that fit together, as translation would make them. What Envoy refuses has a revision of its own. */
function resourcesOf(mesh: MeshInput): readonly TranslatedResource[] {
  const services = SERVICES.flatMap((name, index) => {
    const input = mesh.services[index];
    if (input?.present !== true) return [];
    const { bad, endpointRevision } = input;
    return [
      testResource("cluster", name, { endpoints: `${name}-endpoints`, revision: `${input.revision}`, bad }),
      testResource("endpoint", `${name}-endpoints`, { revision: `${endpointRevision}` }),
    ];
  });
  const ports = PORTS.flatMap((name, index) => {
    const input = mesh.ports[index];
    return input === undefined ? [] : portOf(name, input, mesh);
  });
  const usesFilter = ports.some(({ needs }) => needs.includes("extension/weft"));
  return [...services, ...ports, ...(usesFilter ? [testResource("extension", "weft", { revision: `${mesh.filterRevision}` })] : [])];
}

function portOf(name: string, input: PortInput, mesh: MeshInput): readonly TranslatedResource[] {
  const hosts = SERVICES.filter((_, index) => mesh.services[index]?.present === true && input.hosts[index]?.present === true);
  if (input.kind === "none" || hosts.length === 0) return [];
  const listener = testResource("listener", name, {
    routes: [`${name}-routes`],
    revision: `${input.revision}`,
    extensions: input.filter ? ["weft"] : [],
  });
  if (input.kind === "inline") return [listener, testResource("route", `${name}-routes`, { clusters: hosts, revision: `${input.routeRevision}` })];
  const mover = hosts[input.movingDomain % hosts.length];
  return [
    listener,
    testResource("route", `${name}-routes`, { vhds: true, revision: `${input.routeRevision}` }),
    ...hosts.map((service) => {
      const host = input.hosts[SERVICES.indexOf(service)];
      const domains = [service, ...(service === mover ? ["*", "shop"] : [])];
      return testResource("virtualHost", `${name}-routes/${service}`, { clusters: [service], domains, revision: `${host?.revision}`, bad: host?.bad === true });
    }),
  ];
}

const TAKE: Readonly<Record<Exclude<Step["kind"], "publish" | "wait">, (test: StreamUnderTest) => unknown>> = {
  request: (test) => test.takeRequest(),
  respond: (test) => test.writeResponse(),
  deliver: (test) => test.deliverResponse(),
  settle: (test) => test.settle(),
  connect: (test) => test.connect(),
  restart: (test) => test.restart(),
};

function take(test: StreamUnderTest, step: Step): void {
  if (step.kind === "publish") test.publish(resourcesOf(step.mesh));
  else if (step.kind === "wait") test.nowMs += step.delayMs;
  else TAKE[step.kind](test);
}

/** What the model holds, as `type name@version`. */
function heldBy({ envoy }: StreamUnderTest): readonly string[] {
  const lines = [
    ...[...envoy.clusters].map(([name, { active }]) => `cluster ${name}@${active?.version}`),
    ...[...envoy.endpoints].map(([name, version]) => `endpoint ${name}@${version}`),
    ...[...envoy.listeners].map(([name, { version }]) => `listener ${name}@${version}`),
    ...[...envoy.routes].flatMap(([name, { version, hosts }]) => [
      `route ${name}@${version}`,
      ...[...hosts].map(([host, taken]) => `virtualHost ${host}@${taken.version}`),
    ]),
    ...[...envoy.extensions].map(([name, version]) => `extension ${name}@${version}`),
  ];
  return lines.sort();
}

/** What it is to hold. */
function published(test: StreamUnderTest): readonly string[] {
  const view = test.snapshot?.proxies.values().next().value?.view ?? new Map();
  const types = ["cluster", "endpoint", "listener", "route", "virtualHost", "extension"] as const;
  return types.flatMap((type) => [...ofType(view, type).values()].map(({ name, version }) => `${type} ${name}@${version}`)).sort();
}

function run(script: readonly Step[], last: MeshInput, settlesFirst: boolean): StreamUnderTest {
  const test = new StreamUnderTest();
  for (const step of script) {
    if (settlesFirst && (step.kind === "connect" || step.kind === "restart")) test.settle();
    take(test, step);
  }
  test.publish(resourcesOf(last));
  test.settleRemovals();
  return test;
}

describe("any sequence of snapshots, delays and broken streams", () => {
  it("loses no request, ends with the last snapshot, and leaves nothing to send after a reconnect", () => {
    fc.assert(
      fc.property(steps(false), meshes(false), (script, last) => {
        const test = run(script, last, false);
        expect(test.envoy.complaints).toEqual([]);
        expect(test.envoy.refused).toEqual([]);
        expect(heldBy(test)).toEqual(published(test));
        expect(test.ackedRevision).toBe(test.snapshot?.revision);
        test.forget();
        test.restart();
        test.settleRemovals();
        expect(test.lines()).toEqual([]);
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });

  // Of a response that it refuses in part, Envoy keeps the good clusters but not their versions. If the stream breaks before the refusal is narrowed down,
  // they are on no list. So here streams break only after that.
  it("does so with refusals in between, once what is refused is gone", () => {
    fc.assert(
      fc.property(steps(true), meshes(false), (script, last) => {
        const test = run(script, last, true);
        expect(test.envoy.complaints).toEqual([]);
        expect(heldBy(test)).toEqual(published(test));
        test.forget();
        test.restart();
        test.settleRemovals();
        expect(test.lines()).toEqual([]);
      }),
      { seed: SEED, numRuns: RUNS },
    );
  });
});
