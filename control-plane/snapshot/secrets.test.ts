import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { encodeSecret } from "./encode.ts";
import { EMPTY_QUARANTINE } from "./quarantine.ts";
import { type ProxySecrets, renewSecrets } from "./secrets.ts";
import { buildSnapshot, type Snapshot, type SnapshotInput } from "./snapshot.ts";
import { ofType } from "./view.ts";

const KEY = "the private key";
const AWAITED: ReadonlySet<string> = new Set(["default"]);
const NONE: ReadonlySet<string> = new Set();

function secrets(version: string | undefined): ProxySecrets {
  if (version === undefined) return { resources: new Map(), awaited: AWAITED };
  return { resources: new Map([["default", encodeSecret("default", version, new TextEncoder().encode(KEY))]]), awaited: NONE };
}

function snapshot(secretsOf: NonNullable<SnapshotInput["secretsOf"]>, previous?: Snapshot): Snapshot {
  const proxies = new Map(["a", "b"].map((proxyId) => [proxyId, { proxyId, resources: [] }]));
  return buildSnapshot({ previous, translation: { proxies, diagnostics: [] }, quarantine: EMPTY_QUARANTINE, accepted: new Map(), revision: 1, secretsOf });
}

const versionIn = (from: Snapshot, proxyId: string): string | undefined => {
  const held = from.proxies.get(proxyId);
  return held === undefined ? undefined : ofType(held.view, "secret").get("default")?.version;
};

describe("secrets of a snapshot", () => {
  it("are each proxy's own", () => {
    const made = snapshot((proxyId) => secrets(proxyId === "a" ? "1" : "2"));
    expect([versionIn(made, "a"), versionIn(made, "b")]).toEqual(["1", "2"]);
  });

  it("are neither sent nor removed while they are awaited", () => {
    const frozen = (from: Snapshot) => [...(from.proxies.get("a")?.frozen ?? [])];
    const waiting = snapshot(() => secrets(undefined));
    expect(frozen(waiting)).toEqual(["secret/default"]);
    expect(frozen(renewSecrets(waiting, ["a"], () => secrets("1"), 2))).toEqual([]);
  });

  it("are renewed for one proxy, and nothing changes for the others", () => {
    const before = snapshot(() => secrets("1"));
    const after = renewSecrets(before, ["a", "nobody"], () => secrets("2"), 2);
    expect([versionIn(after, "a"), versionIn(after, "b"), after.proxies.get("a")?.revision, after.proxies.size]).toEqual(["2", "1", 2, 2]);
    expect(after.proxies.get("b")).toBe(before.proxies.get("b"));
  });

  it("stay the same objects where nothing has changed, so that streams compare nothing", () => {
    const own = secrets("1");
    const awaiting = secrets(undefined);
    for (const kept of [own, awaiting]) {
      const before = snapshot(() => kept);
      const after = snapshot(() => kept, before);
      expect(after.proxies.get("a")?.view.get("secret")).toBe(before.proxies.get("a")?.view.get("secret"));
      expect(after.proxies.get("a")?.frozen).toBe(before.proxies.get("a")?.frozen);
    }
  });

  it("show their bytes to nobody who prints them", () => {
    const made = snapshot(() => secrets("1"));
    const resource = made.proxies.get("a")?.view.get("secret")?.get("default");
    expect(new TextDecoder().decode(resource?.body)).toBe(KEY);
    const bytes = [...new TextEncoder().encode(KEY)].join(",");
    for (const value of [made, resource, { ...resource }, [...made.proxies]]) {
      expect(JSON.stringify(value, (_, inner) => (inner instanceof Map ? [...inner] : inner))).not.toContain(bytes);
      expect(inspect(value, { depth: 10, maxArrayLength: null })).not.toMatch(/Uint8Array|private/);
    }
  });
});
