// The page of Istio's API says what the code does.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { istioApiPage } from "./istio-api-page.ts";
import { DIFFERENCES } from "./istio-differences.ts";

describe("docs/istio-api.md", () => {
  const page = istioApiPage();

  it("is fresh (npm run docs:api writes it)", () => {
    expect(readFileSync("docs/istio-api.md", "utf8")).toBe(page);
  });

  it("has every kind of Istio's API, and their fields", () => {
    expect(page.match(/^## /gm)).toHaveLength(15);
    for (const field of [
      "http[].match[].uri",
      "trafficPolicy.portLevelSettings[].tls.mode",
      "servers[].tls.credentialName",
      "rules[].from[].source.principals",
    ])
      expect(page).toContain(`| \`${field}\` |`);
  });

  it.each(DIFFERENCES.map(({ kind, field }) => [kind, field]))("has the field that differs: %s %s", (_, field) => {
    expect(page).toContain(`| \`${field}\` |`);
  });
});
