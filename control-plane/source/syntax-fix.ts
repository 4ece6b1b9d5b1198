// What to do about a mistake of YAML syntax: the parser's error code in, the next step out.
import type { ErrorCode } from "yaml";

const FIXES: Partial<Readonly<Record<ErrorCode, string>>> = {
  TAB_AS_INDENT: "indent with spaces, never with tabs",
  BAD_INDENT: "give the fields of one map the same indentation",
  BLOCK_AS_IMPLICIT_KEY: "give the fields of one map the same indentation, and quote a value that contains `: `",
  BLOCK_IN_FLOW: "inside { } and [ ] use commas, not indentation",
  MISSING_CHAR: "complete the line, or indent it like the lines around it",
  MULTILINE_IMPLICIT_KEY: "end the key with `: `",
  UNEXPECTED_TOKEN: "quote the value if it begins with a special character such as * & % @ { [",
  BAD_ALIAS: "quote the value if the * is meant as text",
  BAD_DQ_ESCAPE: "double the backslash, or use single quotes",
  BAD_SCALAR_START: "quote the value: it begins with a character that is reserved in YAML",
  IMPOSSIBLE: "check the indentation around this line",
};

/** The next step for the author of a file with this mistake. */
export function syntaxFix(code: ErrorCode): string {
  return FIXES[code] ?? "correct this line; the lines above it may lack a quote, a bracket or indentation";
}
