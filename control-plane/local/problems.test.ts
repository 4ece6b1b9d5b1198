// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of LocalRun
import { describe, expect, it } from "vitest";
import { formatDiagnostic } from "../model/diagnostic.ts";
import { desiredHost, desiredOfParts, desiredWorkload } from "./fixtures.ts";
import { programOf, workloadDiagnostics } from "./problems.ts";

const image = { image: "product", command: ["node", "server.mjs"] };

describe("problems of the local run", () => {
  it.each([
    { name: "an image without an entry", images: [{ ...image, image: "other" }], runs: false, says: ["WEFT0601", "product:1", "{image: product, command:"] },
    { name: "no LocalRun at all", images: [], runs: false, says: ["WEFT0601", "kind LocalRun"] },
    {
      name: "a service that is not there",
      images: [{ ...image, env: { URL: "${service:order}" } }],
      runs: false,
      says: ["WEFT0602", "${service:order}", "orders"],
    },
    { name: "a program that cannot be started", images: [image], failure: "the program node cannot be started", runs: true, says: ["WEFT0603", "node"] },
    {
      name: "a second container",
      images: [image],
      pod: {
        containers: [
          { name: "product", image: "product:1" },
          { name: "log", image: "log" },
        ],
      },
      runs: true,
      says: ["WEFT0604", "log"],
    },
    {
      name: "a value from the cluster",
      images: [image],
      container: { env: [{ name: "KEY", valueFrom: { secretKeyRef: {} } }] },
      runs: true,
      says: ["WEFT0605", "KEY"],
    },
  ])("tells of $name", ({ images, failure, pod, container, runs, says }) => {
    const workload = desiredWorkload("product", { ...(pod === undefined ? {} : { pod }), ...(container === undefined ? {} : { container }) });
    const desired = desiredOfParts({ workloads: [workload], hosts: [desiredHost("orders", [80])], images });
    const [diagnostic, ...more] = workloadDiagnostics(workload, desired, failure);
    expect(more).toEqual([]);
    expect(diagnostic).toBeDefined();
    for (const text of says) expect(diagnostic === undefined ? "" : formatDiagnostic(diagnostic)).toContain(text);
    expect(programOf(workload, desired) !== undefined).toBe(runs);
  });

  it("says nothing where all is well", () => {
    const workload = desiredWorkload("product", { container: { env: [{ name: "KEY", valueFrom: {} }] } });
    const desired = desiredOfParts({ workloads: [workload], images: [{ ...image, env: { KEY: "local" } }] });
    expect(workloadDiagnostics(workload, desired, undefined)).toEqual([]);
  });
});
