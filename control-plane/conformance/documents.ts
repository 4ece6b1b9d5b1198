// Istio's test documents for its CustomResourceDefinitions: those with `_err` must be refused, the others accepted.
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseFile } from "../source/parse-file.ts";
import { validate } from "../validate/validate.ts";
import type { Verdict } from "./verdict.ts";

const FOLDER = "data/istio/pkg/config/validation/testdata/crds";

/** One document. */
export interface TestDocument {
  readonly id: string;
  readonly text: string;
  /** Part of what a cluster says in refusing it; absent where it accepts it. */
  readonly refusal?: string;
}

/** The documents of a folder of recorded answers; none where it has none. */
export async function readDocuments(folder: string): Promise<readonly TestDocument[]> {
  const path = join(folder, FOLDER);
  if (!existsSync(path)) return [];
  const files = (await readdir(path)).filter((file) => file.endsWith(".yaml")).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(path, file), "utf8")));
  return files.flatMap((file, index) => documentsOf(file, texts[index] ?? ""));
}

function documentsOf(file: string, text: string): readonly TestDocument[] {
  return text
    .split(/^---.*$/m)
    .filter((document) => /^kind:/m.test(document))
    .map((document, index) => {
      const refusal = /^_err:\s*(.*)$/m.exec(document)?.[1];
      return { id: `${file}#${index + 1}`, text: document.replace(/^_err:.*$/m, ""), ...(refusal === undefined ? {} : { refusal }) };
    });
}

/** Compares documents with what a cluster does with them. */
export function compareDocuments(documents: readonly TestDocument[]): readonly Verdict[] {
  return documents.map(({ id, text, refusal }) => {
    const parsed = parseFile(id, text);
    const errors = [...parsed.diagnostics, ...validate(parsed.resources)].filter(({ severity }) => severity === "error");
    const agreed = errors.length > 0 === (refusal !== undefined);
    const weft = errors.length === 0 ? "accepts it" : `refuses it (${errors.map(({ what }) => what).join("; ")})`;
    return { id, agreed, reason: agreed ? "" : `a cluster ${refusal === undefined ? "accepts it" : `refuses it (${refusal})`}, Weft ${weft}` };
  });
}
