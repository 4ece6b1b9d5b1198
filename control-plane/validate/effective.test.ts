import { describe, expect, it } from "vitest";
import { formatDiagnostic } from "../model/diagnostic.ts";
import { EMPTY_LAST_GOOD, type LastGood } from "../model/last-good.ts";
import { parseFile } from "../source/parse-file.ts";
import { type Effective, effectiveResources } from "./effective.ts";

type Folder = Readonly<Record<string, string>>;

const service = (name: string, port: number | string = 80): string =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: ${port}}]}\n`;

function effective(folder: Folder, lastGood: LastGood = EMPTY_LAST_GOOD): Effective {
  return effectiveResources(new Map(Object.entries(folder).map(([file, text]) => [file, parseFile(file, text)])), lastGood);
}

/** Serves one state of the folder after another, as if restarted in between. */
function outcome(...states: readonly Folder[]): Effective {
  let result = effective({});
  for (const state of states) result = effective(state, JSON.parse(JSON.stringify(result.lastGood)));
  return result;
}

const served = ({ resources }: Effective): string => resources.services.map(({ name, spec }) => `${name}:${spec.ports[0]?.port}`).join(" ");

describe("what serves", () => {
  const good = { "a.yaml": `${service("a")}---\n${service("b")}`, "c.yaml": service("c") };

  it.each<[string, Folder, string]>([
    ["a file with a syntax error serves its last good content", { ...good, "a.yaml": `${service("a", 81)}---\n: : [` }, "a:80 b:80 c:80"],
    [
      "a resource with an error serves its last good version, the others of its file their new one",
      { ...good, "a.yaml": `${service("a", "none")}---\n${service("b", 81)}` },
      "a:80 b:81 c:80",
    ],
    ["a resource with an error of its rules does too", { ...good, "c.yaml": service("c", "80}, {port: 81") }, "a:80 b:80 c:80"],
    [
      "a document whose kind cannot be read keeps what it may have been",
      { ...good, "c.yaml": service("c", 81).replace("Service", "Servce") },
      "a:80 b:80 c:80",
    ],
    [
      "a document whose name cannot be read keeps what has gone from its file",
      { ...good, "a.yaml": `${service("a")}---\n${service("b").replace("name:", "nmae: x, x:")}` },
      "a:80 b:80 c:80",
    ],
    ["a resource that is gone is gone", { ...good, "a.yaml": service("b") }, "b:80 c:80"],
    ["a file that is gone takes its resources along", { "c.yaml": service("c") }, "c:80"],
    ["an empty file has none", { ...good, "a.yaml": "" }, "c:80"],
    ["a resource may move to another file", { "c.yaml": `${service("c")}---\n${service("a")}` }, "a:80 c:80"],
    ["a new resource with an error serves nothing", { ...good, "d.yaml": service("d", "none") }, "a:80 b:80 c:80"],
  ])("%s", (_, state, expected) => {
    expect(served(outcome(good, state))).toBe(expected);
    expect(served(outcome(good, state, state, state)), "after restarts").toBe(expected);
  });

  it("points at the file as it is now, for a version that is no longer in it", () => {
    const { resources } = outcome({ "c.yaml": service("c") }, { "c.yaml": `# moved\n${service("c", "none")}` });
    expect(resources.services[0]?.locate(["spec", "ports"])).toEqual({ file: "c.yaml", line: 2, column: 1 });
  });

  it("comes back to what is written once the mistake is mended", () => {
    const result = outcome(good, { ...good, "c.yaml": ": : [" }, { ...good, "c.yaml": service("c", 82) });
    expect(served(result)).toBe("a:80 b:80 c:82");
    expect(result.diagnostics).toEqual([]);
  });

  it("is the first of two of one name, by file and line, and the second is an error that names both places", () => {
    const result = effective({ "b.yaml": service("x", 2), "a.yaml": `${service("y")}---\n${service("x", 1)}` });
    expect(served(result)).toBe("x:1 y:80");
    expect(result.diagnostics.map(formatDiagnostic)).toEqual([
      "b.yaml:1:1 WEFT0301 error Service default/x: there is another of this kind and name at a.yaml:6, and that one serves. Fix: remove one of the two, or give it another name.",
    ]);
  });

  it("does not depend on the order of the files, and is sorted by namespace and name", () => {
    const folder = { "b.yaml": service("z"), "a.yaml": service("m").replace("name: m", "name: m, namespace: zoo"), "c.yaml": service("a") };
    const names = (state: Folder): readonly string[] => effective(state).resources.services.map(({ namespace, name }) => `${namespace}/${name}`);
    expect(names(folder)).toEqual(["default/a", "default/z", "zoo/m"]);
    expect(names(Object.fromEntries(Object.entries(folder).reverse()))).toEqual(names(folder));
  });

  it("gives back the very last good state where nothing has changed", () => {
    const first = effective(good);
    expect(effective(good, first.lastGood).lastGood).toBe(first.lastGood);
    expect(effective({ ...good, "c.yaml": service("c", 81) }, first.lastGood).lastGood).not.toBe(first.lastGood);
  });

  it("checks a document as it was meant, so that one mistake does not hide the next", () => {
    const text =
      "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: a\n  http: [{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}, weight: 0%}]}]\n";
    expect(effective({ "a.yaml": text }).diagnostics.map(({ code }) => code)).toEqual(["WEFT0203", "WEFT0202", "WEFT0333"]);
  });
});
