// The built filter in a real Envoy: what the fake host of filter/ cannot prove. No control plane, one fixed configuration.
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type DecisionRecord, encodeDecisionRecord, stickyCandidate, stickyEntry } from "../../control-plane/translate/decision-record.ts";
import { buildFilter } from "../../filter/build.ts";
import { type Answer, clusterOf, type NamedUpstream, type StaticEnvoy, startNamedUpstream, startStaticEnvoy } from "./static-envoy.ts";

const candidates: DecisionRecord["candidates"] = [
  {
    weight: 80,
    identity: "web|80|stable",
    entries: [
      { width: 50, cluster: "stable-a" },
      { width: 30, cluster: "stable-b" },
    ],
  },
  { weight: 20, identity: "web|80|canary", entries: [{ width: 20, cluster: "canary" }] },
];
const none: DecisionRecord = { key: { kind: "none" }, salt: "default/web/primary", candidates };
const byHeader: DecisionRecord = { ...none, key: { kind: "header", name: "x-user" } };
const byCookie: DecisionRecord = { ...none, key: { kind: "cookie", name: "user", attributes: "Path=/;Max-Age=3600" } };
const withZoneKey: DecisionRecord = { ...byHeader, zoneKey: { kind: "header", name: "x-cart" } };

const wasmType = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const users = Array.from({ length: 300 }, (_, index) => `user-${index}`);

/** A route that the filter decides, or, without `decides`, Envoy by weight. */
function route(name: string, metadata: { readonly id: string; readonly decision: string }, decides = true): object {
  return {
    name,
    match: { path: `/${name}` },
    metadata: { filter_metadata: { weft: metadata } },
    route: {
      weighted_clusters: {
        header_name: "x-weft-pick",
        clusters: candidates.flatMap(({ entries }) => entries.map(({ cluster, width }) => ({ name: cluster, weight: width }))),
      },
    },
    request_headers_to_remove: ["x-weft-pick"],
    response_headers_to_add: [{ header: { key: "set-cookie", value: "%FILTER_STATE(wasm.ck:PLAIN)%" }, keep_empty_value: false }],
    ...(decides ? { typed_per_filter_config: { weft: { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", config: {} } } } : {}),
  };
}

// Of no other route: a record that is known by its id is not read again.
const altered = encodeDecisionRecord({ ...byHeader, salt: "default/web/altered" });
const routes = [
  route("random", encodeDecisionRecord(none)),
  route("header", encodeDecisionRecord(byHeader)),
  route("cookie", encodeDecisionRecord(byCookie)),
  route("zones", encodeDecisionRecord(withZoneKey)),
  route("undecided", encodeDecisionRecord(byHeader), false),
  route("altered", { ...altered, decision: altered.decision.replace("c 80", "c 81") }),
  route("too-large", { id: "0123456789abcdef", decision: "x".repeat(1_000_000) }),
  { name: "plain", match: { path: "/plain" }, route: { cluster: "canary" } },
  { name: "direct", match: { path: "/direct" }, direct_response: { status: 418 } },
];

/** A listener over the same routes. Its filter is off but where a route turns it on, or on for all of them. */
function listener(name: string, filter: string, configuration: string, everywhere: boolean): object {
  const wasm = {
    name: "weft",
    disabled: !everywhere,
    typed_config: {
      "@type": wasmType,
      config: {
        name: "weft",
        failure_policy: "FAIL_OPEN",
        configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: configuration },
        vm_config: { vm_id: name, runtime: "envoy.wasm.runtime.v8", code: { local: { inline_bytes: filter } } },
      },
    },
  };
  const strip = {
    name: "strip",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
      mutations: [{ remove_on_match: { key_matcher: { prefix: "x-weft-pick" } } }],
    },
  };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: name,
    early_header_mutation_extensions: [strip],
    route_config: { name: "routes", virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
    http_filters: [wasm, { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }],
  };
  return {
    name,
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
}

let upstreams: readonly NamedUpstream[] = [];
let envoy: StaticEnvoy;

beforeAll(async () => {
  const filter = (await readFile((await buildFilter()).path)).toString("base64");
  upstreams = await Promise.all(["stable-a", "stable-b", "canary"].map(startNamedUpstream));
  const listeners = [listener("traffic", filter, "{}", false), listener("explain", filter, "explain", true), listener("trapping", filter, "trap", false)];
  const node = { id: "test", cluster: "test", locality: { region: "ap", zone: "ap-a" } };
  envoy = await startStaticEnvoy({ listeners, clusters: upstreams.map(clusterOf) }, node);
});

afterAll(async () => {
  await envoy?.close();
  await Promise.all(upstreams.map((upstream) => upstream.close()));
});

/** One request to the traffic listener. */
function ask(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return envoy.get("traffic", path, headers);
}

/** Which subset answered: the candidate's number. */
function subsetOf(answer: Answer): number {
  return candidates.findIndex(({ entries }) => entries.some(({ cluster }) => cluster === answer.headers["x-upstream"]));
}

/** The answers for many requests, eight at a time. */
async function inTurn<Item>(items: readonly Item[], send: (item: Item) => Promise<Answer>): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  for (let start = 0; start < items.length; start += 8) answers.push(...(await Promise.all(items.slice(start, start + 8).map(send))));
  return answers;
}

const expectedSubsets = users.map((user) => stickyCandidate(byHeader, user));

describe("the filter in Envoy", () => {
  it("divides requests by weight", async () => {
    const answers = await inTurn(Array.from({ length: 2_000 }), () => ask("/random"));
    const share = (cluster: string) => (100 * answers.filter(({ headers }) => headers["x-upstream"] === cluster).length) / answers.length;
    // Six standard deviations of 2,000 draws are below 7 points.
    expect(Math.abs(share("stable-a") - 50)).toBeLessThan(7);
    expect(Math.abs(share("stable-b") - 30)).toBeLessThan(7);
    expect(Math.abs(share("canary") - 20)).toBeLessThan(7);
  });

  it("sends each user where the reference does", async () => {
    const answers = await inTurn(users, (user) => ask("/header", { "x-user": user }));
    expect(answers.map(subsetOf)).toEqual(expectedSubsets);
  });

  it("is what makes users stay: without it Envoy picks by weight alone", async () => {
    const answers = await inTurn(users, (user) => ask("/undecided", { "x-user": user }));
    expect(answers.map(subsetOf)).not.toEqual(expectedSubsets);
  });

  it("chooses the zone by its own key", async () => {
    const answers = await inTurn(users, (user) => ask("/zones", { "x-user": user, "x-cart": `cart of ${user}` }));
    const expected = users.map((user, index) => {
      const candidate = candidates[expectedSubsets[index] ?? 0];
      return candidate?.entries[stickyEntry(withZoneKey, candidate, `cart of ${user}`)]?.cluster;
    });
    expect(answers.map(({ headers }) => headers["x-upstream"])).toEqual(expected);
  });

  it("gives a client without the cookie one, and keeps to it", async () => {
    for (const first of await inTurn(users.slice(0, 64), () => ask("/cookie"))) {
      const [cookie = ""] = first.headers["set-cookie"] ?? [];
      expect(cookie).toMatch(/^user=[0-9a-f]{16};Path=\/;Max-Age=3600$/);
      const second = await ask("/cookie", { cookie: `theme=dark; ${cookie.split(";")[0]}` });
      expect(second.headers["set-cookie"]).toBeUndefined();
      expect(subsetOf(second)).toBe(subsetOf(first));
    }
  });

  it("lets no client choose, and shows the pick to no upstream", async () => {
    const user = users.find((_, index) => expectedSubsets[index] === 0) ?? "";
    const answers = await inTurn(Array.from({ length: 100 }), () => ask("/header", { "x-user": user, "x-weft-pick": "99" }));
    expect(new Set(answers.map(subsetOf))).toEqual(new Set([0]));
    for (const { body } of answers) expect(body).not.toContain("x-weft");
  });

  it.each(["/altered", "/too-large"])("leaves the choice to Envoy and counts where the record is refused: %s", async (path) => {
    const before = (await envoy.stat("wasmcustom.weft_record_rejected")) ?? 0;
    const answers = await inTurn(users, (user) => ask(path, { "x-user": user }));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(answers.map(subsetOf)).not.toEqual(expectedSubsets);
    expect(await envoy.stat("wasmcustom.weft_record_rejected")).toBe(before + users.length);
  });
});

const explanation = z.strictObject({
  route: z.string().nullable(),
  cluster: z.string().nullable(),
  id: z.string().nullable(),
  record: z.string().nullable(),
  recordError: z.string().nullable(),
  key: z.string().nullable(),
  hash: z.string().nullable(),
  zoneKey: z.string().nullable(),
  pick: z.number().nullable(),
  candidate: z.string().nullable(),
  entry: z.string().nullable(),
  zone: z.string().nullable(),
});

const undecided = { id: null, record: null, recordError: null, key: null, hash: null, zoneKey: null, pick: null, candidate: null, entry: null, zone: "ap-a" };

/** What the explain listener answers. */
async function explain(path: string, headers: Readonly<Record<string, string>> = {}) {
  const answer = await envoy.get("explain", path, headers);
  expect(answer.status).toBe(200);
  expect(answer.headers["content-type"]).toBe("application/json");
  return explanation.parse(JSON.parse(answer.body));
}

describe("the explain listener", () => {
  it("says for every user what the traffic listener does", async () => {
    const { id, decision } = encodeDecisionRecord(withZoneKey);
    for (const user of users.slice(0, 50)) {
      const headers = { "x-user": user, "x-cart": 'a "cart"' };
      const said = await explain("/zones", headers);
      expect(said).toMatchObject({ route: "zones", id, record: decision, recordError: null, key: user, zoneKey: 'a "cart"', zone: "ap-a" });
      expect(said.candidate).toBe(candidates[stickyCandidate(withZoneKey, user)]?.identity);
      expect((await ask("/zones", headers)).headers["x-upstream"]).toBe(said.entry);
    }
  });

  it("tells a route without a choice, a route without a cluster, and no route apart", async () => {
    expect(await explain("/plain")).toEqual({ ...undecided, route: "plain", cluster: "canary" });
    expect(await explain("/direct")).toEqual({ ...undecided, route: "direct", cluster: null });
    expect(await explain("/nowhere")).toEqual({ ...undecided, route: null, cluster: null });
  });

  it("says why a record is refused, also when it was refused before", async () => {
    for (const _ of [1, 2]) expect(await explain("/altered")).toMatchObject({ recordError: "the decision does not hash to the id", pick: null });
    expect(await explain("/too-large")).toMatchObject({ record: null, recordError: "no decision, or too large" });
  });
});

describe("a filter that traps", () => {
  it("costs the request that trapped, no other, and stickiness from then on", async () => {
    const before = await inTurn(users, (user) => envoy.get("trapping", "/header", { "x-user": user }));
    expect(before.map(subsetOf)).toEqual(expectedSubsets);
    expect((await envoy.get("trapping", "/header", { "weft-test-trap": "1" })).status).toBe(503);
    const after = await inTurn(users, (user) => envoy.get("trapping", "/header", { "x-user": user }));
    expect(new Set(after.map(({ status }) => status))).toEqual(new Set([200]));
    expect(after.map(subsetOf)).not.toEqual(expectedSubsets);
  });

  it("does so only where its configuration asks for it", async () => {
    expect((await ask("/header", { "weft-test-trap": "1" })).status).toBe(200);
    expect(subsetOf(await ask("/header", { "x-user": users[0] ?? "" }))).toBe(expectedSubsets[0]);
  });
});
