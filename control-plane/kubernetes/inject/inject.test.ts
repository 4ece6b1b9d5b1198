import { describe, expect, it } from "vitest";
import { inject } from "./inject.ts";
import { jsonPatch } from "./json-patch.ts";
import { type Pod, podSchema } from "./pod.ts";
import { DEFAULT_SETTINGS } from "./settings.ts";
import { statusOf } from "./status.ts";

interface Written {
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly spec?: object;
  readonly container?: object;
}

function podOf({ labels = {}, annotations, spec = {}, container = {} }: Written = {}): Pod {
  const containers = [{ name: "app", image: "product:1", ports: [{ name: "http", containerPort: 9090 }], ...container }];
  return podSchema.parse({
    metadata: { generateName: "product-a-", labels: { app: "product", ...labels }, ...(annotations === undefined ? {} : { annotations }) },
    spec: { containers, ...spec },
  });
}

const ENABLED = { "weft.mesh/injection": "enabled" };
const injected = (pod: Pod, namespaceLabels: Record<string, string> = ENABLED, settings = DEFAULT_SETTINGS) =>
  inject({ pod, namespace: "default", namespaceLabels, settings });
const argumentsOf = (pod: Pod): readonly string[] => pod.spec.initContainers?.find(({ name }) => name === "weft-proxy")?.args ?? [];
const bootstrapOf = (pod: Pod): string => argumentsOf(pod)[1] ?? "";
const scriptOf = (pod: Pod): string => pod.spec.initContainers?.[0]?.args?.[0] ?? "";

describe("whether a pod is injected", () => {
  it.each<[string, Written, Record<string, string>, string]>([
    ["by the namespace", {}, ENABLED, "sidecar"],
    ["by Istio's label of the namespace", {}, { "istio-injection": "enabled" }, "sidecar"],
    ["not without a label", {}, {}, "none"],
    ["not where the namespace refuses it", {}, { "weft.mesh/injection": "disabled" }, "none"],
    ["by the pod's label", { labels: { "sidecar.istio.io/inject": "true" } }, {}, "sidecar"],
    ["by the pod's annotation", { annotations: { "sidecar.istio.io/inject": "yes" } }, {}, "sidecar"],
    ["not against the pod's label", { labels: { "sidecar.istio.io/inject": "false" }, annotations: { "sidecar.istio.io/inject": "true" } }, ENABLED, "none"],
    ["never into the node's network", { labels: { "sidecar.istio.io/inject": "true" }, spec: { hostNetwork: true } }, ENABLED, "none"],
    ["by the default revision", {}, { "istio.io/rev": "default" }, "sidecar"],
    ["not by another revision", {}, { "weft.mesh/rev": "canary" }, "none"],
    ["not where the pod wants another revision", { labels: { "istio.io/rev": "canary" } }, ENABLED, "none"],
    ["as a gateway", { labels: { "sidecar.istio.io/inject": "true" }, annotations: { "inject.istio.io/templates": "gateway" } }, {}, "gateway"],
  ])("%s", (_, written, namespaceLabels, kind) => {
    const { pod, injected: did, why } = injected(podOf(written), namespaceLabels);
    expect(did ? statusOf(pod.metadata?.annotations ?? {})?.kind : "none").toBe(kind);
    expect(why === "").toBe(did);
  });

  it("never in the system's namespaces", () => {
    const { why } = inject({ pod: podOf(), namespace: "kube-system", namespaceLabels: ENABLED, settings: DEFAULT_SETTINGS });
    expect(why).toContain("belongs to the system");
  });

  it("once", () => {
    const first = injected(podOf()).pod;
    const second = injected(first);
    expect(second.pod).toBe(first);
    expect(second.why).toContain("already");
  });
});

describe("an injected pod", () => {
  it("has the rules set and its proxy started before anything else of it runs", () => {
    const { pod } = injected(podOf({ spec: { initContainers: [{ name: "migrate", image: "migrate:1" }] } }));
    expect(pod.spec.initContainers?.map(({ name }) => name)).toEqual(["weft-init", "weft-proxy", "migrate"]);
    expect(pod.spec.containers.map(({ name }) => name)).toEqual(["app"]);
    expect(pod.spec.initContainers?.[1]).toMatchObject({
      restartPolicy: "Always",
      startupProbe: { httpGet: { path: "/healthz/ready", port: 15_021 } },
      lifecycle: { preStop: { sleep: { seconds: 5 } } },
    });
  });

  it("proves itself with a token for the control plane alone, and knows the mesh's roots", () => {
    const { pod } = injected(podOf());
    expect(pod.spec.volumes).toMatchObject([
      {
        name: "weft-identity",
        projected: { sources: [{ serviceAccountToken: { audience: "weft-xds", path: "token" } }, { configMap: { name: "weft-roots" } }] },
      },
    ]);
    expect(bootstrapOf(pod)).toContain('"exact":"control-plane.weft.internal"');
    expect(bootstrapOf(pod)).toContain('"address":"weft-control-plane.weft-system.svc","port_value":15012');
  });

  it("says who it is by its arguments, and nothing else in them is for Kubernetes to replace", () => {
    const { pod } = injected(
      podOf({ labels: { "pod-template-hash": "6d8f" }, container: { readinessProbe: { httpGet: { path: "/healthz", port: "http" } } } }),
    );
    const args = argumentsOf(pod);
    expect(args.join(" ")).toContain("--service-node $(POD_NAME).$(POD_NAMESPACE) --service-cluster product-a.$(POD_NAMESPACE)");
    expect(new Set(args.join(" ").match(/\$\([^)]*\)/g))).toEqual(new Set(["$(POD_IP)", "$(POD_NAME)", "$(POD_NAMESPACE)"]));
  });

  it("gives the proxy no rights, and the rules' container those on the network alone", () => {
    const [init, proxy] = injected(podOf()).pod.spec.initContainers ?? [];
    expect(proxy?.securityContext).toMatchObject({
      runAsUser: 1337,
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    expect(init?.securityContext).toMatchObject({ capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] }, privileged: false });
  });

  it("has the resources that its annotations ask for", () => {
    const proxyOf = (annotations: Record<string, string>) => injected(podOf({ annotations })).pod.spec.initContainers?.[1]?.resources;
    expect(proxyOf({})).toEqual({ requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2", memory: "1Gi" } });
    expect(proxyOf({ "sidecar.istio.io/proxyCPU": "50m", "sidecar.istio.io/proxyMemoryLimit": "256Mi" })).toEqual({
      requests: { cpu: "50m" },
      limits: { memory: "256Mi" },
    });
  });

  it("is told of annotations that do nothing or are wrong, and of a user that passes the proxy by", () => {
    const annotations = {
      "sidecar.istio.io/userVolume": "{}",
      "traffic.sidecar.istio.io/excludeInboundPorts": "http",
      "proxy.istio.io/config": "concurrency: 4\ntracing: {}\n",
    };
    const { pod, warnings } = injected(podOf({ annotations, container: { securityContext: { runAsUser: 1337 } } }));
    expect(warnings).toEqual([
      'the annotation traffic.sidecar.istio.io/excludeInboundPorts says "http" and counts as not written: write ports, separated by commas',
      "the field tracing of the annotation proxy.istio.io/config is not built and does nothing",
      "the annotation sidecar.istio.io/userVolume is not built and does nothing",
      "the container app runs under the number 1337, which is the proxy's: its connections pass the proxy by",
    ]);
    expect(argumentsOf(pod).join(" ")).toContain("--concurrency 4");
  });

  it("is patched to, by fields", () => {
    const before = podOf();
    const patch = jsonPatch(before, injected(before).pod);
    expect(patch.map(({ op, path }) => `${op} ${path}`)).toEqual(["add /metadata/annotations", "add /spec/initContainers", "add /spec/volumes"]);
  });
});

describe("interception", () => {
  it.each<[string, Record<string, string>, readonly string[], readonly string[]]>([
    ["everything by default", {}, ["-A WEFT_INBOUND -p tcp -j WEFT_IN_REDIRECT", "-A WEFT_OUTPUT -j WEFT_REDIRECT"], []],
    [
      "only some inbound ports",
      { includeInboundPorts: "9090, 80" },
      ["--dport 80 -j WEFT_IN_REDIRECT", "--dport 9090 -j WEFT_IN_REDIRECT"],
      ["-A WEFT_INBOUND -p tcp -j"],
    ],
    ["no inbound port", { includeInboundPorts: "" }, [], ["-j WEFT_IN_REDIRECT\n-A WEFT_OUTPUT -s", "-A WEFT_INBOUND -p tcp -j"]],
    ["not some inbound ports", { excludeInboundPorts: "9091" }, ["-A WEFT_INBOUND -p tcp --dport 9091 -j RETURN"], []],
    ["only some ranges", { includeOutboundIPRanges: "10.96.0.0/12" }, ["-A WEFT_OUTPUT -d 10.96.0.0/12 -j WEFT_REDIRECT"], ["-A WEFT_OUTPUT -j WEFT_REDIRECT"]],
    ["not some ranges", { excludeOutboundIPRanges: "169.254.169.254/32" }, ["-A WEFT_OUTPUT -d 169.254.169.254/32 -j RETURN"], []],
    ["not some ports outside", { excludeOutboundPorts: "3306" }, ["-A WEFT_OUTPUT -p tcp --dport 3306 -j RETURN"], []],
    [
      "a port whatever its range",
      { includeOutboundIPRanges: "", includeOutboundPorts: "443" },
      ["-A WEFT_OUTPUT -p tcp --dport 443 -j WEFT_REDIRECT"],
      ["-A WEFT_OUTPUT -j WEFT_REDIRECT"],
    ],
    ["not an interface", { excludeInterfaces: "net1" }, ["-A WEFT_INBOUND -i net1 -j RETURN", "-A WEFT_OUTPUT -o net1 -j RETURN"], []],
  ])("%s", (_, written, present, absent) => {
    const annotations = Object.fromEntries(Object.entries(written).map(([name, value]) => [`traffic.sidecar.istio.io/${name}`, value]));
    const script = scriptOf(injected(podOf({ annotations })).pod);
    for (const line of present) expect(script).toContain(line);
    for (const line of absent) expect(script).not.toContain(line);
  });

  it("leaves out users that are to pass it by", () => {
    expect(scriptOf(injected(podOf({ annotations: { "weft.mesh/excludeOutboundUIDs": "1001" } })).pod)).toContain("--uid-owner 1001 -j RETURN");
  });
});

describe("probes", () => {
  const probed = (container: object, annotations: Record<string, string> = {}) => injected(podOf({ container, annotations }));
  const bootstrap = (container: object) => JSON.parse(bootstrapOf(probed(container).pod));

  it("arrive at the proxy, which asks the application the same", () => {
    const container = {
      readinessProbe: { httpGet: { path: "/healthz?full=1", port: "http" }, periodSeconds: 2 },
      livenessProbe: { httpGet: { port: 9091, scheme: "HTTPS" } },
    };
    const { pod, warnings } = probed(container);
    expect(pod.spec.containers[0]).toMatchObject({
      readinessProbe: { httpGet: { path: "/app-health/app/readyz", port: 15_020 }, periodSeconds: 2 },
      livenessProbe: { httpGet: { path: "/app-health/app/livez", port: 15_020 } },
    });
    expect(pod.spec.containers[0]?.livenessProbe?.httpGet).not.toHaveProperty("scheme");
    const routes = JSON.stringify(bootstrap(container).static_resources.listeners);
    expect(routes).toContain('"match":{"path":"/app-health/app/readyz"},"route":{"cluster":"pod-probe-9090","prefix_rewrite":"/healthz?full=1"');
    expect(routes).toContain('"cluster":"pod-probe-9091-tls","prefix_rewrite":"/"');
    expect(warnings).toEqual([]);
  });

  it("by gRPC arrive there too", () => {
    const { pod } = probed({ livenessProbe: { grpc: { port: 9090, service: "x" } } });
    expect(pod.spec.containers[0]?.livenessProbe).toEqual({ grpc: { port: 15_020, service: "x" } });
    expect(bootstrapOf(pod)).toContain("pod-probe-9090-http2");
  });

  it("of a connection stay, and their author is told what they are worth", () => {
    const { pod, warnings } = probed({ livenessProbe: { tcpSocket: { port: 9090 } } });
    expect(pod.spec.containers[0]?.livenessProbe).toEqual({ tcpSocket: { port: 9090 } });
    expect(warnings).toEqual([
      "livenessProbe of the container app opens a connection, which the sidecar accepts whether the application lives or not: let it ask by HTTP or gRPC",
    ]);
  });

  it("stay as they are where the annotation says so", () => {
    const { pod } = probed({ readinessProbe: { httpGet: { port: 9090 } } }, { "sidecar.istio.io/rewriteAppHTTPProbers": "false" });
    expect(pod.spec.containers[0]?.readinessProbe).toEqual({ httpGet: { port: 9090 } });
  });
});

describe("a gateway", () => {
  const written = { name: "istio-proxy", image: "auto", ports: [{ containerPort: 80 }], env: [{ name: "OWN", value: "1" }] };
  const gateway = podOf({
    labels: { "sidecar.istio.io/inject": "true", istio: "ingressgateway" },
    annotations: { "inject.istio.io/templates": "gateway" },
    spec: { containers: [written] },
  });

  it("becomes the proxy, with what its author wrote kept, and nothing redirected", () => {
    const { pod } = injected(gateway, {});
    expect(pod.spec.initContainers).toBeUndefined();
    expect(pod.spec.containers).toHaveLength(1);
    expect(pod.spec.containers[0]).toMatchObject({ name: "istio-proxy", image: DEFAULT_SETTINGS.proxyImage, ports: [{ containerPort: 80 }] });
    expect(pod.spec.containers[0]?.env?.map(({ name }) => name)).toEqual(["POD_NAME", "POD_NAMESPACE", "POD_IP", "OWN"]);
    expect(pod.spec.securityContext?.sysctls).toEqual([{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }]);
  });
});
