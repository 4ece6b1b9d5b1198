// What serves: the resources of all files, with the last good version wherever a file or a resource has an error. A pure function of the files
// and of what served before, which is an explicit input and output so that it outlives a restart.
import { compareText, type Diagnostic, type Origin } from "../model/diagnostic.ts";
import type { LastGood, RememberedResource } from "../model/last-good.ts";
import { type AnyResource, type Resources, resourceLabel } from "../model/resource.ts";
import type { ParsedFile } from "../source/parse-file.ts";
import { type BrokenDocument, readRemembered } from "../source/read-document.ts";
import { type Served, settle } from "./settle.ts";
import { validate } from "./validate.ts";

export interface Effective {
  readonly resources: Resources;
  readonly diagnostics: readonly Diagnostic[];
  /** The very object that was given where nothing has changed. */
  readonly lastGood: LastGood;
}

/**
 * The resources that serve. A file with a syntax error serves its last good content; a resource with an error its last good version, or
 * nothing where there was none. A file or document that is gone takes its resources with it.
 */
export function effectiveResources(files: ReadonlyMap<string, ParsedFile>, lastGood: LastGood): Effective {
  const parsed = [...files.values()].sort((a, b) => compareText(a.file, b.file));
  const findings = parsed.map(checked);
  const good = findings.flatMap((file) => file.good);
  const broken = findings.flatMap((file) => file.broken);
  const { serving, duplicates } = firstOfEach(good);

  for (const remembered of lastGood.resources) {
    const key = keyOf(remembered);
    if (serving.has(key)) continue;
    const cause = causeToKeep(remembered, files, broken);
    const resource = cause === undefined ? undefined : recall(remembered, cause);
    if (resource !== undefined) serving.set(key, { resource, remembered });
  }
  const right = [...serving.values()].sort((a, b) => compareResources(a.resource, b.resource));
  const settlement = settle(right, lastGood.settled, lastGood.resources.length > 0);
  const next: LastGood = { version: 1, resources: right.map(({ remembered }) => remembered), settled: settlement.settled };
  return {
    resources: resourcesByKind(settlement.served.map(({ resource }) => resource).sort(compareResources)),
    diagnostics: [...findings.flatMap((file) => file.diagnostics), ...duplicates, ...settlement.diagnostics],
    lastGood: sameRemembered(next.resources, lastGood.resources) && sameRemembered(next.settled, lastGood.settled) ? lastGood : next,
  };
}

interface CheckedFile {
  readonly good: readonly Served[];
  readonly broken: readonly BrokenDocument[];
  readonly diagnostics: readonly Diagnostic[];
}

/** A parsed file never changes: what its resources' rules say of it is found once. */
const CHECKED = new WeakMap<ParsedFile, CheckedFile>();

function checked(file: ParsedFile): CheckedFile {
  const known = CHECKED.get(file);
  if (known !== undefined) return known;
  const fresh = checkFile(file);
  CHECKED.set(file, fresh);
  return fresh;
}

function checkFile(file: ParsedFile): CheckedFile {
  const good: Served[] = [];
  const broken: BrokenDocument[] = [...file.broken];
  const diagnostics: Diagnostic[] = [...file.diagnostics, ...file.broken.flatMap(({ meant }) => (meant === undefined ? [] : validate([meant])))];
  for (const resource of file.resources) {
    const found = validate([resource]);
    diagnostics.push(...found);
    const { kind, namespace, name, origin, digest } = resource;
    if (found.some(({ severity }) => severity === "error")) broken.push({ kind, namespace, name, origin });
    else if (file.syntaxOk) {
      const document = file.documents.get(resource) ?? null;
      good.push({ resource, remembered: { kind, namespace, name, file: file.file, line: origin.line, column: origin.column, document, digest } });
    }
  }
  return { good, broken, diagnostics };
}

/** Of several resources of one name the first by file and line serves; the others are errors that name it. */
function firstOfEach(good: readonly Served[]): { readonly serving: Map<string, Served>; readonly duplicates: readonly Diagnostic[] } {
  const serving = new Map<string, Served>();
  const duplicates: Diagnostic[] = [];
  for (const served of good) {
    const key = keyOf(served.resource);
    const first = serving.get(key);
    if (first === undefined) serving.set(key, served);
    else duplicates.push(duplicate(served.resource, first.resource.origin));
  }
  return { serving, duplicates };
}

function duplicate(resource: AnyResource, first: Origin): Diagnostic {
  return {
    code: "WEFT0301",
    severity: "error",
    origin: resource.origin,
    resource: resourceLabel(resource),
    what: `there is another of this kind and name at ${first.file}:${first.line}, and that one serves`,
    fix: "remove one of the two, or give it another name",
  };
}

/** Why a resource that is in no file as it was goes on serving: where its mistake stands. Undefined when it is gone on purpose. */
function causeToKeep(remembered: RememberedResource, files: ReadonlyMap<string, ParsedFile>, broken: readonly BrokenDocument[]): Origin | undefined {
  const own = files.get(remembered.file);
  if (own !== undefined && !own.syntaxOk) return { file: own.file, line: remembered.line, column: remembered.column };
  return broken.find((document) => mayBe(document, remembered))?.origin;
}

/** Whether a document that could not be read may be this resource. What could not be read of its name may be anything, in its own file. */
function mayBe(document: BrokenDocument, remembered: RememberedResource): boolean {
  const { kind, namespace, name } = document;
  if ((kind ?? remembered.kind) !== remembered.kind || (name ?? remembered.name) !== remembered.name) return false;
  if ((namespace ?? remembered.namespace) !== remembered.namespace && remembered.namespace !== "") return false;
  return (kind !== undefined && name !== undefined && namespace !== undefined) || document.origin.file === remembered.file;
}

function recall(remembered: RememberedResource, origin: Origin): AnyResource | undefined {
  const resource = readRemembered(origin, remembered.document);
  return resource === undefined || validate([resource]).some(({ severity }) => severity === "error") ? undefined : resource;
}

function sameRemembered(now: readonly RememberedResource[], former: readonly RememberedResource[]): boolean {
  return former.length === now.length && now.every((resource, index) => equalRemembered(resource, former[index]));
}

function equalRemembered(a: RememberedResource, b: RememberedResource | undefined): boolean {
  return b !== undefined && keyOf(a) === keyOf(b) && a.file === b.file && a.line === b.line && a.column === b.column && a.digest === b.digest;
}

function keyOf({ kind, namespace, name }: { readonly kind: string; readonly namespace: string; readonly name: string }): string {
  return `${kind}/${namespace}/${name}`;
}

function compareResources(a: AnyResource, b: AnyResource): number {
  return compareText(a.kind, b.kind) || compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}

/** Resources sorted into their kinds; each kind keeps the order. */
export function resourcesByKind(resources: readonly AnyResource[]): Resources {
  const of = <Kind extends AnyResource["kind"]>(kind: Kind): readonly (AnyResource & { kind: Kind })[] =>
    resources.filter((resource): resource is AnyResource & { kind: Kind } => resource.kind === kind);
  return {
    virtualServices: of("VirtualService"),
    destinationRules: of("DestinationRule"),
    gateways: of("Gateway"),
    serviceEntries: of("ServiceEntry"),
    workloadEntries: of("WorkloadEntry"),
    workloadGroups: of("WorkloadGroup"),
    sidecars: of("Sidecar"),
    authorizationPolicies: of("AuthorizationPolicy"),
    peerAuthentications: of("PeerAuthentication"),
    requestAuthentications: of("RequestAuthentication"),
    envoyFilters: of("EnvoyFilter"),
    proxyConfigs: of("ProxyConfig"),
    telemetries: of("Telemetry"),
    wasmPlugins: of("WasmPlugin"),
    trafficExtensions: of("TrafficExtension"),
    secrets: of("Secret"),
    services: of("Service"),
    deployments: of("Deployment"),
    namespaces: of("Namespace"),
    meshConfigs: of("MeshConfig"),
    localRuns: of("LocalRun"),
  };
}
