// An analysis of files: their texts come in; every finding goes out, of reading, of each resource by itself, and of all together. Where Istio has
// a code for a finding it carries that one. Pure.
import { compareDiagnostics, type Diagnostic } from "../model/diagnostic.ts";
import type { Json } from "../model/last-good.ts";
import { type AnyResource, resourceLabel } from "../model/resource.ts";
import { type ParsedFile, parseFile } from "../source/parse-file.ts";
import { type RawDocument, rawDocuments } from "../source/raw-documents.ts";
import { validate } from "../validate/validate.ts";
import { defaultGateway } from "./default-gateway.ts";
import type { Finding } from "./finding.ts";
import { type AnalysisInput, analysisInput } from "./input.ts";
import { analyzedMesh } from "./mesh-settings.ts";
import { ANALYSIS_RULES } from "./rules.ts";
import { hasTwin, istioCode } from "./twins.ts";

/** A diagnostic of an analysis. */
export interface AnalyzedDiagnostic extends Diagnostic {
  /** The finding's own code, where `code` is Istio's. */
  readonly ownCode?: string;
}

export interface AnalysisOptions {
  readonly platform: AnalysisInput["platform"];
  readonly nowMs: number;
  /** Names of rules; all where absent. */
  readonly rules?: ReadonlySet<string>;
  /** Istio's MeshConfig, where it is in no document. */
  readonly meshConfig?: Json;
  /** What the mesh that is built of the resources says; see `mesh/checks.ts`. */
  readonly meshDiagnostics?: (files: readonly ParsedFile[]) => readonly Diagnostic[];
}

/** All findings in files (path to text), sorted by place. */
export function analyze(files: ReadonlyMap<string, string>, options: AnalysisOptions): readonly AnalyzedDiagnostic[] {
  return analyzeParsed(
    [...files].map(([file, text]) => parseFile(file, text)),
    options,
  );
}

/** The same for files that are read already. */
export function analyzeParsed(parsed: readonly ParsedFile[], options: AnalysisOptions): readonly AnalyzedDiagnostic[] {
  const documents = parsed.flatMap(rawDocuments);
  const resources = parsed.flatMap((file) => [...file.resources, ...file.broken.flatMap(({ meant }) => meant ?? [])]);
  const own = [...parsed.flatMap(({ diagnostics }) => diagnostics), ...validate(resources), ...(options.meshDiagnostics?.(parsed) ?? [])];
  const found = [...own.filter((diagnostic) => !hasTwin(diagnostic)).map(withIstioCode), ...analyzeTogether(resources, documents, options)];
  const suppressed = suppressions(documents);
  const shown = found.filter(({ code, resource = "" }) => !(suppressed.get(resource) ?? []).some((pattern) => pattern === code || pattern === "*"));
  return distinct(shown).sort(compareDiagnostics);
}

/** What the rules find in all resources together. */
export function analyzeTogether(
  resources: readonly AnyResource[],
  documents: readonly RawDocument[],
  { platform, nowMs, rules, meshConfig }: AnalysisOptions,
): readonly AnalyzedDiagnostic[] {
  const all = platform === "istio" ? [...documents, ...defaultGateway()] : documents;
  const input = analysisInput(resources, all, { mesh: analyzedMesh(documents, meshConfig), platform, nowMs });
  return ANALYSIS_RULES.filter(({ name, needsGatewayPods }) => rules?.has(name) ?? !(needsGatewayPods === true && platform === "weft"))
    .filter(({ replacedByMesh }) => !(replacedByMesh === true && platform === "weft"))
    .flatMap(({ check }) => check(input))
    .filter(({ subject }) => !SYSTEM_NAMESPACES.has(subject.namespace))
    .map(diagnosticOf);
}

function diagnosticOf({ code, severity, subject, path, what, fix }: Finding): AnalyzedDiagnostic {
  return { code, severity, origin: subject.locate(path), resource: subjectLabel(subject), what, fix };
}

/** What stands there is Kubernetes' own. */
const SYSTEM_NAMESPACES: ReadonlySet<string> = new Set(["kube-system", "kube-public", "kube-node-lease", "local-path-storage"]);

/** Kinds without a namespace. */
const CLUSTER_SCOPED: ReadonlySet<string> = new Set(["Namespace", "Node", "CustomResourceDefinition"]);

function subjectLabel({ kind, namespace, name }: Finding["subject"]): string {
  return resourceLabel({ kind, name, namespace: CLUSTER_SCOPED.has(kind) ? "" : namespace });
}

function withIstioCode(diagnostic: Diagnostic): AnalyzedDiagnostic {
  const code = istioCode(diagnostic);
  return code === undefined ? diagnostic : { ...diagnostic, code, ownCode: diagnostic.code };
}

const SUPPRESS = "galley.istio.io/analyze-suppress";

/** Codes that a resource's author does not want to hear of, by its label. */
function suppressions(documents: readonly RawDocument[]): ReadonlyMap<string, readonly string[]> {
  return new Map(
    documents.flatMap((document) => {
      const codes = document.annotations[SUPPRESS];
      return codes === undefined ? [] : [[subjectLabel(document), codes.split(",").map((code) => code.trim())] as const];
    }),
  );
}

/** One of equal findings: two rules may see the same. */
function distinct(diagnostics: readonly AnalyzedDiagnostic[]): AnalyzedDiagnostic[] {
  const byText = new Map(diagnostics.map((diagnostic) => [JSON.stringify(diagnostic), diagnostic]));
  return [...byText.values()];
}
