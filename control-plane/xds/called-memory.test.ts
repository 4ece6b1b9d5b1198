import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { calledNamesFile } from "../source/called-names-file.ts";
import { type CalledNames, MOST_CALLED_NAMES } from "../translate/called-names.ts";
import { createCalledMemory } from "./called-memory.ts";

const WEB = { id: "web-1.default", namespace: "default", workload: "web" };
const OTHER = { id: "web-2.default", namespace: "default", workload: "web" };

function memory(before?: CalledNames) {
  const told: string[] = [];
  const of = createCalledMemory(before, { onChange: (called) => told.push([...called.keys()].join()), onFull: (workload) => told.push(`full: ${workload}`) });
  return { ...of, told, names: () => [...(of.called().get("default/web") ?? [])] };
}

describe("the memory of what was called", () => {
  it("is one for all proxies of a workload, and tells what is new", () => {
    const of = memory();
    of.place([WEB, OTHER]);
    expect(of.note(WEB.id, ["on-demand/a"])).toBe("default/web");
    expect(of.note(OTHER.id, ["on-demand/a"])).toBeUndefined();
    expect(of.note(OTHER.id, ["on-demand/a", "on-demand|80/b"])).toBe("default/web");
    expect(of.names()).toEqual(["on-demand/a", "on-demand|80/b"]);
    expect(of.told).toEqual(["default/web", "default/web"]);
  });

  it("takes no other names than those that are asked for on demand", () => {
    const of = memory();
    of.place([WEB]);
    expect(of.note(WEB.id, ["http-proxy/a", "http-proxy", "on-demand"])).toBeUndefined();
    expect(of.names()).toEqual([]);
    expect(of.told).toEqual([]);
  });

  it("waits for a proxy that the mesh does not know yet", () => {
    const of = memory();
    expect(of.note(WEB.id, ["on-demand/a"])).toBeUndefined();
    of.place([]);
    expect(of.names()).toEqual([]);
    of.place([WEB]);
    expect(of.names()).toEqual(["on-demand/a"]);
  });

  it("is bounded, and says so once", () => {
    const of = memory();
    of.place([WEB]);
    of.note(
      WEB.id,
      Array.from({ length: MOST_CALLED_NAMES + 1 }, (_, index) => `on-demand/${index}`),
    );
    of.note(WEB.id, ["on-demand/one-more"]);
    expect(of.names()).toHaveLength(MOST_CALLED_NAMES);
    expect(of.told).toEqual(["full: default/web", "default/web"]);
  });
});

describe("the file of what was called", () => {
  const folder = mkdtemp(join(tmpdir(), "weft-called-"));
  afterAll(async () => rm(await folder, { recursive: true, force: true }));

  it("holds it for the next process", async () => {
    const store = calledNamesFile(join(await folder, "state", "called.json"));
    expect(await store.load()).toEqual(new Map());
    const called = new Map([["default/web", new Set(["on-demand/a"])]]);
    await store.save(called);
    expect(await store.load()).toEqual(called);
  });

  it.each(["", "{", "null", '{"version":2}', '{"version":1,"workloads":{"a":7}}'])("counts as nothing where it is damaged: %s", async (text) => {
    const path = join(await folder, "damaged.json");
    await writeFile(path, text);
    expect([...(await calledNamesFile(path).load()).values()].flatMap((names) => [...names])).toEqual([]);
  });
});
