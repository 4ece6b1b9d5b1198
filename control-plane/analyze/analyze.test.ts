// What an analysis says of a folder, as `weft analyze` prints it.
import { describe, expect, it } from "vitest";
import { formatDiagnostic } from "../model/diagnostic.ts";
import { type AnalysisOptions, analyze } from "./analyze.ts";

const OPTIONS: AnalysisOptions = { platform: "weft", nowMs: 0 };

function said(text: string, options: Partial<AnalysisOptions> = {}): readonly string[] {
  return analyze(new Map([["a.yaml", text]]), { ...OPTIONS, ...options }).map(formatDiagnostic);
}

const SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\nspec: {selector: {app: reviews}, ports: [{name: http, port: 80}]}\n---\n";
const route = (destination: string, metadata = "name: reviews"): string =>
  `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {${metadata}}\nspec:\n  hosts: [reviews]\n  http:\n  - route: [{destination: {${destination}}}]\n`;

describe("analyze", () => {
  it.each([
    ["a host that is there", route("host: reviews"), []],
    ["an unknown host", route("host: review"), ["a.yaml:12:28 IST0101 error VirtualService default/reviews: the destination review is no Service"]],
    ["an unknown port", route("host: reviews, port: {number: 81}"), ["IST0101 error VirtualService default/reviews: reviews has no port 81. Fix: use 80."]],
    ["an undeclared subset", route("host: reviews, subset: v3"), ["no DestinationRule declares the subset v3 of reviews"]],
    ["a mistake of its own, by Istio's code", route("host: reviews, subset: V_3"), ["IST0101", 'IST0106 error VirtualService default/reviews: "V_3"']],
    ["nothing that its author has waived", route("host: review", "name: reviews, annotations: {galley.istio.io/analyze-suppress: IST0101}"), []],
  ])("says of %s", (_, text, expected) => {
    const found = said(SERVICE + text);
    expect(found).toHaveLength(expected.length);
    for (const [index, part] of expected.entries()) expect(found[index]).toContain(part);
  });

  it("takes a Deployment for its pods", () => {
    const deployment =
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: reviews}\nspec:\n  selector: {matchLabels: {app: reviews}}\n  template: {metadata: {labels: {app: reviews, version: v1}}, spec: {containers: [{name: a, image: a}]}}\n---\n";
    const rule =
      "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews}\nspec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}\n";
    expect(said(SERVICE + deployment + rule)).toEqual([expect.stringContaining("IST0173 error DestinationRule default/reviews: the subset v2 has no pods")]);
    expect(said(SERVICE + deployment + rule, { platform: "istio" })).toHaveLength(2);
  });

  it("says a finding once", () => {
    expect(said(`${SERVICE}${route("host: reviews")}  - route: [{destination: {host: reviews}}]\n  - route: [{destination: {host: reviews}}]\n`)).toEqual([
      expect.stringContaining("a.yaml:13:5 IST0130 warning"),
      expect.stringContaining("a.yaml:14:5 IST0130 warning"),
    ]);
  });

  it("is indifferent to the order of files", () => {
    const files = [
      ["a.yaml", SERVICE],
      ["b.yaml", route("host: review")],
    ] as const;
    expect(analyze(new Map(files), OPTIONS)).toEqual(analyze(new Map([...files].reverse()), OPTIONS));
  });
});
