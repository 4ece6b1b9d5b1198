// Istio's own samples and test configurations, file by file: each loads, or says by name what it does not do, and real Envoys (a sidecar and a gateway) take
// what comes of it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CONFORMANCE } from "../../control-plane/conformance/lines.ts";
import { buildMesh } from "../../control-plane/mesh/build.ts";
import { namedCertificateFiles } from "../../control-plane/mesh/certificate-files.ts";
import type { GatewayPort, Proxy, ServiceListener } from "../../control-plane/mesh/instance.ts";
import type { Mesh } from "../../control-plane/mesh/mesh.ts";
import { absentFiles } from "../../control-plane/source/absent-files.ts";
import { parseFile } from "../../control-plane/source/parse-file.ts";
import { meshOf, resourcesOf } from "../../control-plane/test/mesh-of.ts";
import { validate } from "../../control-plane/validate/validate.ts";
import { type ServedMesh, serveMesh } from "./served-mesh.ts";

const ISTIO = join(CONFORMANCE, "data", "istio");
const FOLDERS = ["samples/bookinfo", "tests/testdata/config"];

const files = FOLDERS.flatMap((folder) => {
  const path = join(ISTIO, folder);
  const names = existsSync(path) ? readdirSync(path, { recursive: true, encoding: "utf8" }).filter((name) => /\.ya?ml$/.test(name)) : [];
  return names.sort().map((name) => join(folder, name));
});

// Two runs at once do not meet.
const network = `127.${130 + (process.pid % 100)}`;
const NOWHERE = { region: "", zone: "", subzone: "" };
const CALLER: Proxy = {
  id: "caller",
  kind: "sidecar",
  namespace: "testns",
  labels: { app: "caller" },
  workload: "caller",
  serviceAccount: "default",
  locality: NOWHERE,
  inbound: [{ containerPort: 7000, listen: { address: `${network}.2.1`, port: 7000 }, application: { address: `${network}.2.2`, port: 7000 } }],
  outbound: [],
  httpProxy: { address: `${network}.1.1`, port: 15_001, explainPort: 15_002 },
  gatewayPorts: [],
};
const GATEWAY: Proxy = { ...CALLER, id: "gateway", kind: "gateway", namespace: "istio-system", workload: "gateway", inbound: [], gatewayPorts: [] };

/** The mesh of one file, as a sidecar that calls every host of it and a gateway with all labels that are asked for see it. */
function meshOfFile(text: string): Mesh {
  const resources = resourcesOf(text);
  const { instances, hosts } = meshOf(text);
  const outbound = [...hosts.values()].flatMap((host, index) =>
    host.ports.flatMap(({ number, protocol }, position): readonly ServiceListener[] => {
      if (protocol === "udp") return [];
      const address = `${network}.${10 + (index >> 7)}.${1 + (index & 127)}`;
      return [{ hostname: host.hostname, port: number, listen: { address, port: 20_000 + (number % 20_000) }, explainPort: 15_100 + position }];
    }),
  );
  const numbers = [...new Set(resources.gateways.flatMap(({ spec }) => spec.servers.map(({ port }) => port.number)))].filter((number) => number > 0);
  const gatewayPorts = numbers.map(
    (number, index): GatewayPort => ({ number, listen: { address: `${network}.3.1`, port: 20_000 + (number % 20_000) }, explainPort: 15_100 + index }),
  );
  const labels = Object.assign({}, ...resources.gateways.map(({ spec }) => spec.selector));
  const { httpProxy: _, ...gateway } = GATEWAY;
  const proxies = [
    { ...CALLER, outbound },
    { ...gateway, labels, gatewayPorts },
  ];
  return buildMesh({ resources, instances, proxies, domain: "cluster.local", absentFiles: absentFiles(namedCertificateFiles(resources), new Set()) });
}

describe.skipIf(files.length === 0)("Istio's own files (needs conformance data)", () => {
  let served: ServedMesh;
  beforeAll(async () => {
    served = await serveMesh(meshOfFile(""));
  }, 120_000);
  afterAll(() => served?.close());

  it.each(files)("%s loads, and Envoy takes it", async (file) => {
    const text = readFileSync(join(ISTIO, file), "utf8");
    const parsed = parseFile(file, text);
    const errors = [...parsed.diagnostics, ...validate(parsed.resources)].filter(({ severity }) => severity === "error");
    expect(errors.map(({ resource, what }) => `${resource}: ${what}`)).toEqual([]);
    await served.publish(meshOfFile(text));
    expect(served.refusals).toEqual([]);
  });
});
