// One document of a file: its tree comes in; a resource, or why there is none, goes out. A `kind: List` is as many documents as it has items.
import { createHash } from "node:crypto";
import type { Diagnostic, Edit, Origin, Severity } from "../model/diagnostic.ts";
import type { Json } from "../model/last-good.ts";
import { nearest } from "../model/nearest.ts";
import { type AnyResource, type FieldPath, resourceLabel } from "../model/resource.ts";
import { checkDocument } from "./check-document.ts";
import { isClosedGroup, KNOWN_KINDS, type KnownKind, kindsOf, knownGroups, knownKind, type ReadDocument, standingOf } from "./kinds.ts";
import type { Finding } from "./mend.ts";
import { type Place, placeOf, plainValue, type Tree, treeAt, treeOf } from "./tree.ts";

/** A document that is no resource as it stands. Parts of its name that could not be read are absent. */
export interface BrokenDocument {
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly origin: Origin;
  /** The resource as it was probably meant: checked further, so that one mistake does not hide the next, and never served. */
  readonly meant?: AnyResource;
}

/** What one document came to. */
export interface DocumentReading {
  readonly resource?: AnyResource;
  readonly broken?: BrokenDocument;
  readonly document: Json;
  readonly diagnostics: readonly Diagnostic[];
  /** Worth saying once per file, not once per document. */
  readonly aside?: Diagnostic;
}

/** Reads a document, or the items of a list. */
export function readDocument(file: string, tree: Tree): readonly DocumentReading[] {
  if (tree.kind !== "map") {
    const what = `a document must be a map with apiVersion, kind, metadata and spec, and this is ${tree.kind === "list" ? "a list" : "a single value"}`;
    return [refused(file, tree, {}, [finding("WEFT0120", tree.place, what, "begin with `apiVersion:`; separate documents with `---`")])];
  }
  if (textAt(tree, ["kind"]) === "List") return readList(file, tree);
  return [readOne(file, tree)];
}

function readList(file: string, tree: Tree): readonly DocumentReading[] {
  const items = treeAt(tree, ["items"]);
  if (items?.kind === "list")
    return items.items.flatMap((item) => (item.kind === "map" && textAt(item, ["kind"]) === "List" ? [nestedList(file, item)] : readDocument(file, item)));
  if (items === undefined || (items.kind === "scalar" && items.value === null)) return [];
  return [refused(file, tree, {}, [finding("WEFT0121", items.place, "`items` of a List must be a list", "begin each item with `- `")])];
}

function nestedList(file: string, tree: Tree): DocumentReading {
  return refused(file, tree, {}, [finding("WEFT0121", tree.place, "a List cannot hold another List", "put its items into the outer one")]);
}

function readOne(file: string, tree: Tree): DocumentReading {
  const kind = textAt(tree, ["kind"]);
  const apiVersion = textAt(tree, ["apiVersion"]);
  if (kind === undefined) {
    const what = treeAt(tree, ["kind"]) === undefined ? "the document has no kind" : "kind must be a single word";
    const meant =
      tree.kind === "map"
        ? nearest(
            "kind",
            [...tree.entries.keys()].filter((key) => key !== "kind"),
          )
        : undefined;
    const fix = meant === undefined ? `add \`kind:\`, such as ${KNOWN_KINDS.map((known) => known.kind).join(", ")}` : `did you mean \`kind\` by \`${meant}\``;
    return refused(file, tree, {}, [finding("WEFT0122", placeOf(tree, ["kind"]), what, fix)]);
  }
  const slash = (apiVersion ?? "").lastIndexOf("/");
  const group = (apiVersion ?? "").slice(0, Math.max(0, slash));
  const known = knownKind(group, kind) ?? (apiVersion === undefined ? KNOWN_KINDS.find((candidate) => candidate.kind === kind) : undefined);
  if (known === undefined) return readOther(file, tree, group, kind);
  return readKnown(file, tree, known, versionFindings(tree, known, apiVersion));
}

function versionFindings(tree: Tree, known: KnownKind, apiVersion: string | undefined): readonly Finding[] {
  const current = `${known.group === "" ? "" : `${known.group}/`}${known.versions[0]}`;
  const place = placeOf(tree, ["apiVersion"]);
  if (apiVersion === undefined) return [finding("WEFT0123", place, "the document has no apiVersion", `add \`apiVersion: ${current}\``)];
  const version = apiVersion.slice(apiVersion.lastIndexOf("/") + 1);
  if (known.versions.includes(version)) return [];
  return [otherVersion(place, `${known.kind} has no apiVersion "${apiVersion}"`, apiVersion, current)];
}

/** A kind that Weft does not read: not built yet, of no use to a mesh, or misspelt. */
function readOther(file: string, tree: Tree, group: string, kind: string): DocumentReading {
  const document = plainValue(tree);
  const origin = { file, ...placeOf(tree, ["kind"]) };
  const aside = (severity: Severity, code: string, what: string, fix: string): DocumentReading => ({
    document,
    diagnostics: [],
    aside: { code, severity, origin, what, fix },
  });
  const standing = standingOf(group, kind);
  if (standing === "not-built") {
    return aside(
      "warning",
      "WEFT0125",
      `${kind} (${group === "" ? "v1" : group}) is not implemented yet, ignored`,
      "remove it, or leave it for the cluster: the mesh acts as if it were not there",
    );
  }
  if (standing === "unused") return aside("info", "WEFT0126", `${kind} has no meaning for the mesh, skipped`, "nothing to do");
  const names = { ...nameParts(tree) };
  const meant = nearest(kind, kindsOf(group));
  if (meant !== undefined || isClosedGroup(group)) {
    const fix = meant === undefined ? `the kinds of ${group} are ${kindsOf(group).join(", ")}` : `did you mean \`${meant}\``;
    return refused(file, tree, names, [finding("WEFT0124", placeOf(tree, ["kind"]), `there is no kind "${kind}"${group === "" ? "" : ` in ${group}`}`, fix)]);
  }
  const meantGroup = nearest(group, knownGroups());
  const elsewhere = KNOWN_KINDS.find((known) => known.kind === kind && (known.group === meantGroup || group === "" || known.group === ""));
  if (elsewhere !== undefined) {
    const current = `${elsewhere.group === "" ? "" : `${elsewhere.group}/`}${elsewhere.versions[0]}`;
    const what = `${kind} has no apiVersion "${textAt(tree, ["apiVersion"])}"`;
    return readKnown(file, tree, elsewhere, [otherVersion(placeOf(tree, ["apiVersion"]), what, textAt(tree, ["apiVersion"]) ?? "", current)]);
  }
  return aside("info", "WEFT0126", `${kind} has no meaning for the mesh, skipped`, "nothing to do");
}

function readKnown(file: string, tree: Tree, known: KnownKind, findings: readonly Finding[]): DocumentReading {
  const checked = checkDocument(tree, known.schema);
  const all = [...findings, ...checked.findings];
  const meant = checked.value === undefined ? undefined : resourceOf(file, checked.tree, known, checked.value);
  if (all.length === 0 && meant !== undefined) return { resource: meant, document: plainValue(checked.tree), diagnostics: [] };
  return refused(file, tree, { ...nameParts(checked.tree), kind: known.kind }, all, meant);
}

/** Makes a resource from a document that was once read without a mistake. Undefined where this version of Weft reads it differently. */
export function readRemembered(origin: Origin, document: Json): AnyResource | undefined {
  const [reading] = readDocument(origin.file, treeOf(document, origin));
  return reading?.resource;
}

function resourceOf(file: string, tree: Tree, known: KnownKind, value: ReadDocument): AnyResource {
  const { metadata, spec } = value;
  const digest = createHash("sha256")
    .update(JSON.stringify(plainValue(tree)))
    .digest("base64url")
    .slice(0, 22);
  const resource = {
    kind: known.kind,
    name: metadata.name,
    namespace: known.namespaced ? (metadata.namespace ?? "default") : "",
    labels: metadata.labels,
    annotations: metadata.annotations,
    spec,
    origin: { file, ...tree.place },
    locate: (path: FieldPath): Origin => ({ file, ...placeOf(tree, path) }),
    digest,
  };
  // The kind's schema gave the spec: the two belong together by the table of kinds.
  return resource as AnyResource;
}

interface NameParts {
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
}

function nameParts(tree: Tree): NameParts {
  const name = textAt(tree, ["metadata", "name"]);
  const namespace = treeAt(tree, ["metadata", "namespace"]) === undefined ? "default" : textAt(tree, ["metadata", "namespace"]);
  return { ...(name === undefined ? {} : { name }), ...(namespace === undefined ? {} : { namespace }) };
}

function refused(file: string, tree: Tree, names: NameParts, findings: readonly Finding[], meant?: AnyResource): DocumentReading {
  const { kind, name, namespace = "default" } = names;
  const label = kind === undefined || name === undefined ? {} : { resource: resourceLabel({ kind, name, namespace: kind === "Namespace" ? "" : namespace }) };
  const diagnostics = findings.map(
    ({ code, place, what, fix, edit }): Diagnostic => ({
      code,
      severity: "error",
      origin: { file, ...place },
      ...label,
      what,
      fix,
      ...(edit === undefined ? {} : { edit }),
    }),
  );
  const parts = kind === "Namespace" ? { ...names, namespace: "" } : names;
  return { broken: { ...parts, origin: { file, ...tree.place }, ...(meant === undefined ? {} : { meant }) }, document: plainValue(tree), diagnostics };
}

function otherVersion(place: Place, what: string, from: string, to: string): Finding {
  const edit: Edit = { kind: "value", from, to };
  return { ...finding("WEFT0123", place, what, `write \`apiVersion: ${to}\``), ...(from === "" ? {} : { edit }) };
}

function finding(code: string, place: Place, what: string, fix: string): Finding {
  return { code, place: { line: place.line, column: place.column }, what, fix };
}

/** The text of a scalar that is written down; undefined for anything else. */
function textAt(tree: Tree, path: FieldPath): string | undefined {
  const at = treeAt(tree, path);
  return at?.kind === "scalar" && at.value !== null && at.value !== "" ? (at.text ?? String(at.value)) : undefined;
}
