import { describe, expect, it } from "vitest";
import { type DecisionRecord, encodeDecisionRecord } from "../translate/decision-record.ts";
import type { ExplainReport } from "./explain.ts";
import { explainAnswer, type FilterAnswer, parseFilterAnswer } from "./explain-answer.ts";
import { explainText, percentText } from "./explain-text.ts";
import { PLAIN } from "./style.ts";

const COLOR = "color.default.svc.cluster.local";
const record: DecisionRecord = {
  key: { kind: "header", name: "x-user" },
  salt: "default/color/color",
  candidates: [
    {
      weight: 90,
      identity: `${COLOR}|80|stable`,
      entries: [
        { width: 62, cluster: `outbound|80|stable|${COLOR};zone=ap-2a` },
        { width: 38, cluster: `outbound|80|stable|${COLOR};zone=ap-2c` },
      ],
    },
    { weight: 10, identity: `${COLOR}|80|canary`, entries: [{ width: 11, cluster: `outbound|80|canary|${COLOR}` }] },
  ],
};
const { id, decision } = encodeDecisionRecord(record);

const silent: FilterAnswer = {
  route: null,
  cluster: null,
  id: null,
  record: null,
  recordError: null,
  key: null,
  hash: null,
  zoneKey: null,
  pick: null,
  candidate: null,
  entry: null,
  zone: "ap-2a",
};
const decided: FilterAnswer = {
  ...silent,
  route: "color.default/color",
  cluster: `outbound|80|canary|${COLOR}`,
  id,
  record: decision,
  key: "user-7",
  hash: "0",
  pick: 70,
};

describe("what follows from an answer of the filter", () => {
  it("shares in percent, and the chosen subset and zone", () => {
    const { candidates, ...rest } = explainAnswer(decided);
    expect(rest).toEqual({
      matched: true,
      virtualService: { namespace: "default", name: "color", route: "color" },
      sticky: { kind: "header", name: "x-user" },
      chosenCluster: `outbound|80|stable|${COLOR};zone=ap-2c`,
    });
    expect(candidates.map(({ subset, sharePercent, chosen }) => ({ subset, sharePercent, chosen }))).toEqual([
      { subset: "stable", sharePercent: 90, chosen: true },
      { subset: "canary", sharePercent: 10, chosen: false },
    ]);
    expect(candidates[0]?.zones.map(({ zone, sharePercent, chosen }) => ({ zone, sharePercent, chosen }))).toEqual([
      { zone: "ap-2a", sharePercent: 62, chosen: false },
      { zone: "ap-2c", sharePercent: 38, chosen: true },
    ]);
  });

  it.each([
    { name: "no route matched", answer: silent, expected: { matched: false, candidates: [] } },
    {
      name: "a route that forwards nowhere",
      answer: { ...silent, route: "a.b/c" },
      expected: { matched: true, virtualService: { namespace: "b", name: "a", route: "c" }, candidates: [] },
    },
    {
      name: "a route without a choice",
      answer: { ...silent, route: "default", cluster: "outbound|80||x" },
      expected: { matched: true, candidates: [], chosenCluster: "outbound|80||x" },
    },
    {
      name: "a record that the filter refused: Envoy's own pick",
      answer: { ...decided, pick: null, recordError: "bad" },
      expected: { matched: true, virtualService: expect.anything(), candidates: [], chosenCluster: `outbound|80|canary|${COLOR}` },
    },
    {
      name: "a VirtualService with dots in its name",
      answer: { ...silent, route: "a.example.com.shop/match-0a1b", cluster: "x" },
      expected: { matched: true, virtualService: { namespace: "shop", name: "a.example.com", route: "match-0a1b" }, candidates: [], chosenCluster: "x" },
    },
  ])("$name", ({ answer, expected }) => {
    expect(explainAnswer(answer)).toEqual(expected);
  });

  it.each(["no healthy upstream", "{}", "[1]", '{"route":1}'])("is nothing where the filter did not answer: %s", (body) => {
    expect(parseFilterAnswer(body)).toBeUndefined();
  });
});

function report(answer: FilterAnswer, rest: Partial<ExplainReport> = {}): ExplainReport {
  return {
    mode: "live",
    ...answer,
    ...explainAnswer(answer),
    request: { method: "GET", url: "http://color/color", headers: [] },
    from: { kind: "workload", name: "page-1", namespace: "default", zone: "ap-2a" },
    listener: { name: `${COLOR}:80`, url: "http://127.80.1.1:8080", explain: "http://127.80.1.1:15010" },
    endpoints: [
      { address: "127.80.0.2:8080", instance: "stable-1", zone: "ap-2c", healthy: true, health: "healthy", priority: 0, weight: 1 },
      { address: "127.80.0.30:8080", zone: "ap-2a", healthy: false, health: "ejected (outlier detection)", priority: 1, weight: 1 },
    ],
    zoneShares: [{ zone: "ap-2c", sharePercent: 100 }],
    notes: [],
    authorization: [],
    ...rest,
  };
}

describe("the readable form", () => {
  it("goes from the listener to the endpoints", () => {
    expect(explainText(report(decided), PLAIN)).toBe(`GET http://color/color from page-1 in ap-2a (asked, not sent)

  listener   color.default.svc.cluster.local:80, http://127.80.1.1:8080
  route      VirtualService default/color, route color
  choice     stable 90 %, canary 10 %
             → stable: by header x-user = "user-7", the same for every request with it
  zones      ap-2a 62 %, ap-2c 38 %
             → ap-2c: drawn by share; fails over by itself
  cluster    outbound|80|stable|color.default.svc.cluster.local;zone=ap-2c
  endpoints  stable-1  127.80.0.2:8080   ap-2c  healthy                      priority 0
             -         127.80.0.30:8080  ap-2a  ejected (outlier detection)  priority 1`);
  });

  it("says that no route matched", () => {
    const text = explainText(report(silent, { endpoints: null, zoneShares: [] }), PLAIN);
    expect(text).toContain("route     no route matched: Envoy answers 404");
  });

  it.each([
    { name: "without the key", answer: { ...decided, key: null }, says: "drawn by weight, since the request has no header x-user" },
    {
      name: "without endpoints",
      answer: { ...silent, route: "default", cluster: "x" },
      rest: { endpoints: [], zoneShares: [] },
      says: "none: Envoy answers 503",
    },
    {
      name: "of a cluster that prefers its zone",
      answer: { ...silent, route: "default", cluster: "x" },
      says: "zones      ap-2c 100 % (priorities as health stands now)",
    },
    { name: "of a redirect", answer: { ...silent, route: "a.b/c" }, rest: { endpoints: null, zoneShares: [] }, says: "the route answers by itself" },
  ])("$name: $says", ({ answer, rest, says }) => {
    expect(explainText(report(answer, rest), PLAIN)).toContain(says);
  });

  it.each([
    [62, "62 %"],
    [62.5, "62.5 %"],
    [100 / 3, "33.3 %"],
    [0.001, "< 0.1 %"],
    [0, "0 %"],
  ])("writes %d as %s", (percent, text) => {
    expect(percentText(percent)).toBe(text);
  });
});
