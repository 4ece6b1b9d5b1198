// A folder of 30 services, of which three run here and the others are stubs: written by `weft init`, run by `weft up`.
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MESHES, runWeft, startMesh, type TestMesh } from "./mesh.ts";
import { serviceUrl, workloadNamed } from "./ready.ts";

const NAMES = Array.from({ length: 30 }, (_, index) => `service-${String(index + 1).padStart(2, "0")}`);
const LOCAL = NAMES.slice(0, 3);
const PROGRAM = `
import { createServer } from "node:http";
createServer((_request, response) => response.end(process.env.POD_NAME)).listen(Number(process.env.PORT), process.env.POD_IP);
`;

const yaml = (name: string): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      containers:
        - name: ${name}
          image: ${name}:1
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /healthz, port: http}}
---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [{name: http, port: 80, targetPort: http}]}
`;

describe("a folder of 30 services", () => {
  let mesh: TestMesh;
  let written: { readonly code: number; readonly stdout: string };
  beforeAll(async () => {
    mesh = await startMesh(join(MESHES, "echo"), {
      prepare: async (folder) => {
        for (const file of await readdir(folder)) await rm(join(folder, file));
        for (const name of NAMES) await writeFile(join(folder, `${name}.yaml`), yaml(name));
        for (const name of LOCAL) {
          await mkdir(join(folder, name));
          await writeFile(join(folder, name, "server.mjs"), PROGRAM);
        }
        written = await runWeft(["init", folder]);
      },
    });
  });
  afterAll(() => mesh?.close());

  it("runs three with sidecars, and answers for the rest", async () => {
    expect(written).toMatchObject({ code: 0, stdout: expect.stringContaining("27 of 30 could not be guessed") });
    const { workloads } = mesh.ready;
    expect(workloads.length).toBe(30);
    expect(workloads.filter(({ sidecar }) => sidecar.pid > 0).map(({ workload }) => workload)).toEqual(LOCAL);
    const called = await fetch(serviceUrl(mesh.ready, "service-01", "service-02."));
    expect([called.status, await called.text()]).toEqual([200, "service-02-1"]);
    const stub = await fetch(serviceUrl(mesh.ready, "service-01", "service-30."));
    expect([stub.status, await stub.text()]).toEqual([501, "service-30 does not run here: declare what it answers in weft.yaml\n"]);
  });

  it("gives what is declared from the next moment on", async () => {
    const text = await readFile(join(mesh.folder, "weft.yaml"), "utf8");
    const stub = "- image: service-30\n      stub: [{status: 200, body: {paid: true}, delay: 20ms}]\n";
    const from = await mesh.write("weft.yaml", text.replace(/- image: service-30\n[\s\S]*$/, stub));
    await mesh.event("workload", ({ workload, state }) => workload === "service-30" && state === "stopped", { from });
    const answer = await fetch(serviceUrl(mesh.ready, "service-01", "service-30."));
    expect([answer.status, await answer.json()]).toEqual([200, { paid: true }]);
    expect(workloadNamed(mesh.ready, "service-30").accessLog).toBe("");
  });
});
