import { CommanderError } from "commander";
import { describe, expect, it } from "vitest";
import { createProgram } from "./program.ts";

interface Ran {
  readonly called: readonly unknown[];
  readonly exitCode: number | undefined;
  readonly refused: string | undefined;
}

/** Reads a command line, and says which action was called with what. */
async function read(...args: readonly string[]): Promise<Ran> {
  const called: unknown[] = [];
  let exitCode: number | undefined;
  let written = "";
  const act =
    (name: string) =>
    async (...given: readonly unknown[]): Promise<number> => {
      called.push(name, ...given);
      return 7;
    };
  const actions = {
    analyze: act("analyze"),
    init: act("init"),
    inject: act("inject"),
    up: act("up"),
    stopStart: act("stopStart"),
    ps: act("ps"),
    env: act("env"),
    top: act("top"),
    logs: act("logs"),
    explain: act("explain"),
    test: act("test"),
    diff: act("diff"),
    get: act("get"),
    wait: act("wait"),
    proxyStatus: act("proxyStatus"),
    proxyConfig: act("proxyConfig"),
    completion: act("completion"),
  };
  const program = createProgram({ ...actions, certShow: act("certShow"), certRotate: act("certRotate") }, (code) => {
    exitCode = code;
  });
  for (const each of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)])
    each.exitOverride().configureOutput({ writeOut: (text) => (written += text), writeErr: (text) => (written += text) });
  try {
    await program.parseAsync(args, { from: "user" });
    return { called, exitCode, refused: undefined };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { called, exitCode: error.exitCode, refused: written };
  }
}

describe("the command line", () => {
  it.each([
    { args: ["cert", "show"], called: ["certShow", undefined, { output: "table" }] },
    { args: ["cert", "show", "product-a", "-o", "json"], called: ["certShow", "product-a", { output: "json" }] },
    { args: ["cert", "rotate"], called: ["certRotate", {}] },
    { args: ["cert", "rotate", "--root"], called: ["certRotate", { root: true }] },
    { args: ["analyze", "mesh", "--fix"], called: ["analyze", ["mesh"], { output: "text", platform: "weft", fix: true }] },
    { args: ["init", "deploy"], called: ["init", "deploy"] },
    { args: ["inject", "-f", "a.yaml", "-f", "-"], called: ["inject", { filename: ["a.yaml", "-"], namespace: "default" }] },
    { args: ["up", "x", "--isolate"], called: ["up", "x", { output: "text", isolate: true }] },
    { args: ["top", "--once", "--interval", "5"], called: ["top", { output: "table", once: true, interval: 5 }] },
    { args: ["env", "product@a", "-n", "shop"], called: ["env", "product@a", { namespace: "shop" }] },
    { args: ["ps", "--external"], called: ["ps", { output: "table", external: true }] },
    { args: ["up", "examples/shop"], called: ["up", "examples/shop", { output: "text" }] },
    {
      args: ["up", "x", "--output", "json", "--gateway-port", "0", "--state", "/tmp/s"],
      called: ["up", "x", { output: "json", gatewayPort: 0, state: "/tmp/s" }],
    },
    { args: ["stop", "--dir", "x", "product@a"], called: ["stopStart", "stop", "product@a", { dir: "x" }] },
    { args: ["start", "product", "-n", "shop"], called: ["stopStart", "start", "product", { namespace: "shop" }] },
    { args: ["ps", "-o", "json"], called: ["ps", { output: "json" }] },
    { args: ["logs"], called: ["logs", undefined, {}] },
    { args: ["logs", "-f", "--access", "product", "--tail", "5"], called: ["logs", "product", { follow: true, access: true, tail: 5 }] },
    {
      args: ["explain", "--dir", "x", "--live", "--from", "product-a", "GET", "http://a:80/x", "-H", "x-user: user-7", "-H", "cookie: a=b; c=d", "-o", "json"],
      called: [
        "explain",
        "GET",
        "http://a:80/x",
        undefined,
        {
          dir: "x",
          live: true,
          from: "product-a",
          header: [
            ["x-user", "user-7"],
            ["cookie", "a=b; c=d"],
          ],
          output: "json",
        },
      ],
    },
  ])("reads weft $args", async ({ args, called }) => {
    expect(await read(...args)).toEqual({ called, exitCode: 7, refused: undefined });
  });

  it.each([
    { args: ["upp", "x"], says: "Did you mean up?" },
    { args: ["up"], says: "missing required argument 'folder'" },
    { args: ["up", "x", "--ouput", "json"], says: "Did you mean --output?" },
    { args: ["up", "x", "--output", "yaml"], says: "Allowed choices are text, json" },
    { args: ["up", "x", "--gateway-port", "http"], says: "It is a number from 0 to 65535" },
    { args: ["logs", "a", "--tail", "-1"], says: "It is a number of lines" },
    { args: ["logs", "a", "--access", "--envoy"], says: "cannot be used with option '--access'" },
    { args: ["explain", "--from", "a", "GET"], says: "missing required argument 'url'" },
    { args: ["explain", "--from", "a", "GET", "http://a/", "-H", "x-user=7"], says: "A header is written 'name: value'" },
    { args: ["explain", "--from", "a", "GET", "http://a/", "-H", "x: a\r\ny: b"], says: "no line break" },
  ])("refuses weft $args, and names its help", async ({ args, says }) => {
    const { called, exitCode, refused } = await read(...args);
    expect(called).toEqual([]);
    expect(exitCode).not.toBe(0);
    expect(refused).toContain(says);
    expect(refused).toMatch(/^weft: .*Run `weft .*--help`/s);
  });

  it.each(["up", "stop", "start", "ps", "logs", "explain", "test", "diff", "get", "wait", "proxy-status", "proxy-config", "completion"])(
    "has examples and exit codes in weft %s --help",
    async (command) => {
      const { exitCode, refused } = await read(command, "--help");
      expect(exitCode).toBe(0);
      expect(refused).toMatch(/Examples:\n {2}\$ weft .*Exit codes: 0 /s);
    },
  );
});
