import { describe, expect, it } from "vitest";
import { helpText, readSettings } from "./options.ts";

describe("the options of the control plane in a cluster", () => {
  it("have defaults that fit a pod", () => {
    expect(readSettings([], {})).toEqual({
      kind: "settings",
      settings: {
        rootNamespace: "weft-system",
        podName: "weft-control-plane",
        stateFolder: "/tmp/weft",
        host: "0.0.0.0",
        xdsPort: 15_012,
        webhookPort: 15_017,
        healthPort: 15_014,
        adminPort: 15_080,
        externalCa: false,
        accessLogPath: "/dev/stdout",
        logLevel: "info",
      },
    });
  });

  it("come from the environment, and from the command line before it", () => {
    const read = readSettings(["--namespaces", "b, a", "--access-log", ""], {
      WEFT_NAMESPACES: "c",
      WEFT_CA: "external",
      POD_NAME: "one",
      WEFT_CERTIFICATE_SECONDS: "60",
    });
    expect(read).toMatchObject({ settings: { namespaces: ["b", "a"], externalCa: true, podName: "one", certificateMs: 60_000 } });
    expect(read.kind === "settings" && "accessLogPath" in read.settings).toBe(false);
  });

  it.each([
    [["--xds-port", "x"], /--xds-port is a number/],
    [["--ca", "mine"], /--ca is own or external/],
    [["--certificate-seconds", "0"], /--certificate-seconds/],
    [["--nowhere"], /nowhere/],
  ])("%j are refused with what is wrong", (args, words) => {
    expect(readSettings(args, {})).toMatchObject({ kind: "problem", text: expect.stringMatching(words) });
  });

  it("are explained, each with its variable", () => {
    expect(readSettings(["--help"], {})).toEqual({ kind: "help" });
    expect(helpText()).toMatch(/--namespaces NAMES .*\[WEFT_NAMESPACES\]/);
  });
});
