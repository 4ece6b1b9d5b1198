import { describe, expect, it } from "vitest";
import { EMPTY_LAST_GOOD, type LastGood } from "../model/last-good.ts";
import { parseFile } from "../source/parse-file.ts";
import { effectiveResources } from "./effective.ts";

const service = (...destinations: readonly string[]): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: color}
spec:
  hosts: [color]
  http:
    - route:
${destinations.map((text) => `        - {destination: {host: color, subset: ${text.split("=")[0]}}, weight: ${text.split("=")[1]}}\n`).join("")}`;

const rule = (...subsets: readonly string[]): string => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: color}
spec:
  host: color.default.svc.cluster.local
  subsets:
${subsets.map((name) => `    - {name: ${name}, labels: {version: ${name}}}\n`).join("")}`;

/** Serves one state of the folder after another; gives what serves at the end. */
function outcome(...states: readonly Readonly<Record<string, string>>[]) {
  let lastGood: LastGood = EMPTY_LAST_GOOD;
  let result = effectiveResources(new Map(), lastGood);
  for (const state of states) {
    result = effectiveResources(new Map(Object.entries(state).map(([file, text]) => [file, parseFile(file, text)])), lastGood);
    lastGood = JSON.parse(JSON.stringify(result.lastGood));
  }
  return {
    routed: result.resources.virtualServices.flatMap(({ spec }) => spec.http.flatMap(({ route }) => route.map(({ destination }) => destination.subset))),
    declared: result.resources.destinationRules.flatMap(({ spec }) => spec.subsets.map(({ name }) => name)),
    codes: result.diagnostics.map(({ code, severity, origin }) => `${code} ${severity} ${origin.file}:${origin.line}`),
  };
}

const old = { "vs.yaml": service("stable=90", "canary=10"), "dr.yaml": rule("stable", "canary") };
const renamed = { "vs.yaml": service("v1=90", "v2=10"), "dr.yaml": rule("v1", "v2") };
const settledOnNew = { routed: ["v1", "v2"], declared: ["v1", "v2"], codes: [] };

describe("a change in two files", () => {
  it("serves the last VirtualService until the subsets of the new one are declared", () => {
    expect(outcome(old, { ...old, "vs.yaml": renamed["vs.yaml"] })).toEqual({
      routed: ["stable", "canary"],
      declared: ["stable", "canary"],
      codes: ["WEFT0310 error vs.yaml:8", "WEFT0310 error vs.yaml:9"],
    });
    expect(outcome(old, { ...old, "vs.yaml": renamed["vs.yaml"] }, renamed)).toEqual(settledOnNew);
  });

  it("lets a new VirtualService wait for its subsets where something serves already", () => {
    const base = { "service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: color}\nspec: {ports: [{port: 80}]}\n" };
    expect(outcome(base, { ...base, "vs.yaml": service("v1=90", "v2=10") })).toEqual({
      routed: [],
      declared: [],
      codes: ["WEFT0310 error vs.yaml:8", "WEFT0310 error vs.yaml:9"],
    });
    expect(outcome(base, { ...base, "vs.yaml": service("v1=90", "v2=10") }, { ...base, ...renamed })).toEqual(settledOnNew);
    // Nothing served before: it is shown as it is written.
    expect(outcome({ ...base, "vs.yaml": service("v1=90", "v2=10") }).routed).toEqual(["v1", "v2"]);
  });

  it("keeps a subset that requests are sent to until they are sent elsewhere", () => {
    expect(outcome(old, { ...old, "dr.yaml": renamed["dr.yaml"] })).toEqual({
      routed: ["stable", "canary"],
      declared: ["v1", "v2", "stable", "canary"],
      codes: ["WEFT0311 warning vs.yaml:8", "WEFT0311 warning vs.yaml:9"],
    });
    expect(outcome(old, { ...old, "dr.yaml": renamed["dr.yaml"] }, renamed)).toEqual(settledOnNew);
  });

  it("keeps what is sent to of a DestinationRule that is gone, and nothing once the route is gone too", () => {
    expect(outcome(old, { "vs.yaml": old["vs.yaml"] })).toMatchObject({ routed: ["stable", "canary"], declared: ["stable", "canary"] });
    expect(outcome(old, { "vs.yaml": old["vs.yaml"] }, {})).toEqual({ routed: [], declared: [], codes: [] });
  });

  it("holds nothing back for a destination of weight 0", () => {
    expect(outcome(old, { ...old, "vs.yaml": service("stable=100", "later=0") })).toMatchObject({ routed: ["stable", "later"], codes: [] });
  });

  it("serves a first version as it is written, since nothing served before", () => {
    expect(outcome({ "vs.yaml": service("nowhere=1") })).toMatchObject({ routed: ["nowhere"], codes: [] });
  });

  it("serves the newest of several versions that waited", () => {
    const third = { "vs.yaml": service("x=1", "y=1"), "dr.yaml": rule("x", "y") };
    expect(outcome(old, { ...old, "vs.yaml": renamed["vs.yaml"] }, { ...old, "vs.yaml": third["vs.yaml"] }, third)).toEqual({
      routed: ["x", "y"],
      declared: ["x", "y"],
      codes: [],
    });
  });
});
