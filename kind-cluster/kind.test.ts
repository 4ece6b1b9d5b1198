import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { DEFAULT_SETTINGS } from "../control-plane/kubernetes/inject/settings.ts";

const FOLDER = import.meta.dirname;
const ROOT = join(FOLDER, "..");

function kind(args: readonly string[], path: string): { readonly status: number | null; readonly out: string; readonly error: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(FOLDER, "kind.mjs"), ...args], { encoding: "utf8", env: { PATH: path } });
  return { status, out: stdout, error: stderr };
}

describe("npm run kind:up", () => {
  it("without docker, kind and kubectl says what is missing and how to get it, and fails", () => {
    const { status, out, error } = kind(["up"], "/nowhere");
    expect(status).toBe(1);
    expect(out).toBe("");
    for (const tool of ["docker", "kind", "kubectl"]) expect(error).toMatch(new RegExp(`✗ ${tool} is not there: https://`));
  });

  it("tells a docker that does not answer from one that is missing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "weft-kind-"));
    try {
      await writeFile(join(folder, "docker"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
      expect(kind(["up"], folder).error).toContain("docker is there, but its daemon does not answer");
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("applies the definitions, then the manifests, and loads every image that they and the demos name", async () => {
    const { status, out } = kind(["up", "--dry-run"], "/nowhere");
    expect(status).toBe(0);
    expect(out.indexOf("-f kind-cluster/crds")).toBeLessThan(out.indexOf("-k kind-cluster/manifests"));
    const controlPlane = parseAllDocuments(await readFile(join(FOLDER, "manifests/control-plane.yaml"), "utf8")).map((document) => document.toJS());
    const { image } = controlPlane.find((document) => document.kind === "Deployment").spec.template.spec.containers[0];
    for (const needed of [image, DEFAULT_SETTINGS.initImage, DEFAULT_SETTINGS.proxyImage])
      expect(out).toContain(`kind load docker-image ${needed} --name weft`);
  });

  it("has a demo of the very folders that run without a cluster", () => {
    const { out } = kind(["demo", "--dry-run"], "/nowhere");
    for (const line of ["-n shop apply -f examples/shop", "-n blue-green apply -f examples/blue-green"]) expect(out).toContain(line);
  });
});

describe("kind.yaml", () => {
  it("has three workers as zones of one region, and leads to the gateway's node ports", async () => {
    const { nodes } = parse(await readFile(join(FOLDER, "kind.yaml"), "utf8"));
    const zones = nodes.flatMap((node: { labels?: Record<string, string> }) => node.labels?.["topology.kubernetes.io/zone"] ?? []);
    expect(zones).toEqual(["ap-northeast-2a", "ap-northeast-2b", "ap-northeast-2c"]);
    const gateway = parseAllDocuments(await readFile(join(FOLDER, "manifests/gateway.yaml"), "utf8")).map((document) => document.toJS());
    const nodePorts = gateway.find((document) => document.kind === "Service").spec.ports.flatMap(({ nodePort }: { nodePort?: number }) => nodePort ?? []);
    expect(nodes[0].extraPortMappings.map(({ containerPort }: { containerPort: number }) => containerPort)).toEqual(nodePorts);
  });
});

describe("the image of the control plane", () => {
  it("has all that the control plane loads", async () => {
    const folder = await mkdtemp(join(tmpdir(), "weft-image-"));
    try {
      const lines = (await readFile(join(FOLDER, "images/control-plane.Dockerfile"), "utf8")).split("\n");
      for (const line of lines.filter((text) => text.startsWith("COPY ") && !text.includes("--from"))) {
        const [target = ".", ...sources] = line.split(/\s+/).slice(1).reverse();
        for (const source of sources) {
          const place = source.endsWith("/")
            ? join(folder, target)
            : target.endsWith("/")
              ? join(folder, target, source.split("/").at(-1) ?? "")
              : join(folder, target);
          await mkdir(dirname(place), { recursive: true });
          await cp(join(ROOT, source), place, { recursive: true, filter: (path) => !/\.test\.ts$|\/filter\/build$/.test(path) });
        }
      }
      await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
      const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", "control-plane/kubernetes/main.ts", "--help"], {
        cwd: folder,
        encoding: "utf8",
      });
      expect(stderr).toBe("");
      expect(status).toBe(0);
      expect(stdout).toContain("--xds-port");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
