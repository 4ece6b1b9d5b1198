// From a translation to what each proxy is to hold: the consistency gate, the quarantine, and what is shared from one snapshot to the next.
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, it } from "vitest";
import type { Diagnostic } from "../model/diagnostic.ts";
import type { TranslatedResource, XdsType } from "../translate/resource.ts";
import { encodeResource } from "./encode.ts";
import { EMPTY_QUARANTINE, type Quarantine, quarantined } from "./quarantine.ts";
import { buildSnapshot, type ProxySnapshot, type Snapshot, type SnapshotInput } from "./snapshot.ts";
import { ofType } from "./view.ts";

interface Shape {
  readonly revision?: string;
  readonly needs?: readonly string[];
  readonly domains?: readonly string[];
  readonly vhds?: boolean;
}

/** A resource of which the fields that the check reads are set: name, domains, vhds; `revision` stands in a field that no message has. */
function resource(type: XdsType, name: string, { revision = "1", needs = [], domains = [], vhds = false }: Shape = {}): TranslatedResource {
  const body = new BinaryWriter().tag(1, WireType.LengthDelimited).string(name);
  if (type === "virtualHost") for (const domain of domains) body.tag(2, WireType.LengthDelimited).string(domain);
  if (type === "route" && domains.length > 0) {
    body.tag(2, WireType.LengthDelimited).fork();
    for (const domain of domains) body.tag(2, WireType.LengthDelimited).string(domain);
    body.join();
  }
  if (vhds) body.tag(9, WireType.LengthDelimited).string("");
  body.tag(1000, WireType.LengthDelimited).string(revision);
  const origin = { file: `${name}.yaml`, line: 7, column: 3 };
  return { type, name, body: body.finish(), origins: [{ origin, resource: `VirtualService default/${name}` }], needs };
}

const web = (revision = "1") => resource("cluster", "web", { revision, needs: ["endpoint/web"] });
const webEndpoints = resource("endpoint", "web");
const routes = resource("route", "routes", { vhds: true });
const host = (revision = "1", to = "web") => resource("virtualHost", "routes/web", { revision, needs: [`cluster/${to}`], domains: ["*"] });
const MESH = [web(), webEndpoints, routes, host(), resource("listener", "http", { needs: ["route/routes"] })];

function snapshotOf(proxies: Readonly<Record<string, readonly TranslatedResource[]>>, input: Partial<SnapshotInput> = {}): Snapshot {
  const translation = { proxies: new Map(Object.entries(proxies).map(([proxyId, resources]) => [proxyId, { proxyId, resources }])), diagnostics: [] };
  return buildSnapshot({ translation, quarantine: EMPTY_QUARANTINE, accepted: new Map(), revision: 1, ...input });
}

function replaced(resources: readonly TranslatedResource[], ...fresh: readonly TranslatedResource[]): readonly TranslatedResource[] {
  return resources.map((old) => fresh.find(({ type, name }) => type === old.type && name === old.name) ?? old);
}

/** The view of a proxy as `type name@version`, with the versions of these resources by their names. */
function heldBy(snapshot: Snapshot, proxyId: string): readonly string[] {
  const view = snapshot.proxies.get(proxyId)?.view ?? new Map();
  return [...view.keys()].flatMap((type: XdsType) => [...ofType(view, type).values()].map(({ name, version }) => `${type} ${name}@${version}`)).sort();
}

function lines(resources: readonly TranslatedResource[]): readonly string[] {
  return resources.map((one) => `${one.type} ${one.name}@${encodeResource(one).version}`).sort();
}

function refuse(...resources: readonly TranslatedResource[]): Quarantine {
  return resources.reduce(
    (quarantine: Quarantine, one) => quarantined(quarantine, { proxyId: "a", resource: encodeResource(one), reason: "Envoy's text." }),
    EMPTY_QUARANTINE,
  );
}

function acceptedBy(proxyId: string, resources: readonly TranslatedResource[]): ReadonlyMap<string, ProxySnapshot> {
  const accepted = snapshotOf({ [proxyId]: resources }).proxies.get(proxyId);
  return accepted === undefined ? new Map() : new Map([[proxyId, accepted]]);
}

const what = (diagnostics: readonly Diagnostic[]) => diagnostics.map(({ code, what: text }) => `${code} ${text}`);

describe("the consistency gate", () => {
  const cases: readonly { readonly problem: string; readonly resources: readonly TranslatedResource[]; readonly says: string }[] = [
    {
      problem: "a host whose cluster is missing",
      resources: replaced(MESH, host("1", "api")),
      says: "virtualHost/routes/web needs cluster/api, which is not there",
    },
    {
      problem: "a cluster without endpoints",
      resources: MESH.filter(({ type }) => type !== "endpoint"),
      says: "cluster/web needs endpoint/web, which is not there",
    },
    {
      problem: "a route configuration without hosts",
      resources: MESH.filter(({ type }) => type !== "virtualHost"),
      says: "route/routes takes its virtual hosts by VHDS and has none",
    },
    {
      problem: "hosts without a route configuration",
      resources: [web(), webEndpoints, host()],
      says: "virtual hosts of routes: there is no such route configuration with VHDS",
    },
    {
      problem: "a domain that two hosts have, in another case",
      resources: [...MESH, resource("virtualHost", "routes/x", { domains: ["a.b"] }), resource("virtualHost", "routes/y", { domains: ["A.B"] })],
      says: "route/routes: the domain a.b stands in routes/x and in routes/y",
    },
    {
      problem: "a domain twice inside a route configuration",
      resources: [resource("route", "inline", { domains: ["x", "X"] })],
      says: "route/inline: the domain x stands in inline and in inline",
    },
  ];

  it.each(cases)("keeps what a proxy had when there is $problem", ({ resources, says }) => {
    const previous = snapshotOf({ a: MESH, b: MESH });
    const next = snapshotOf({ a: resources, b: replaced(MESH, host("2")) }, { previous, revision: 2 });
    expect(heldBy(next, "a")).toEqual(lines(MESH));
    expect(heldBy(next, "b")).toEqual(lines(replaced(MESH, host("2"))));
    expect(what(next.diagnostics)).toEqual([`WEFT0702 the resources of a do not fit together: ${says}`]);
  });

  it("leaves out a proxy that had nothing", () => {
    const next = snapshotOf({ a: [host()] });
    expect([...next.proxies.keys()]).toEqual([]);
  });

  it("throws when translation makes two resources of one name", () => {
    expect(() => snapshotOf({ a: [web("1"), web("2")] })).toThrow("two different resources are named cluster/web");
  });
});

describe("what Envoy refused", () => {
  const changed = replaced(MESH, host("2"), web("2"));

  it("serves in its last accepted version, and everything else of the same edit is applied", () => {
    const next = snapshotOf({ a: changed }, { quarantine: refuse(host("2")), accepted: acceptedBy("a", MESH) });
    expect(heldBy(next, "a")).toEqual(lines(replaced(MESH, web("2"))));
  });

  it("is reported against the YAML that shaped it, with Envoy's text", () => {
    const next = snapshotOf({ a: changed }, { quarantine: refuse(host("2")), accepted: acceptedBy("a", MESH) });
    expect(next.diagnostics).toMatchObject([
      {
        code: "WEFT0701",
        severity: "error",
        origin: { file: "routes/web.yaml", line: 7, column: 3 },
        resource: "VirtualService default/routes/web",
        what: "Envoy (a) refuses the virtualHost routes/web: Envoy's text",
      },
    ]);
  });

  it("is set aside on every proxy alike, also on one that was never asked", () => {
    const next = snapshotOf({ a: changed, b: changed, fresh: changed }, { quarantine: refuse(host("2")), accepted: acceptedBy("b", MESH) });
    for (const proxyId of ["a", "b", "fresh"]) expect(heldBy(next, proxyId), proxyId).toEqual(lines(replaced(MESH, web("2"))));
  });

  it("is tried again when its input changes, and no sooner", () => {
    const first = snapshotOf({ a: changed }, { quarantine: refuse(host("2")), accepted: acceptedBy("a", MESH) });
    const same = snapshotOf({ a: changed }, { previous: first, quarantine: first.quarantine, accepted: acceptedBy("a", MESH) });
    expect(heldBy(same, "a")).toContain(lines([host("1")])[0]);
    const edited = snapshotOf({ a: replaced(MESH, host("3")) }, { previous: same, quarantine: same.quarantine, accepted: acceptedBy("a", MESH) });
    expect(heldBy(edited, "a")).toContain(lines([host("3")])[0]);
    expect(edited.quarantine.size).toBe(0);
    expect(edited.diagnostics).toEqual([]);
    const back = snapshotOf({ a: changed }, { previous: edited, quarantine: edited.quarantine, accepted: acceptedBy("a", MESH) });
    expect(heldBy(back, "a")).toContain(lines([host("2")])[0]);
  });

  it("is left out, neither sent nor removed, where no version was ever accepted", () => {
    const extra = resource("virtualHost", "routes/extra", { needs: ["cluster/web"], domains: ["extra"] });
    const next = snapshotOf({ a: [...MESH, extra] }, { quarantine: refuse(extra) });
    expect(heldBy(next, "a")).toEqual(lines(MESH));
    expect([...(next.proxies.get("a")?.frozen ?? [])]).toEqual(["virtualHost/routes/extra"]);
  });

  it("takes along what needs it: a host goes back with the new cluster that it names", () => {
    const api = [resource("cluster", "api", { needs: ["endpoint/api"] }), resource("endpoint", "api")];
    const next = snapshotOf({ a: [...replaced(MESH, host("2", "api")), ...api] }, { quarantine: refuse(...api.slice(0, 1)), accepted: acceptedBy("a", MESH) });
    expect(heldBy(next, "a")).toEqual(lines([...MESH, ...api.slice(1)]));
  });

  it("brings back what its accepted version needs, though nothing asks for it any more", () => {
    const old = [resource("cluster", "old", { needs: ["endpoint/old"] }), resource("endpoint", "old")];
    const before = [...replaced(MESH, host("1", "old")), ...old];
    const next = snapshotOf({ a: replaced(MESH, host("2")) }, { quarantine: refuse(host("2")), accepted: acceptedBy("a", before) });
    expect(heldBy(next, "a")).toEqual(lines(before));
  });

  it("takes no listener from another proxy", () => {
    const listener = (revision: string) => resource("listener", "http", { needs: ["route/routes"], revision });
    const next = snapshotOf({ fresh: replaced(MESH, listener("2")) }, { quarantine: refuse(listener("2")), accepted: acceptedBy("other", MESH) });
    expect(heldBy(next, "fresh")).toEqual(lines(MESH.filter(({ type }) => type !== "listener")));
  });

  it("falls back to all that was accepted where versions do not fit together", () => {
    const moved = [
      ...MESH.filter(({ type }) => type !== "virtualHost"),
      resource("virtualHost", "routes/x", { domains: ["shop"], revision: "2" }),
      resource("virtualHost", "routes/web", { domains: ["*"], revision: "2" }),
    ];
    const before = [...MESH.filter(({ type }) => type !== "virtualHost"), resource("virtualHost", "routes/web", { domains: ["*", "shop"] })];
    const culprit = moved.slice(-1);
    const next = snapshotOf({ a: moved }, { quarantine: refuse(...culprit), accepted: acceptedBy("a", before) });
    expect(heldBy(next, "a")).toEqual(lines(before));
  });
});

describe("from one snapshot to the next", () => {
  it("encodes equal resources once, over proxies and over time", () => {
    const previous = snapshotOf({ a: MESH, b: MESH.map((one) => ({ ...one })) });
    const [a, b] = ["a", "b"].map((proxyId) => previous.proxies.get(proxyId)?.view.get("cluster")?.get("web"));
    expect(a).toBe(b);
    const next = snapshotOf({ a: replaced(MESH, host("2")) }, { previous, revision: 2 });
    expect(next.proxies.get("a")?.view.get("cluster")?.get("web")).toBe(a);
  });

  it("hands on the map of a type in which nothing has changed, so that streams need not compare it", () => {
    const previous = snapshotOf({ a: MESH });
    const next = snapshotOf({ a: replaced(MESH, host("2")) }, { previous, revision: 2 });
    const [before, after] = [previous, next].map((snapshot) => snapshot.proxies.get("a")?.view);
    expect(after?.get("cluster")).toBe(before?.get("cluster"));
    expect(after?.get("virtualHost")).not.toBe(before?.get("virtualHost"));
  });

  it("follows lines that move in a file, with the bytes as they were", () => {
    const previous = snapshotOf({ a: MESH });
    const moved = MESH.map((one) => ({ ...one, origins: [{ origin: { file: "moved.yaml", line: 99, column: 1 }, resource: "VirtualService default/web" }] }));
    const next = snapshotOf({ a: moved }, { previous, revision: 2 });
    const [before, after] = [previous, next].map((snapshot) => snapshot.proxies.get("a")?.view.get("cluster")?.get("web"));
    expect(after?.origins[0]?.origin.file).toBe("moved.yaml");
    expect(after?.head).toBe(before?.head);
    expect(after?.body).toBe(before?.body);
  });

  it("forgets bytes that no proxy holds any more", () => {
    const old = Array.from({ length: 2_000 }, (_, index) => resource("cluster", `old-${index}`));
    const previous = snapshotOf({ a: [...MESH, ...old] });
    const next = snapshotOf({ a: MESH }, { previous, revision: 2 });
    expect(next.pool.size).toBe(MESH.length);
  });

  it("gives equal bytes for equal input, and versions by content alone", () => {
    const [one, two] = [snapshotOf({ a: MESH }), snapshotOf({ a: [...MESH].reverse() }, { revision: 99 })];
    expect(heldBy(one, "a")).toEqual(heldBy(two, "a"));
    expect([...one.pool.keys()].sort()).toEqual([...two.pool.keys()].sort());
  });
});
