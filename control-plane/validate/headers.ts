// Header names and values, where they are matched and where they are changed. Source: Istio pkg/config/validation (validation.go and
// header_value_validator.go, itself after Envoy's header formatter).
import type { HeaderOperations, Headers } from "../model/fields.ts";
import type { FieldPath } from "../model/resource.ts";
import { error, type Problem } from "./problem.ts";

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~A-Za-z0-9]+$/;
const PSEUDO_HEADERS = new Set([":method", ":scheme", ":authority", ":path", ":status"]);
const CLAIMS = "@request.auth.claims";

/** Whether a header match is by a claim of a token: `@request.auth.claims.sub` or `@request.auth.claims[sub]`. */
export function isClaim(name: string): boolean {
  if (!name.toLowerCase().startsWith(CLAIMS)) return false;
  const rest = name.slice(CLAIMS.length);
  return (rest.startsWith(".") && rest.length > 1) || (rest.startsWith("[") && rest.endsWith("]") && rest.length > 2);
}

/** Whether `name` is one by HTTP's grammar. */
export function isHeaderName(name: string): boolean {
  return HEADER_NAME.test(name);
}

/** The name of a header that a request is matched on. */
export function checkMatchedHeader(name: string, path: FieldPath): readonly Problem[] {
  if (isClaim(name) || PSEUDO_HEADERS.has(name) || isHeaderName(name)) return [];
  return [
    error(
      "WEFT0314",
      path,
      name === "" ? "the name of a header must not be empty" : `"${name}" is not the name of a header`,
      "use letters, digits and -, such as x-user-id",
    ),
  ];
}

/** Header changes of a route or of a destination. */
export function checkHeaders(headers: Headers | undefined, path: FieldPath): readonly Problem[] {
  if (headers === undefined) return [];
  return [...checkOperations(headers.request, [...path, "request"], true), ...checkOperations(headers.response, [...path, "response"], false)];
}

function checkOperations(operations: HeaderOperations | undefined, path: FieldPath, mayRenameHost: boolean): readonly Problem[] {
  if (operations === undefined) return [];
  const changed = (["set", "add"] as const).flatMap((kind) =>
    Object.entries(operations[kind]).flatMap(([name, value]) => {
      const at = [...path, kind, name];
      return [...checkChangedHeader(name, at, mayRenameHost), ...checkValue(value, at)];
    }),
  );
  return [...changed, ...operations.remove.flatMap((name, index) => checkChangedHeader(name, [...path, "remove", index], false))];
}

function checkChangedHeader(name: string, path: FieldPath, mayRenameHost: boolean): readonly Problem[] {
  if (name === "") return [error("WEFT0314", path, "the name of a header must not be empty", "write the header's name")];
  if (isAuthority(name)) {
    return mayRenameHost
      ? []
      : [error("WEFT0315", path, `the header ${name} cannot be changed here`, "use `rewrite.authority` to change the host of requests")];
  }
  return name.startsWith(":")
    ? [error("WEFT0315", path, `the header ${name} belongs to HTTP itself and cannot be changed`, "use `rewrite` to change path or authority")]
    : [];
}

/** Whether a header is the request's host. */
export function isAuthority(name: string): boolean {
  return name.toLowerCase() === "host" || name.toLowerCase() === ":authority";
}

/** A header's value: no control characters, and `%` either doubled or around a variable. */
function checkValue(value: string, path: FieldPath): readonly Problem[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what HTTP refuses.
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) return [error("WEFT0316", path, "the header's value has a control character", "remove it")];
  return isBalanced(value)
    ? []
    : [error("WEFT0316", path, `the % in "${value}" begins a variable that never ends`, "double it (`100%%`) for a plain percent sign")];
}

type FormatState = "literal" | "variable" | "arguments" | "text" | "delimiter" | "quote" | "argumentsEnd" | "variableEnd";

/** Whether Envoy's formatter can read the value: `%VAR%`, `%VAR(argument)%`, `%VAR(["a", "b"])%`, `%%`. */
function isBalanced(value: string): boolean {
  let state: FormatState = "literal";
  for (let at = 0; at < value.length; at += 1) {
    const character = value.charAt(at);
    if (state === "literal") {
      if (character !== "%") continue;
      if (value[at + 1] === "%") at += 1;
      else state = "variable";
    } else if (state === "text" && character === "\\") {
      if (at + 1 >= value.length) return false;
      at += 1;
    } else {
      const next = nextState(state, character);
      if (next === undefined) return false;
      state = next;
    }
  }
  return state === "literal";
}

/** The state after one character inside a variable, or undefined where the character cannot stand there. */
function nextState(state: Exclude<FormatState, "literal">, character: string): FormatState | undefined {
  const blank = character === " ";
  switch (state) {
    case "variable":
      return character === "%" ? "literal" : character === "(" ? "arguments" : "variable";
    case "arguments":
      return character === "[" ? "quote" : blank ? "arguments" : "text";
    case "text":
      return character === ")" ? "variableEnd" : character === '"' ? "delimiter" : "text";
    case "delimiter":
      return character === "," ? "quote" : character === "]" ? "argumentsEnd" : blank ? "delimiter" : undefined;
    case "quote":
      return character === '"' ? "text" : blank ? "quote" : undefined;
    case "argumentsEnd":
      return character === ")" ? "variableEnd" : blank ? "argumentsEnd" : undefined;
    case "variableEnd":
      return character === "%" ? "literal" : blank ? "variableEnd" : undefined;
  }
}
