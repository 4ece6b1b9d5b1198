// The grammar of CEL, in which access logs are filtered: an expression comes in; why it is none, or undefined, goes out. Nothing is evaluated.
// Source: the Common Expression Language's definition, "Syntax"; cel-go parses without types, as Istio does.

interface Token {
  readonly kind: "name" | "literal" | "symbol" | "end";
  readonly text: string;
  /** From 1. */
  readonly column: number;
}

/** Blanks and comments. A comment ends with its line, so that there is one way to read them. */
const SKIPPED = /(?:[ \t\r\n\f]|\/\/[^\n]*(?:\n|$))*/y;
const STRING = /(?:[rR][bB]?|[bB][rR]?)?(?:"""(?:[^\\]|\\[\s\S])*?"""|'''(?:[^\\]|\\[\s\S])*?'''|"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')/y;
const NUMBER = /0[xX][0-9a-fA-F]+[uU]?|\d*\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+[uU]?/y;
const NAME = /[a-zA-Z_]\w*|`[\w./ -]+`/y;
const SYMBOL = /\|\||&&|[=!<>]=|[-+*/%!<>?:.,()[\]{}]/y;

const RESERVED: ReadonlySet<string> = new Set(
  "as break const continue else for function if import let loop package namespace return var void while".split(" "),
);
const CONSTANTS: ReadonlySet<string> = new Set(["true", "false", "null"]);
/** Well above what a person writes, well below what a stack holds. */
const MAX_DEPTH = 100;

/** What is wrong with the expression, by CEL's grammar. */
export function celFault(expression: string): string | undefined {
  const tokens = tokensOf(expression);
  if (typeof tokens === "string") return tokens;
  try {
    const reading: Reading = { tokens, at: 0, depth: 0 };
    readExpression(reading);
    const next = peek(reading);
    return next.kind === "end" ? undefined : unexpected(next);
  } catch (fault) {
    if (fault instanceof CelFault) return fault.message;
    throw fault;
  }
}

class CelFault extends Error {}

function unexpected({ kind, text, column }: Token): string {
  return kind === "end" ? "the expression ends too early" : `"${text}" cannot stand in column ${column}`;
}

function tokensOf(expression: string): readonly Token[] | string {
  const tokens: Token[] = [];
  let at = 0;
  const textOf = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    return pattern.exec(expression)?.[0] ?? "";
  };
  for (;;) {
    at += textOf(SKIPPED).length;
    const column = at + 1;
    if (at >= expression.length) return [...tokens, { kind: "end", text: "", column }];
    const literal = textOf(STRING) || textOf(NUMBER);
    const name = literal === "" ? textOf(NAME) : "";
    const text = literal || name || textOf(SYMBOL);
    if (text === "") return `column ${column} begins nothing that CEL knows`;
    if (RESERVED.has(name)) return `"${name}" in column ${column} is a reserved word`;
    const isLiteral = literal !== "" || CONSTANTS.has(name);
    tokens.push({ kind: isLiteral ? "literal" : name !== "" && name !== "in" ? "name" : "symbol", text, column });
    at += text.length;
  }
}

interface Reading {
  readonly tokens: readonly Token[];
  at: number;
  depth: number;
}

function peek({ tokens, at }: Reading): Token {
  return tokens[at] ?? { kind: "end", text: "", column: 0 };
}

/** Whether the next token is one of these symbols; if so it is taken. */
function take(reading: Reading, ...symbols: readonly string[]): boolean {
  const next = peek(reading);
  if (next.kind !== "symbol" || !symbols.includes(next.text)) return false;
  reading.at += 1;
  return true;
}

function expect(reading: Reading, symbol: string): void {
  if (!take(reading, symbol)) throw new CelFault(unexpected(peek(reading)));
}

/** From the loosest to the tightest. */
const BINARY: readonly (readonly string[])[] = [["||"], ["&&"], ["==", "!=", "<", "<=", ">", ">=", "in"], ["+", "-"], ["*", "/", "%"]];

function readExpression(reading: Reading): void {
  reading.depth += 1;
  if (reading.depth > MAX_DEPTH) throw new CelFault("the expression is nested too deep");
  readBinary(reading, 0);
  if (take(reading, "?")) {
    readBinary(reading, 0);
    expect(reading, ":");
    readExpression(reading);
  }
  reading.depth -= 1;
}

function readBinary(reading: Reading, level: number): void {
  const operators = BINARY[level];
  if (operators === undefined) {
    readUnary(reading);
    return;
  }
  do readBinary(reading, level + 1);
  while (take(reading, ...operators));
}

function readUnary(reading: Reading): void {
  if (take(reading, "!")) while (take(reading, "!"));
  else if (take(reading, "-")) while (take(reading, "-"));
  readMember(reading);
}

function readMember(reading: Reading): void {
  let mayBeType = readPrimary(reading);
  for (;;) {
    if (take(reading, ".")) {
      take(reading, "?");
      const next = peek(reading);
      if (next.kind !== "name") throw new CelFault(unexpected(next));
      reading.at += 1;
      if (take(reading, "(")) {
        readList(reading, ")", readExpression);
        mayBeType = false;
      }
    } else if (take(reading, "[")) {
      take(reading, "?");
      readExpression(reading);
      expect(reading, "]");
      mayBeType = false;
    } else if (mayBeType && take(reading, "{")) {
      readList(reading, "}", readField);
      mayBeType = false;
    } else return;
  }
}

/** Whether it may be a type's name, after which braces hold its fields. */
function readPrimary(reading: Reading): boolean {
  if (take(reading, "(")) {
    readExpression(reading);
    expect(reading, ")");
    return false;
  }
  if (take(reading, "[")) {
    readList(reading, "]", readElement);
    return false;
  }
  if (take(reading, "{")) {
    readList(reading, "}", readEntry);
    return false;
  }
  const absolute = take(reading, ".");
  const next = peek(reading);
  if (next.kind !== "name" && (absolute || next.kind !== "literal")) throw new CelFault(unexpected(next));
  reading.at += 1;
  if (next.kind === "literal") return false;
  if (!take(reading, "(")) return true;
  readList(reading, ")", readExpression);
  return false;
}

function readList(reading: Reading, close: string, readItem: (reading: Reading) => void): void {
  while (!take(reading, close)) {
    readItem(reading);
    if (take(reading, ",")) continue;
    expect(reading, close);
    return;
  }
}

function readElement(reading: Reading): void {
  take(reading, "?");
  readExpression(reading);
}

function readEntry(reading: Reading): void {
  readElement(reading);
  expect(reading, ":");
  readExpression(reading);
}

function readField(reading: Reading): void {
  take(reading, "?");
  const next = peek(reading);
  if (next.kind !== "name") throw new CelFault(unexpected(next));
  reading.at += 1;
  expect(reading, ":");
  readExpression(reading);
}
