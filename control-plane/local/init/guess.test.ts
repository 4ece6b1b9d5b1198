// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of LocalRun
import { describe, expect, it } from "vitest";
import { guessProgram } from "./guess.ts";
import { TELLING_FILES } from "./source-folder.ts";

function guess(files: Readonly<Record<string, string>>) {
  const telling = Object.entries(files).filter(([name]) => TELLING_FILES.some((file) => file === name));
  return guessProgram({ path: "orders", name: "orders", files: new Set(Object.keys(files)), texts: new Map(telling) });
}

describe("guess", () => {
  it.each<[string, Readonly<Record<string, string>>, readonly string[]]>([
    ["what the container runs", { Dockerfile: 'FROM node\nCMD ["node", "server.js"]', "server.js": "" }, ["node", "server.js"]],
    [
      "the last stage, its working directory taken away, ENTRYPOINT before CMD",
      {
        Dockerfile: 'FROM golang AS build\nCMD ["go"]\nFROM python\nWORKDIR /app/\nENTRYPOINT ["python3"]\nCMD ["/app/src/web.py", \\\n  "--fast"]',
        "src/web.py": "",
      },
      ["python3", "src/web.py", "--fast"],
    ],
    ["a Dockerfile's words of a shell", { Dockerfile: "FROM node\nCMD npm start\n" }, ["npm", "start"]],
    [
      "package.json where the container's file is built elsewhere",
      { Dockerfile: 'CMD ["node", "dist/main.js"]', "package.json": '{"scripts":{"start":"nest start"}}' },
      ["npm", "run", "start"],
    ],
    ["the script for development first", { "package.json": '{"scripts":{"start":"node x.js","dev":"tsx watch x.ts"}}' }, ["npm", "run", "dev"]],
    [
      "a script that needs no npm",
      { "package.json": '{"scripts":{"start":"node --enable-source-maps src/x.js"}}', "src/x.js": "" },
      ["node", "--enable-source-maps", "src/x.js"],
    ],
    ["main of package.json", { "package.json": '{"main":"./x.js"}', "x.js": "" }, ["node", "x.js"]],
    ["a Go module", { "go.mod": "module x", "main.go": "" }, ["go", "run", "."]],
    ["a command of a Go module", { "go.mod": "module x", "cmd/orders/main.go": "", "cmd/migrate/main.go": "" }, ["go", "run", "./cmd/orders"]],
    ["Maven with its wrapper", { "pom.xml": "<artifactId>spring-boot-maven-plugin</artifactId>", mvnw: "" }, ["./mvnw", "-q", "spring-boot:run"]],
    ["Gradle", { "build.gradle.kts": 'id("org.springframework.boot")', gradlew: "" }, ["./gradlew", "-q", "bootRun"]],
    ["Django", { "manage.py": "", "requirements.txt": "django" }, ["python3", "manage.py", "runserver", "${POD_IP}:${PORT}"]],
    ["FastAPI", { "pyproject.toml": 'dependencies = ["fastapi"]', "main.py": "" }, ["uvicorn", "main:app", "--host", "${POD_IP}", "--port", "${PORT}"]],
    ["Flask", { "requirements.txt": "Flask==3", "app.py": "app = Flask()" }, ["flask", "--app", "app", "run", "--host", "${POD_IP}", "--port", "${PORT}"]],
    ["a plain Python program", { "main.py": "" }, ["python3", "main.py"]],
    ["Cargo", { "Cargo.toml": "" }, ["cargo", "run", "--quiet"]],
    ["a usual entry file", { "server.mjs": "" }, ["node", "server.mjs"]],
  ])("takes %s", (_, files, command) => {
    expect(guess(files)?.command).toEqual(command);
  });

  it.each<[string, Readonly<Record<string, string>>]>([
    ["a container that runs a binary", { Dockerfile: 'FROM scratch\nENTRYPOINT ["/server"]' }],
    ["a shell's line that is more than words", { Dockerfile: "CMD node x.js && exit" }],
    ["broken files", { Dockerfile: "CMD [node", "package.json": "{" }],
    ["no files at all", {}],
  ])("takes nothing from %s", (_, files) => {
    expect(guess(files)).toBeUndefined();
  });
});
