// The settings of a mesh that an analysis depends on: from a MeshConfig of Weft, or from the ConfigMap that Istio keeps its own in.
import { z } from "zod";
import type { Json } from "../model/last-good.ts";
import type { RawDocument } from "../source/raw-documents.ts";
import { plainValue } from "../source/tree.ts";
import { yamlDocuments } from "../source/yaml-documents.ts";
import { type AnalyzedMesh, fieldOf } from "./input.ts";

const ISTIO_NAMESPACE = "istio-system";

const settings = z.looseObject({
  rootNamespace: z.string().default(ISTIO_NAMESPACE),
  defaultConfig: z.looseObject({ proxyMetadata: z.record(z.string(), z.coerce.string()).default({}) }).prefault({}),
  extensionProviders: z.array(z.looseObject({ name: z.string() })).default([]),
  defaultProviders: z.looseObject({ accessLogging: z.array(z.string()).default([]) }).prefault({}),
});

/** What is known of the mesh. `written`: Istio's MeshConfig, which wins over the documents'. */
export function analyzedMesh(documents: readonly RawDocument[], written?: Json): AnalyzedMesh {
  const result = settings.safeParse(written ?? configOf(documents) ?? {});
  const { rootNamespace, defaultConfig, extensionProviders, defaultProviders } = result.success ? result.data : settings.parse({});
  return {
    rootNamespace: rootNamespace === "" ? ISTIO_NAMESPACE : rootNamespace,
    proxyMetadata: defaultConfig.proxyMetadata,
    extensionProviders,
    hasDefaultAccessLog: defaultProviders.accessLogging.length > 0,
  };
}

function configOf(documents: readonly RawDocument[]): unknown {
  const own = documents.find(({ kind, group }) => kind === "MeshConfig" && group === "weft.mesh");
  if (own !== undefined) return fieldOf(own.content, "spec");
  const istio = documents.find(({ kind, name, namespace }) => kind === "ConfigMap" && name === "istio" && namespace === ISTIO_NAMESPACE);
  const text = fieldOf(fieldOf(istio?.content, "data"), "mesh");
  const [tree] = typeof text === "string" ? yamlDocuments(text).documents : [];
  return tree === undefined ? undefined : plainValue(tree);
}
