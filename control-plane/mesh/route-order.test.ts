import { describe, expect, it } from "vitest";
import { meshOf } from "../test/mesh-of.ts";
import { expandDelegates } from "./delegates.ts";
import { orderedRoutes } from "./route-order.ts";

const virtualService = (name: string, http: readonly string[], spec = "hosts: [reviews]", route = ", route: [{destination: {host: reviews}}]"): string => `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec: {${spec}, http: [${http.map((match, index) => `{name: ${name}${index}${match === "" ? "" : `, match: [${match}]`}${route}}`).join(", ")}]}
`;
const ISTIO = "\n---\napiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\nspec: {defaults: istio}\n";

function order(yaml: string): string {
  const mesh = meshOf(yaml);
  return orderedRoutes(mesh, mesh.virtualServices)
    .map(({ route }) => route.name)
    .join(" ");
}

const prefix = (value: string): string => `{uri: {prefix: ${value}}}`;
const exact = (value: string): string => `{uri: {exact: ${value}}}`;

describe("routes of several VirtualServices for one host", () => {
  it.each([
    ["one alone: as written", virtualService("a", [prefix("/"), exact("/x")]), "a0 a1"],
    ["the longer prefix first", virtualService("a", [prefix("/api")]) + virtualService("b", [prefix("/api/users")]), "b0 a0"],
    ["what takes everything last", virtualService("a", [""]) + virtualService("b", [prefix("/b")]), "b0 a0"],
    ["an exact path before a prefix", virtualService("a", [prefix("/api/users")]) + virtualService("b", [exact("/api/users")]), "b0 a0"],
    [
      "the one with more conditions first",
      virtualService("a", [prefix("/a")]) + virtualService("b", ["{uri: {prefix: /a}, headers: {x: {exact: y}}}"]),
      "b0 a0",
    ],
    ["equals by name", virtualService("b", [prefix("/a")]) + virtualService("a", [prefix("/b")]), "a0 b0"],
    ["the own order of each stands", virtualService("a", [prefix("/x"), exact("/long/exact")]) + virtualService("b", [prefix("/long")]), "a0 a1 b0"],
    ["a broad one waits for what it would hide", virtualService("a", [prefix("/x"), exact("/q")]) + virtualService("b", [prefix("/x/y")]), "b0 a0 a1"],
  ])("%s", (_, yaml, expected) => {
    expect(order(yaml)).toBe(expected);
  });

  it("come by age under defaults: istio, with what takes everything last", () => {
    const yaml = virtualService("b", ["", prefix("/b")]) + virtualService("a", [prefix("/a"), prefix("/b/c")]);
    expect(order(yaml + ISTIO)).toBe("b1 a0 a1 b0");
  });
});

describe("a delegate", () => {
  const ROOT = (match: string): string => virtualService("root", [match], "hosts: [reviews]", ", delegate: {name: part}, timeout: 3s");
  const PART = (...matches: readonly string[]): string => virtualService("part", matches, "exportTo: ['*']");
  const expansion = (yaml: string) => {
    const mesh = meshOf(yaml);
    const root = mesh.virtualServices.find(({ name }) => name === "root");
    if (root === undefined) throw new Error("no root");
    const { routes, faults } = expandDelegates(mesh.virtualServices, root);
    return {
      routes: routes.map(({ route }) => [route.name, route.timeout, ...route.match.map(({ uri, headers }) => JSON.stringify([uri, headers]))]),
      faults: faults.map(({ kind }) => kind),
    };
  };
  const uri = (kind: string, value: string, headers: object = {}): string => JSON.stringify([{ kind, value }, headers]);

  it.each([
    ["takes the root's match where it has none", ROOT(prefix("/a")) + PART(""), [["root0-part0", 3000, uri("prefix", "/a")]], []],
    [
      "keeps a match inside the root's",
      ROOT(prefix("/a")) + PART(prefix("/a/b"), exact("/a/c")),
      [
        ["root0-part0", 3000, uri("prefix", "/a/b")],
        ["root0-part1", 3000, uri("exact", "/a/c")],
      ],
      [],
    ],
    [
      "joins conditions on different things",
      ROOT("{headers: {x: {exact: y}}}") + PART(prefix("/b")),
      [["root0-part0", 3000, uri("prefix", "/b", { x: { kind: "exact", value: "y" } })]],
      [],
    ],
    ["loses a route that the root's match excludes", ROOT(prefix("/a")) + PART(prefix("/b"), ""), [["root0-part1", 3000, uri("prefix", "/a")]], ["conflict"]],
    ["cannot compare two regular expressions", ROOT("{uri: {regex: /a.*}}") + PART("{uri: {regex: /a/b}}"), [], ["conflict"]],
    ["is not there", ROOT(prefix("/a")), [], ["unknown"]],
    ["must have no hosts", ROOT(prefix("/a")) + virtualService("part", [""], "hosts: [other]"), [], ["unknown"]],
    ["may be hidden", ROOT(prefix("/a")) + virtualService("part", [""], "exportTo: [elsewhere]"), [], ["unknown"]],
  ])("%s", (_, yaml, routes, faults) => {
    expect(expansion(yaml)).toEqual({ routes, faults });
  });
});
