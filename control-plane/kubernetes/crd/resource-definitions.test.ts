import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FIELD_DESCRIPTIONS } from "./field-descriptions.ts";
import { definitionTexts, resourceDefinitions } from "./resource-definitions.ts";
import type { StructuralSchema } from "./structural-schema.ts";

const FOLDER = join(import.meta.dirname, "../../../kind-cluster/crds");

const definitions = resourceDefinitions().map(({ document }) => document);

/** Each field of a schema with its path. */
function fields(schema: StructuralSchema, path: readonly string[] = []): readonly (readonly [readonly string[], StructuralSchema])[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [[[...path, name], field] as const, ...fields(field, [...path, name])]);
  return [...own, ...[schema.items, schema.additionalProperties].flatMap((inner) => (inner === undefined ? [] : fields(inner, [...path, "*"])))];
}

describe("the definitions of the mesh's kinds", () => {
  it("are written as the model has them: npm run crds", async () => {
    const texts = definitionTexts();
    expect((await readdir(FOLDER)).sort()).toEqual([...texts.keys()].sort());
    for (const [file, text] of texts) expect(await readFile(join(FOLDER, file), "utf8"), file).toBe(text);
  });

  it.each(definitions.map(({ spec }) => [spec.names.kind, spec.versions] as const))("explain %s and every field of it", (_, versions) => {
    const [first] = versions;
    expect(first?.schema.openAPIV3Schema.description).toMatch(/\.$/);
    const silent = fields(first?.schema.openAPIV3Schema ?? {}).filter(([path, { description }]) => path[0] === "spec" && description === undefined);
    expect(silent.map(([path]) => path.join("."))).toEqual([]);
  });

  it("store one version of each", () => {
    for (const { spec } of definitions) expect(spec.versions.filter(({ storage }) => storage).length, spec.names.kind).toBe(1);
  });

  it("say nothing of fields that are gone", () => {
    const names = new Set(definitions.flatMap(({ spec }) => fields(spec.versions[0]?.schema.openAPIV3Schema ?? {}).map(([path]) => path.at(-1))));
    expect([...FIELD_DESCRIPTIONS.keys()].filter((key) => !names.has(key.split(/[.:]/).at(-1)))).toEqual([]);
  });
});
