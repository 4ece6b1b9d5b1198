// Compiles the protos that @grpc/grpc-js-xds ships to file descriptors without comments and custom options, for the roots and what they refer to.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type DescriptorProto, type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const HERE = dirname(fileURLToPath(import.meta.url));
const PROJECT = join(HERE, "..", "..");
const SHIPPED = join(PROJECT, "node_modules", "@grpc", "grpc-js-xds", "deps");
const BUF = join(PROJECT, "node_modules", "@bufbuild", "buf", "bin", "buf");

/** Import roots below the shipped folder; what npm does not ship stands in `proto/` beside this file. */
const PROTO_TREES = [
  { from: join(SHIPPED, "envoy-api", "envoy"), to: "envoy" },
  { from: join(SHIPPED, "googleapis", "google"), to: "google" },
  { from: join(SHIPPED, "protoc-gen-validate", "validate"), to: "validate" },
  { from: join(SHIPPED, "xds", "udpa"), to: "udpa" },
  { from: join(SHIPPED, "xds", "xds"), to: "xds" },
  { from: join(HERE, "proto"), to: "." },
];

/** The shipped validate.proto is older than the Envoy API beside it, which sets this option on strings. */
function addIgnoreEmpty(validateProto: string): string {
  const opening = "message StringRules {";
  const start = validateProto.indexOf(opening);
  if (start < 0) throw new Error("validate.proto has no StringRules: has @grpc/grpc-js-xds changed?");
  const rules = validateProto.slice(start, validateProto.indexOf("\n}", start));
  if (rules.includes("ignore_empty")) return validateProto;
  return validateProto.replace(opening, `${opening}\n    optional bool ignore_empty = 26;`);
}

/** Envoy 1.40 can remove headers by a condition on their name, which the shipped API does not know yet. Source: Envoy 1.40, mutation_rules.proto. */
function addRemoveOnMatch(mutationRules: string): string {
  if (mutationRules.includes("remove_on_match")) return mutationRules;
  const opening = "message HeaderMutation {";
  const last = "core.v3.HeaderValueOption append = 2;";
  if (!mutationRules.includes(opening) || !mutationRules.includes(last))
    throw new Error("mutation_rules.proto is not as expected: has @grpc/grpc-js-xds changed?");
  return mutationRules
    .replace('import "envoy/type/matcher/v3/regex.proto";', '$&\nimport "envoy/type/matcher/v3/string.proto";')
    .replace(opening, `${opening}\n  message RemoveOnMatch {\n    type.matcher.v3.StringMatcher key_matcher = 1;\n  }\n`)
    .replace(last, `${last}\n    RemoveOnMatch remove_on_match = 3;`);
}

/** Envoy 1.40 calls `fail_open` deprecated and wants this in its place. Source: the descriptor of wasm.proto inside Envoy 1.40. */
function addFailurePolicy(wasm: string): string {
  if (wasm.includes("failure_policy")) return wasm;
  const opening = "message PluginConfig {";
  if (!wasm.includes(opening)) throw new Error("wasm.proto is not as expected: has @grpc/grpc-js-xds changed?");
  const policies = "enum FailurePolicy {\n  UNSPECIFIED = 0;\n  FAIL_RELOAD = 1;\n  FAIL_CLOSED = 2;\n  FAIL_OPEN = 3;\n}\n";
  return wasm.replace(opening, `${policies}\n${opening}\n  FailurePolicy failure_policy = 7;`);
}

/** Envoy 1.40 can be told which answers count as errors. Source: the descriptor of http_protocol_options.proto inside Envoy 1.40. */
function addOutlierDetection(options: string): string {
  if (options.includes("OutlierDetection")) return options;
  const opening = "message HttpProtocolOptions {";
  const last = "config.core.v3.TypedExtensionConfig header_validation_config = 7;";
  if (!options.includes(opening) || !options.includes(last)) throw new Error("http_protocol_options.proto is not as expected: has @grpc/grpc-js-xds changed?");
  return options
    .replace('import "envoy/config/core/v3/protocol.proto";', '$&\nimport "envoy/config/common/matcher/v3/matcher.proto";')
    .replace(opening, `${opening}\n  message OutlierDetection {\n    config.common.matcher.v3.MatchPredicate error_matcher = 1;\n  }\n`)
    .replace(last, `${last}\n  OutlierDetection outlier_detection = 8;`);
}

/** Envoy 1.40 can count a retry budget over a time. Source: the descriptor of circuit_breaker.proto inside Envoy 1.40. */
function addBudgetInterval(circuitBreaker: string): string {
  if (circuitBreaker.includes("budget_interval")) return circuitBreaker;
  const opening = "message RetryBudget {";
  if (!circuitBreaker.includes(opening)) throw new Error("circuit_breaker.proto is not as expected: has @grpc/grpc-js-xds changed?");
  return circuitBreaker
    .replace('import "google/protobuf/wrappers.proto";', 'import "google/protobuf/duration.proto";\n$&')
    .replace(opening, `${opening}\n      google.protobuf.Duration budget_interval = 3;`);
}

/** Shipped protos that lack what Weft needs, by their path in the merged tree. */
const MENDED: readonly (readonly [path: string, mend: (proto: string) => string])[] = [
  ["validate/validate.proto", addIgnoreEmpty],
  ["envoy/config/common/mutation_rules/v3/mutation_rules.proto", addRemoveOnMatch],
  ["envoy/extensions/wasm/v3/wasm.proto", addFailurePolicy],
  ["envoy/config/cluster/v3/circuit_breaker.proto", addBudgetInterval],
  ["envoy/extensions/upstreams/http/v3/http_protocol_options.proto", addOutlierDetection],
];

/**
 * File descriptors of the roots and of all they refer to, in an order in which each file follows its imports, Google's well-known types included.
 * Comments, custom options (validation rules, annotations) and imports that only those needed are gone: Envoy checks its configuration itself, and
 * a third of the bytes and of the files carried nothing else. Throws with the compiler's message when a proto does not compile.
 */
export function compileProtos(roots: readonly string[]): readonly FileDescriptorProto[] {
  const tree = mkdtempSync(join(tmpdir(), "weft-protos-"));
  try {
    for (const { from, to } of PROTO_TREES) cpSync(from, join(tree, to), { recursive: true });
    for (const [path, mend] of MENDED) {
      const file = join(tree, ...path.split("/"));
      writeFileSync(file, mend(readFileSync(file, "utf8")));
    }
    writeFileSync(join(tree, "buf.yaml"), "version: v2\n");
    mkdirSync(join(tree, "weft"));
    writeFileSync(join(tree, "weft", "roots.proto"), `syntax = "proto3";\n${roots.map((root) => `import "${root}";\n`).join("")}`);
    const image = join(tree, "image.binpb");
    const args = [BUF, "build", "--path", "weft/roots.proto", "--exclude-source-info", "--as-file-descriptor-set", "-o", image];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: tree, encoding: "utf8" });
    if (status !== 0) throw new Error(`the protos do not compile:\n${stdout}${stderr}`);
    return closure(fromBinary(FileDescriptorSetSchema, readFileSync(image)).file.map(withoutCustomOptions), roots);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

/** Custom options are extensions, which stand in the options' unknown fields until somebody asks for them. */
function withoutCustomOptions(file: FileDescriptorProto): FileDescriptorProto {
  const plain = fromBinary(FileDescriptorProtoSchema, toBinary(FileDescriptorProtoSchema, file));
  delete plain.options;
  delete plain.$unknown;
  for (const message of plain.messageType) stripMessage(message);
  for (const enumeration of plain.enumType) stripAll(enumeration.options, enumeration.value);
  for (const service of plain.service) stripAll(service.options, service.method);
  return plain;
}

function stripMessage(message: DescriptorProto): void {
  stripAll(message.options, [...message.field, ...message.oneofDecl]);
  for (const enumeration of message.enumType) stripAll(enumeration.options, enumeration.value);
  for (const nested of message.nestedType) stripMessage(nested);
}

interface Options {
  $unknown?: unknown;
}

function stripAll(options: Options | undefined, members: readonly { readonly options?: Options }[]): void {
  if (options !== undefined) delete options.$unknown;
  for (const member of members) if (member.options !== undefined) delete member.options.$unknown;
}

function typesDefined(
  prefix: string,
  scope: { readonly name: string; readonly nestedType: DescriptorProto[]; readonly enumType: { name: string }[] },
): string[] {
  const name = `${prefix}.${scope.name}`;
  return [name, ...scope.enumType.map((enumeration) => `${name}.${enumeration.name}`), ...scope.nestedType.flatMap((nested) => typesDefined(name, nested))];
}

function typesReferred(message: DescriptorProto): string[] {
  return [...message.field.map((field) => field.typeName), ...message.nestedType.flatMap(typesReferred)].filter((name) => name !== "");
}

/** Narrows each file's imports to those whose types it names, then keeps what the roots reach. */
function closure(files: readonly FileDescriptorProto[], roots: readonly string[]): readonly FileDescriptorProto[] {
  const definedIn = new Map<string, string>();
  for (const file of files) {
    const prefix = `.${file.package}`;
    for (const { name } of file.enumType) definedIn.set(`${prefix}.${name}`, file.name);
    for (const message of file.messageType) for (const type of typesDefined(prefix, message)) definedIn.set(type, file.name);
  }
  for (const file of files) {
    const methods = file.service.flatMap((service) => service.method.flatMap((method) => [method.inputType, method.outputType]));
    const needed = new Set([...file.messageType.flatMap(typesReferred), ...methods].map((type) => definedIn.get(type)));
    needed.delete(file.name);
    file.dependency = [...needed].filter((name) => name !== undefined).sort();
    file.publicDependency = [];
    file.weakDependency = [];
  }
  const byName = new Map(files.map((file) => [file.name, file]));
  const reached = new Map<string, FileDescriptorProto>();
  const visit = (name: string): void => {
    const file = byName.get(name);
    if (file === undefined) throw new Error(`${name} is imported, but was not compiled`);
    if (reached.has(name)) return;
    file.dependency.forEach(visit);
    reached.set(name, file);
  };
  [...roots].sort().forEach(visit);
  return [...reached.values()];
}
