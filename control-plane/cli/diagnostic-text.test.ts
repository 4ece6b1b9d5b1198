import { describe, expect, it } from "vitest";
import type { Diagnostic } from "../model/diagnostic.ts";
import { countText, diagnosticText, newDiagnostics } from "./diagnostic-text.ts";
import { PLAIN, styleOf } from "./style.ts";

const weight: Diagnostic = {
  code: "WEFT0201",
  severity: "error",
  origin: { file: "traffic.yaml", line: 2, column: 11 },
  resource: "VirtualService default/color",
  what: 'weight is "90%"',
  fix: "write weight: 90",
};
const HEAD = 'traffic.yaml:2:11 WEFT0201 error VirtualService default/color: weight is "90%". Fix: write weight: 90.';

describe("a diagnostic", () => {
  it.each([
    { name: "shows its line, and a caret under the place", source: "  route:\n  weight: 90%\n", text: [HEAD, "   2 |   weight: 90%", "     |           ^"] },
    { name: "puts the caret under the place behind tabs too", source: "x\n\tweight:\t90%\n", text: [HEAD, "   2 | \tweight:\t90%", "     | \t       \t ^"] },
    { name: "reads lines that end as on Windows", source: "x\r\n  weight: 90%\r\n", text: [HEAD, "   2 |   weight: 90%", "     |           ^"] },
    { name: "keeps control characters from the terminal", source: "x\n  \u001b[2J: 90%\u0007\n", text: [HEAD, "   2 |   ·[2J: 90%·", "     |           ^"] },
    { name: "stands alone where the file is shorter by now", source: "x", text: [HEAD] },
    { name: "stands alone where the file cannot be read", source: undefined, text: [HEAD] },
  ])("$name", ({ source, text }) => {
    expect(diagnosticText(weight, source, PLAIN)).toBe(text.join("\n"));
  });

  it("shows no value of a Secret", () => {
    const secret = "kind: Secret\ndata:\n  tls.key: c2VjcmV0\n---\nkind: Service\nspec: 1";
    const at = (line: number) => diagnosticText({ ...weight, origin: { file: "a.yaml", line, column: 3 } }, secret, PLAIN);
    expect(at(3)).toContain("tls.key: [redacted]");
    expect(at(3)).not.toContain("c2VjcmV0");
    expect(at(6)).toContain("spec: 1");
  });

  it("has the same text with colours", () => {
    const coloured = diagnosticText(weight, "\n  weight: 90%", styleOf({ isTTY: true }, {}));
    expect(coloured).toContain("\u001b[31merror\u001b[39m");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one.
    expect(coloured.replace(/\u001b\[\d+m/g, "")).toBe(diagnosticText(weight, "\n  weight: 90%", PLAIN));
  });
});

describe("colours", () => {
  it.each([
    { name: "no terminal", output: {}, env: {} },
    { name: "NO_COLOR", output: { isTTY: true }, env: { NO_COLOR: "1" } },
    { name: "a dumb terminal", output: { isTTY: true }, env: { TERM: "dumb" } },
  ])("are left out: $name", ({ output, env }) => {
    expect(styleOf(output, env)).toBe(PLAIN);
  });
});

describe("the diagnostics that stand", () => {
  it("are counted by severity", () => {
    const warning = { ...weight, severity: "warning" } as const;
    expect(countText([])).toBe("no problems");
    expect(countText([weight, warning, warning])).toBe("1 error, 2 warnings");
  });

  it("are new where they did not stand before", () => {
    const moved = { ...weight, origin: { ...weight.origin, line: 3 } };
    expect(newDiagnostics([weight, moved], [weight])).toEqual([moved]);
  });
});
