// Mechanical fixes, as `weft analyze --fix` makes them: mistakes in, right YAML out, and nothing else changed.
import { describe, expect, it } from "vitest";
import { parseFile } from "../source/parse-file.ts";
import { edited } from "./edits.ts";

const head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n";

function fixed(text: string): string {
  let current = text;
  for (let round = 0; round < 10; round += 1) current = edited(current, parseFile("a.yaml", current).diagnostics);
  return current;
}

describe("edits", () => {
  it.each([
    ["a percent sign", "  http: [{route: [{weight: 10%, destination: {host: a}}]}]\n", "  http: [{route: [{weight: 10, destination: {host: a}}]}]\n"],
    [
      "a quoted number",
      '  http: [{route: [{destination: {host: a, port: {number: "80"}}}]}] # c\n',
      "  http: [{route: [{destination: {host: a, port: {number: 80}}}]}] # c\n",
    ],
    ["a number for a text", "  hosts:\n  - 1\n", '  hosts:\n  - "1"\n'],
    ["a slip in a field", "  host: [a]\n", "  hosts: [a]\n"],
    ["a value for a list", "  hosts: a   # one\n", "  hosts: [a]   # one\n"],
    [
      "a map for a list",
      "  http:\n    # first\n    route:\n      - destination: {host: a}\n\n    name: b\n",
      "  http:\n    # first\n    - route:\n        - destination: {host: a}\n\n      name: b\n",
    ],
    ["two on one line", '  http: [{match: [{port: "1"}, {port: "2"}]}]\n', "  http: [{match: [{port: 1}, {port: 2}]}]\n"],
    ["Windows' line ends", '  http: [{match: [{port: "1"}]}]\r\n', "  http: [{match: [{port: 1}]}]\r\n"],
  ])("mend %s", (_, wrong, right) => {
    expect(fixed(head + wrong)).toBe(head + right);
  });

  it("mend an apiVersion", () => {
    expect(fixed(head.replace("/v1", "/v7"))).toBe(head);
  });

  it.each([
    ["a far word", "  hostages: [a]\n"],
    ["a value over several lines", "  http: [{route: [{weight:\n    10%, destination: {host: a}}]}]\n"],
    ["a field that stands there already", "  hosts: [a]\n  host: [b]\n"],
  ])("leave %s alone", (_, text) => {
    expect(fixed(head + text)).toBe(head + text);
  });
});
