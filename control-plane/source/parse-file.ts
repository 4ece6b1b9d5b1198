// One file of YAML: its text comes in, its resources and every mistake of reading them go out. Nothing else is looked at, nothing is thrown.
import { compareDiagnostics, type Diagnostic } from "../model/diagnostic.ts";
import type { Json } from "../model/last-good.ts";
import type { AnyResource } from "../model/resource.ts";
import { type BrokenDocument, readDocument } from "./read-document.ts";
import type { Tree } from "./tree.ts";
import { yamlDocuments } from "./yaml-documents.ts";

export interface ParsedFile {
  /** Relative to the folder. */
  readonly file: string;
  readonly text: string;
  /** False when the text is no YAML: nothing in the file can be trusted. */
  readonly syntaxOk: boolean;
  readonly resources: readonly AnyResource[];
  /** Documents with errors, which {@link diagnostics} name. */
  readonly broken: readonly BrokenDocument[];
  /** Each resource as plain values, from which {@link readRemembered} makes it again. */
  readonly documents: ReadonlyMap<AnyResource, Json>;
  readonly diagnostics: readonly Diagnostic[];
  /** The documents as they are written, of any kind. */
  readonly trees: readonly Tree[];
}

/** Reads one file. Pure: equal texts give equal answers. Never throws. */
export function parseFile(file: string, text: string): ParsedFile {
  const yaml = yamlDocuments(text);
  const diagnostics: Diagnostic[] = yaml.errors.map(({ code, place, what, fix }) => ({ code, severity: "error", origin: { file, ...place }, what, fix }));
  const resources: AnyResource[] = [];
  const broken: BrokenDocument[] = [];
  const documents = new Map<AnyResource, Json>();
  const said = new Set<string>();
  for (const tree of yaml.documents) {
    for (const read of readDocument(file, tree)) {
      diagnostics.push(...read.diagnostics);
      if (read.aside !== undefined && !said.has(read.aside.what)) {
        said.add(read.aside.what);
        diagnostics.push(read.aside);
      }
      if (read.broken !== undefined) broken.push(read.broken);
      if (read.resource === undefined) continue;
      resources.push(read.resource);
      documents.set(read.resource, read.document);
    }
  }
  return { file, text, syntaxOk: yaml.ok, resources, broken, documents, diagnostics: diagnostics.sort(compareDiagnostics), trees: yaml.documents };
}
