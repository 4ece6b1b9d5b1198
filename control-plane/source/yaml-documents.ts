// YAML text in, its documents out as trees that know their places, with every mistake of the text. Bounded in depth, size and expansion, so
// that no text can hang or end the process.
import { type Alias, Composer, type Document, isAlias, isCollection, isMap, isScalar, isSeq, Lexer, LineCounter, type Pair, Parser, type YAMLMap } from "yaml";
import { syntaxFix } from "./syntax-fix.ts";
import type { Place, Tree } from "./tree.ts";

const MAX_TEXT_BYTES = 4 * 1024 * 1024;
/** Kubernetes and Istio nest about fifteen deep; recursion in the parser is safe well above this. */
const MAX_DEPTH = 100;
/** Values that all aliases of a document may add. An alias bomb has millions, a folder of shared settings a few hundred. */
const MAX_ALIASED_VALUES = 10_000;
/** What follows the first mistakes of a text is mostly their echo. */
const MAX_ERRORS = 3;

/** A mistake of the text itself. */
export interface TextError {
  readonly code: string;
  readonly place: Place;
  readonly what: string;
  readonly fix: string;
}

export interface YamlText {
  /** False when the text, or one of its documents, cannot be trusted to say what its author meant. */
  readonly ok: boolean;
  /** The documents that are not empty. */
  readonly documents: readonly Tree[];
  readonly errors: readonly TextError[];
}

/** All documents of a YAML text. Never throws. */
export function yamlDocuments(text: string): YamlText {
  const refused = refusedWhole(text);
  if (refused !== undefined) return { ok: false, documents: [], errors: [refused] };
  const lineCounter = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lineCounter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  try {
    return composed(text, lineCounter, placeAt);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const what = `this cannot be read as YAML: ${reason}`;
    return { ok: false, documents: [], errors: [{ code: "WEFT0101", place: { line: 1, column: 1 }, what, fix: "check the file with a YAML linter" }] };
  }
}

function refusedWhole(text: string): TextError | undefined {
  if (text.length > MAX_TEXT_BYTES) {
    const megabytes = (text.length / 1024 / 1024).toFixed(1);
    const what = `the file has ${megabytes} MB, more than the ${MAX_TEXT_BYTES / 1024 / 1024} MB that a file of resources may have`;
    return { code: "WEFT0102", place: { line: 1, column: 1 }, what, fix: "split it into several files, or move what is no resource elsewhere" };
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.exec(text);
  if (control === null) return undefined;
  const before = text.slice(0, control.index);
  const place = { line: before.split("\n").length, column: control.index - before.lastIndexOf("\n") };
  const name = `U+${control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  return {
    code: "WEFT0103",
    place,
    what: `the control character ${name} is not allowed in YAML`,
    fix: "delete it, or move the file elsewhere if it is not text",
  };
}

function composed(text: string, lineCounter: LineCounter, placeAt: (offset: number) => Place): YamlText {
  const composer = new Composer({ lineCounter, uniqueKeys: false, prettyErrors: false, logLevel: "silent" });
  const parser = new Parser(lineCounter.addNewLine);
  const documents: Document.Parsed[] = [];
  lineCounter.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) documents.push(...composer.next(token));
    if (parser.stack.length > MAX_DEPTH) {
      const what = `values are nested more than ${MAX_DEPTH} deep`;
      return {
        ok: false,
        documents: [],
        errors: [{ code: "WEFT0104", place: placeAt(parser.offset), what, fix: "no resource is that deep; look for a bracket that is never closed" }],
      };
    }
  }
  for (const token of parser.end()) documents.push(...composer.next(token));
  documents.push(...composer.end(false, text.length));

  const errors: TextError[] = [];
  const trees: Tree[] = [];
  for (const document of documents) {
    const reading: Reading = { placeAt, errors: [], anchors: new Map(), open: new Set(), aliasedValues: 0 };
    for (const error of document.errors.slice(0, MAX_ERRORS)) {
      const what = error.message.replace(/\.$/, "");
      reading.errors.push({ code: "WEFT0101", place: placeAt(error.pos[0]), what: `YAML syntax: ${what}`, fix: syntaxFix(error.code) });
    }
    if (document.errors.length === 0 && document.contents !== null) {
      const tree = treeOfNode(reading, document.contents, placeAt(document.contents.range[0]));
      if (!isEmpty(tree)) trees.push(tree);
    }
    errors.push(...reading.errors);
  }
  return { ok: errors.length === 0, documents: trees, errors };
}

function isEmpty(tree: Tree): boolean {
  return tree.kind === "scalar" && tree.value === null;
}

/** What is known while one document is turned into a tree. */
interface Reading {
  readonly placeAt: (offset: number) => Place;
  readonly errors: TextError[];
  readonly anchors: Map<string, { readonly tree: Tree; readonly size: number }>;
  /** Anchors whose value is being read: an alias to one of them would contain itself. */
  readonly open: Set<string>;
  aliasedValues: number;
}

const CORE_TAGS = new Set(["!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!merge"]);

/** `node` is what the parser left: a scalar, a collection, an alias, or null where a value is missing. */
function treeOfNode(reading: Reading, node: unknown, place: Place): Tree {
  if (isAlias(node)) return treeOfAlias(reading, node, place);
  if (!isScalar(node) && !isCollection(node)) return { kind: "scalar", value: null, place };
  const tag = node.tag?.replace("tag:yaml.org,2002:", "!!");
  if (tag !== undefined && tag !== "!" && !CORE_TAGS.has(tag)) {
    reading.errors.push({ code: "WEFT0105", place, what: `the tag ${tag} has no meaning in a resource`, fix: "remove it and write the plain value" });
    return { kind: "scalar", value: null, place };
  }
  const anchor = node.anchor;
  if (anchor !== undefined) reading.open.add(anchor);
  const tree = isMap(node) ? treeOfMap(reading, node, place) : isSeq(node) ? listTree(reading, node.items, place) : scalarTree(node, place);
  if (anchor !== undefined) {
    reading.open.delete(anchor);
    reading.anchors.set(anchor, { tree, size: sizeOf(tree) });
  }
  return tree;
}

function scalarTree(node: unknown, place: Place): Tree {
  if (!isScalar(node)) return { kind: "scalar", value: null, place };
  const { value, source } = node;
  const plain = typeof value === "string" || typeof value === "number" || typeof value === "boolean" || value === null ? value : String(value);
  return { kind: "scalar", value: plain, place, ...(source === undefined ? {} : { text: source }) };
}

function listTree(reading: Reading, items: readonly unknown[], place: Place): Tree {
  return {
    kind: "list",
    items: items.map((item) => colonEnded(item, nodePlace(reading, item, place)) ?? treeOfNode(reading, item, nodePlace(reading, item, place))),
    place,
  };
}

/** `[1.2.3.4, 2001:db8::]`: YAML 1.2 takes the end of the address for a key without a value; Kubernetes, and whoever writes it, does not. */
function colonEnded(node: unknown, place: Place): Tree | undefined {
  if (!isMap(node) || !node.flow || node.items.length !== 1) return undefined;
  const [pair] = node.items;
  const key = pair?.key;
  const isAlone = pair?.value === null || (isScalar(pair?.value) && pair.value.value === null && pair.value.source === "");
  if (!isScalar(key) || !isAlone || typeof key.value !== "string" || key.type !== "PLAIN" || !key.value.endsWith(":")) return undefined;
  const text = `${key.value}:`;
  return { kind: "scalar", value: text, text, place };
}

function nodePlace(reading: Reading, node: unknown, otherwise: Place): Place {
  if (!isScalar(node) && !isCollection(node) && !isAlias(node)) return otherwise;
  return node.range ? reading.placeAt(node.range[0]) : otherwise;
}

function treeOfMap(reading: Reading, node: YAMLMap, place: Place): Tree {
  const entries = new Map<string, Tree>();
  const merged: Tree[] = [];
  for (const pair of node.items as readonly Pair[]) {
    const keyPlace = nodePlace(reading, pair.key, nodePlace(reading, pair.value, place));
    const key = keyOf(reading, pair.key, keyPlace);
    if (key === undefined) continue;
    const value = treeOfNode(reading, pair.value, keyPlace);
    const former = entries.get(key);
    if (key === "<<" && isScalar(pair.key) && pair.key.type === "PLAIN") merged.push(value);
    else if (former === undefined) entries.set(key, value);
    else {
      const what = `the key "${key}" stands twice in the same map, first in line ${former.place.line}`;
      reading.errors.push({ code: "WEFT0106", place: keyPlace, what, fix: "remove or rename one of the two" });
    }
  }
  for (const source of merged) mergeInto(reading, entries, source);
  return { kind: "map", entries, place };
}

/** YAML's merge key: the map's own fields win, then the sources in their order. */
function mergeInto(reading: Reading, entries: Map<string, Tree>, source: Tree): void {
  const sources = source.kind === "list" ? source.items : [source];
  for (const from of sources) {
    if (from.kind !== "map") {
      reading.errors.push({ code: "WEFT0107", place: source.place, what: "`<<` merges maps, and this is none", fix: "refer to a map: `<<: *anchor`" });
      continue;
    }
    for (const [key, value] of from.entries) if (!entries.has(key)) entries.set(key, value);
  }
}

function keyOf(reading: Reading, key: unknown, place: Place): string | undefined {
  const node = isAlias(key) ? treeOfAlias(reading, key, place) : treeOfNode(reading, key, place);
  if (node.kind === "scalar") return node.text ?? String(node.value);
  reading.errors.push({ code: "WEFT0108", place, what: "a key must be a plain word, not a map or a list", fix: "quote it if it begins with { or [" });
  return undefined;
}

function treeOfAlias(reading: Reading, alias: Alias, place: Place): Tree {
  const nothing: Tree = { kind: "scalar", value: null, place };
  if (reading.open.has(alias.source)) {
    reading.errors.push({ code: "WEFT0109", place, what: `the alias *${alias.source} would contain itself`, fix: "write the value out" });
    return nothing;
  }
  const target = reading.anchors.get(alias.source);
  if (target === undefined) {
    const what = `there is no anchor &${alias.source} before this alias in the document`;
    reading.errors.push({ code: "WEFT0110", place, what, fix: `mark the value with &${alias.source}, or quote the * if it is meant as text` });
    return nothing;
  }
  const before = reading.aliasedValues;
  reading.aliasedValues += target.size;
  if (reading.aliasedValues <= MAX_ALIASED_VALUES) return target.tree;
  if (before <= MAX_ALIASED_VALUES) {
    const what = `the aliases of this document expand to more than ${MAX_ALIASED_VALUES} values`;
    reading.errors.push({ code: "WEFT0111", place, what, fix: "write the values out, or use fewer aliases" });
  }
  return nothing;
}

/** Values in a tree. Trees hold at most {@link MAX_ALIASED_VALUES} values that come from aliases, so that this stays small. */
function sizeOf(tree: Tree): number {
  if (tree.kind === "scalar") return 1;
  let size = 1;
  for (const child of tree.kind === "list" ? tree.items : tree.entries.values()) size += sizeOf(child);
  return size;
}
