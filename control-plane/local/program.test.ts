// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of LocalRun
import { describe, expect, it } from "vitest";
import { desiredHost, desiredOfParts, desiredWorkload } from "./fixtures.ts";
import { expandProgram, imageTag, localProgramFor, type Variables } from "./program.ts";

const variables: Variables = {
  port: 20_000,
  ports: [
    { name: "http", containerPort: 80, port: 20_000 },
    { name: "metrics", containerPort: 9_100, port: 20_001 },
  ],
  podIp: "127.80.0.2",
  podName: "product-1",
  namespace: "shop",
  zone: "ap-northeast-2a",
  imageTag: "blue",
  hosts: [desiredHost("orders", [9_090, 9_091], "shop"), desiredHost("orders", [7_000], "other")],
  service: (host, port) => `${host.namespace}-${host.name}:${port}`,
  listen: [{ address: "127.80.0.2", port: 80 }],
  baseEnv: { HTTP_PROXY: "http://127.80.0.2:15001" },
};

function expand(command: readonly string[], env: Readonly<Record<string, string>> = {}, containerEnv: readonly object[] = []) {
  const workload = desiredWorkload("product", { container: { env: containerEnv } });
  const [container] = workload.spec.template.spec.containers;
  const [localRun] = desiredOfParts({ images: [{ image: "product", command, env }] }).localRuns;
  const entry = localRun?.spec.images[0];
  if (container === undefined || entry === undefined) throw new Error("the fixture has a container and an entry");
  return expandProgram(entry, container, variables);
}

describe("local program", () => {
  it.each([
    ["${PORT}", "20000"],
    ["${PORT:metrics}", "20001"],
    ["${PORT:9100}", "20001"],
    ["${POD_IP}:${PORT}", "127.80.0.2:20000"],
    ["${POD_NAME} in ${NAMESPACE} at ${ZONE}", "product-1 in shop at ap-northeast-2a"],
    ["${IMAGE_TAG}", "blue"],
    ["http://${service:orders}/x", "http://shop-orders:9090/x"],
    ["${service:orders:9091}", "shop-orders:9091"],
    ["${service:orders:port-9091}", "shop-orders:9091"],
    ["${service:orders.other}", "other-orders:7000"],
    ["${service:orders.other.svc.cluster.local}", "other-orders:7000"],
    ["${HOME} and $PORT stay", "${HOME} and $PORT stay"],
  ])("expands %s", (text, expanded) => {
    expect(expand(["run", text])).toMatchObject({ command: ["run", expanded] });
    expect(expand(["run"], { VALUE: text })).toMatchObject({ env: { VALUE: expanded } });
  });

  it("names every service and port that is not there", () => {
    expect(expand(["run", "${service:nowhere}", "${service:orders:1}", "${PORT:none}", "${service:nowhere}"])).toEqual({
      kind: "unknown-names",
      expressions: ["${PORT:none}", "${service:nowhere}", "${service:orders:1}"],
    });
  });

  it("lets LocalRun's environment win over the container's, and that over what every program gets", () => {
    const containerEnv = [
      { name: "A", value: "container" },
      { name: "B", value: "container" },
      { name: "PORT", value: "80" },
      { name: "C", valueFrom: {} },
    ];
    const program = expand(["run"], { B: "local" }, containerEnv);
    expect(program).toMatchObject({ env: { A: "container", B: "local", PORT: "80", POD_IP: "127.80.0.2", HTTP_PROXY: "http://127.80.0.2:15001" } });
    expect(program.kind === "program" && "C" in program.env).toBe(false);
  });

  it.each([
    ["color:blue", "exact"],
    ["color:green", "any"],
    ["color", "any"],
    ["color@sha256:00ff", "any"],
    ["registry:5000/color:1", undefined],
    ["colors:blue", undefined],
  ])("finds the entry for %s", (image, directory) => {
    const images = [
      { image: "color", command: ["x"], directory: "any" },
      { image: "color:blue", command: ["x"], directory: "exact" },
    ];
    expect(localProgramFor(image, desiredOfParts({ images }).localRuns)?.entry.directory).toBe(directory);
  });

  it.each([
    ["color:blue", "blue"],
    ["color", "latest"],
    ["registry:5000/color", "latest"],
    ["registry:5000/color:v1@sha256:00ff", "v1"],
  ])("reads the tag of %s", (image, tag) => {
    expect(imageTag(image)).toBe(tag);
  });
});
