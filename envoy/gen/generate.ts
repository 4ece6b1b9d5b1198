// `npm run gen` writes control-plane/gen/ from the Envoy protos that @grpc/grpc-js-xds ships; with `--check` it writes nothing and exits 1 when what stands
// there is not what would be written.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { CodeGeneratorRequestSchema, CodeGeneratorResponseSchema } from "@bufbuild/protobuf/wkt";
import { compileProtos } from "./descriptors.ts";
import { ROOT_PROTOS } from "./roots.ts";

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const OUT = join(PROJECT, "control-plane", "gen");
const PLUGIN = join(PROJECT, "node_modules", "@bufbuild", "protoc-gen-es", "bin", "protoc-gen-es");

/** The well-known types come with @bufbuild/protobuf. */
const WELL_KNOWN = "google/protobuf/";

/** Every generated file by its path below `control-plane/gen/`: `_pb.js` runs, `_pb.d.ts` is what the compiler reads. */
function generateCode(): ReadonlyMap<string, string> {
  const protoFile = [...compileProtos(ROOT_PROTOS)];
  const request = create(CodeGeneratorRequestSchema, {
    protoFile,
    fileToGenerate: protoFile.map((file) => file.name).filter((name) => !name.startsWith(WELL_KNOWN)),
    parameter: "target=js+dts,import_extension=js",
  });
  const { status, stdout, stderr } = spawnSync(process.execPath, [PLUGIN], {
    input: toBinary(CodeGeneratorRequestSchema, request),
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`protoc-gen-es ended with ${status}:\n${stderr}`);
  const response = fromBinary(CodeGeneratorResponseSchema, stdout);
  if (response.error !== "") throw new Error(`protoc-gen-es: ${response.error}`);
  return new Map(response.file.map((file) => [file.name, withoutComments(file.content)]));
}

/** Keeps the two lines that name the generator and its input; the rest of the comments repeats the declarations. */
function withoutComments(code: string): string {
  const header = code.split("\n").filter((line) => line.startsWith("// @generated"));
  const body = code.replaceAll(/^[ \t]*\/\*\*[\s\S]*?\*\/\n/gm, "").replaceAll(/^\/\/.*\n|^\/\* eslint-disable \*\/\n/gm, "");
  return `${header.join("\n")}\n${body.replaceAll(/\n{2,}/g, "\n\n").replaceAll(/;\n\n(?= )/g, ";\n")}`;
}

function committedFiles(): ReadonlyMap<string, string> {
  const paths = readdirSync(OUT, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith("_pb.js") || path.endsWith("_pb.d.ts"));
  return new Map(paths.map((path) => [path.split(sep).join("/"), readFileSync(join(OUT, path), "utf8")]));
}

function check(wanted: ReadonlyMap<string, string>): void {
  const found = committedFiles();
  const stale = [
    ...[...wanted].filter(([path, code]) => found.get(path) !== code).map(([path]) => path),
    ...[...found.keys()].filter((path) => !wanted.has(path)).map((path) => `${path} (no longer generated)`),
  ];
  if (stale.length > 0) {
    process.stderr.write(`control-plane/gen is not what \`npm run gen\` would write:\n${stale.map((path) => `  ${path}\n`).join("")}`);
    process.exit(1);
  }
  process.stdout.write(`${wanted.size} generated files are up to date\n`);
}

function write(wanted: ReadonlyMap<string, string>): void {
  for (const entry of readdirSync(OUT, { withFileTypes: true })) if (entry.isDirectory()) rmSync(join(OUT, entry.name), { recursive: true });
  let sizeBytes = 0;
  for (const [path, code] of wanted) {
    mkdirSync(dirname(join(OUT, path)), { recursive: true });
    writeFileSync(join(OUT, path), code);
    sizeBytes += Buffer.byteLength(code);
  }
  process.stdout.write(`wrote ${wanted.size} files, ${sizeBytes} bytes\n`);
}

const code = generateCode();
if (process.argv.includes("--check")) check(code);
else write(code);
