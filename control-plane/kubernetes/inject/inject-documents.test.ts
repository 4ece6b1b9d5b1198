import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { injectDocuments } from "./inject-documents.ts";
import { DEFAULT_SETTINGS } from "./settings.ts";

const DEPLOYMENT = `# The shop's front.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: product # its name
spec:
  replicas: 2
  template:
    metadata:
      labels: {app: product}
    spec:
      containers:
        - name: product
          image: product:1
`;
const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: product}
`;
const injected = (text: string) => injectDocuments(text, "default", DEFAULT_SETTINGS);

describe("injection into documents", () => {
  it("gives a workload its proxy under its own name, and keeps what else is written", () => {
    const { text, injected: which } = injected(`${DEPLOYMENT}---\n${SERVICE}`);
    const [deployment, service] = parseAllDocuments(text).map((document) => document.toJS());
    expect(which).toEqual(["Deployment default/product"]);
    const { initContainers } = deployment.spec.template.spec;
    expect(initContainers.map(({ name }: { name: string }) => name)).toEqual(["weft-init", "weft-proxy"]);
    expect(initContainers[1].args).toContain("product.$(POD_NAMESPACE)");
    expect(service).toEqual({ apiVersion: "v1", kind: "Service", metadata: { name: "product" } });
    expect(text).toContain("# The shop's front.");
    expect(text).toContain("name: product # its name");
  });

  it("changes nothing the second time", () => {
    const first = injected(DEPLOYMENT).text;
    const second = injected(first);
    expect(second.text).toBe(first);
    expect(second.left).toEqual(["Deployment default/product: the pod has a proxy already"]);
  });

  it("keeps the text where there is nothing to inject", () => {
    expect(injected(SERVICE).text).toBe(SERVICE);
  });

  it("reads lists, jobs and bare pods", () => {
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "a", namespace: "x" }, spec: { containers: [{ name: "a" }] } };
    const job = {
      apiVersion: "batch/v1",
      kind: "CronJob",
      metadata: { name: "b" },
      spec: { jobTemplate: { spec: { template: { spec: { containers: [{ name: "b" }] } } } } },
    };
    const { injected: which } = injected(JSON.stringify({ apiVersion: "v1", kind: "List", items: [pod, job] }));
    expect(which).toEqual(["Pod x/a", "CronJob default/b"]);
  });

  it("says of a text that is no YAML what is wrong", () => {
    expect(() => injected("a: [")).toThrow(/line 1/);
  });
});
