// How the program of a source folder is started outside a container, guessed from what developers leave beside it. Pure.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of LocalRun
import type { SourceFolder } from "./source-folder.ts";

export interface Guess {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What it was read from: `package.json, script dev`. */
  readonly reason: string;
}

/** The first that can tell, in this order: what the container runs, if that is there outside it too; then what each language's tools would run. */
const GUESSES: readonly ((folder: SourceFolder) => Guess | undefined)[] = [
  fromDockerfile,
  fromPackageJson,
  fromGoModule,
  fromMaven,
  fromGradle,
  fromPython,
  fromCargo,
  fromEntryFile,
];

/** How to start the program of a folder; undefined where nothing in it tells. */
export function guessProgram(folder: SourceFolder): Guess | undefined {
  for (const guess of GUESSES) {
    const found = guess(folder);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Programs that mean the same on a laptop as in a container. */
const PORTABLE = new Set(["node", "npm", "npx", "yarn", "pnpm", "bun", "deno", "python", "python3", "uvicorn", "gunicorn", "flask", "ruby", "php"]);
const SOURCE_FILE = /\.(?:m?js|cjs|ts|py|rb|php)$/;

function fromDockerfile({ texts, files }: SourceFolder): Guess | undefined {
  const text = texts.get("Dockerfile");
  if (text === undefined) return undefined;
  const { command, workdir } = containerCommand(text);
  const [program] = command;
  if (program === undefined || !PORTABLE.has(program) || command.some((word) => word.includes("$"))) return undefined;
  const local = command.map((word) => (word.startsWith(`${workdir}/`) ? word.slice(workdir.length + 1) : word.replace(/^\.\//, "")));
  const sources = local.filter((word) => SOURCE_FILE.test(word));
  if (!sources.every((word) => files.has(word))) return undefined;
  return { command: local, env: {}, reason: "Dockerfile, what the container runs" };
}

/** ENTRYPOINT and CMD of the last stage, and its working directory. Source: Dockerfile reference, "Understand how CMD and ENTRYPOINT interact". */
function containerCommand(text: string): { readonly command: readonly string[]; readonly workdir: string } {
  let [entrypoint, cmd, workdir]: [readonly string[], readonly string[], string] = [[], [], ""];
  for (const line of text.replace(/\\\r?\n/g, " ").split(/\r?\n/)) {
    const [, instruction = "", rest = ""] = /^\s*([A-Za-z]+)\s+(.*?)\s*$/.exec(line) ?? [];
    switch (instruction.toUpperCase()) {
      case "FROM":
        [entrypoint, cmd, workdir] = [[], [], ""];
        break;
      case "WORKDIR":
        workdir = rest.replace(/\/$/, "");
        break;
      case "ENTRYPOINT":
        [entrypoint, cmd] = [words(rest), []];
        break;
      case "CMD":
        cmd = words(rest);
        break;
    }
  }
  return { command: [...entrypoint, ...cmd], workdir };
}

/** `["node", "server.js"]`, or a line of a shell that is no more than words. */
function words(text: string): readonly string[] {
  if (text.startsWith("[")) {
    try {
      const parsed: unknown = JSON.parse(text);
      return Array.isArray(parsed) && parsed.every((word) => typeof word === "string") ? parsed : [];
    } catch {
      return [];
    }
  }
  return simpleWords(text) ?? [];
}

/** The words of a line that needs no shell. */
function simpleWords(line: string): readonly string[] | undefined {
  return /^[\w@%+=:,./ -]+$/.test(line) ? line.trim().split(/ +/) : undefined;
}

function fromPackageJson({ texts, files }: SourceFolder): Guess | undefined {
  const text = texts.get("package.json");
  if (text === undefined) return undefined;
  const { scripts, main } = packageOf(text);
  for (const script of ["dev", "start:dev", "start"]) {
    const line = scripts[script];
    if (line === undefined) continue;
    const simple = simpleWords(line);
    // Without npm in between, which passes signals on late.
    const direct = simple?.[0] === "node" && simple.slice(1).every((word) => !SOURCE_FILE.test(word) || files.has(word)) ? simple : undefined;
    return { command: direct ?? ["npm", "run", script], env: {}, reason: `package.json, script ${script}` };
  }
  return main !== undefined && files.has(main) ? { command: ["node", main], env: {}, reason: "package.json, main" } : undefined;
}

function packageOf(text: string): { readonly scripts: Readonly<Record<string, string | undefined>>; readonly main: string | undefined } {
  const isMap = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === "object" && value !== null;
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isMap(parsed)) return { scripts: {}, main: undefined };
    const scripts = Object.entries(isMap(parsed.scripts) ? parsed.scripts : {}).flatMap(([name, line]) => (typeof line === "string" ? [[name, line]] : []));
    return { scripts: Object.fromEntries(scripts), main: typeof parsed.main === "string" ? parsed.main.replace(/^\.\//, "") : undefined };
  } catch {
    return { scripts: {}, main: undefined };
  }
}

function fromGoModule({ texts, files, name }: SourceFolder): Guess | undefined {
  if (!texts.has("go.mod")) return undefined;
  const mains = [...files].filter((file) => file.endsWith("main.go"));
  const target =
    mains.includes("main.go") || mains.length === 0
      ? "."
      : files.has(`cmd/${name}/main.go`)
        ? `./cmd/${name}`
        : `./${(mains[0] ?? "").replace(/\/[^/]*$/, "")}`;
  return { command: ["go", "run", target], env: {}, reason: "go.mod" };
}

/** Spring Boot reads them; others do not mind. */
const JAVA_ENV = { SERVER_PORT: "${PORT}", SERVER_ADDRESS: "${POD_IP}" };

function fromMaven({ texts, files }: SourceFolder): Guess | undefined {
  const text = texts.get("pom.xml");
  if (text === undefined) return undefined;
  const goal = text.includes("quarkus-maven-plugin") ? "quarkus:dev" : text.includes("spring-boot") ? "spring-boot:run" : "exec:java";
  return { command: [files.has("mvnw") ? "./mvnw" : "mvn", "-q", goal], env: JAVA_ENV, reason: "pom.xml" };
}

function fromGradle({ texts, files }: SourceFolder): Guess | undefined {
  const text = texts.get("build.gradle") ?? texts.get("build.gradle.kts");
  if (text === undefined) return undefined;
  const task = text.includes("org.springframework.boot") ? "bootRun" : "run";
  return { command: [files.has("gradlew") ? "./gradlew" : "gradle", "-q", task], env: JAVA_ENV, reason: "build.gradle" };
}

function fromPython({ texts, files }: SourceFolder): Guess | undefined {
  if (texts.has("manage.py")) return { command: ["python3", "manage.py", "runserver", "${POD_IP}:${PORT}"], env: {}, reason: "manage.py" };
  const main = ["main.py", "app.py"].find((file) => files.has(file));
  const source = ["pyproject.toml", "requirements.txt"].find((file) => texts.has(file));
  if (main === undefined) return undefined;
  const depends = `${texts.get("pyproject.toml") ?? ""}\n${texts.get("requirements.txt") ?? ""}`.toLowerCase();
  const module = main.replace(/\.py$/, "");
  const reason = source === undefined ? main : `${source} and ${main}`;
  if (/\b(?:fastapi|starlette|uvicorn)\b/.test(depends)) {
    return { command: ["uvicorn", `${module}:app`, "--host", "${POD_IP}", "--port", "${PORT}"], env: {}, reason };
  }
  if (/\bflask\b/.test(depends) && !(texts.get(main) ?? "").includes("__main__")) {
    return { command: ["flask", "--app", module, "run", "--host", "${POD_IP}", "--port", "${PORT}"], env: {}, reason };
  }
  return { command: ["python3", main], env: {}, reason };
}

function fromCargo({ texts }: SourceFolder): Guess | undefined {
  return texts.has("Cargo.toml") ? { command: ["cargo", "run", "--quiet"], env: {}, reason: "Cargo.toml" } : undefined;
}

function fromEntryFile({ files }: SourceFolder): Guess | undefined {
  const entry = ["server", "index", "main", "app"].flatMap((name) => [`${name}.mjs`, `${name}.js`, `${name}.cjs`]).find((file) => files.has(file));
  return entry === undefined ? undefined : { command: ["node", entry], env: {}, reason: entry };
}
