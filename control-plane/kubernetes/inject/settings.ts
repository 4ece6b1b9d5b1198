// What an operator may set about injection; everything has a default.
import { z } from "zod";

const quantities = z.strictObject({ cpu: z.string(), memory: z.string() });

/** Read from the environment of the control plane (`WEFT_INJECTION`, JSON), and by `weft inject` from its options. */
export const injectionSettings = z.strictObject({
  /** Which control plane injects: namespaces and pods ask for one by the label `weft.mesh/rev` or `istio.io/rev`. */
  revision: z.string().default("default"),
  /** Stands in the annotation `weft.mesh/status`. */
  version: z.string().default("0.1.0"),
  proxyImage: z.string().default("docker.io/envoyproxy/envoy:distroless-v1.40.0"),
  /** Sets the rules of iptables; has a shell. */
  initImage: z.string().default("weft-iptables:0.1.0"),
  imagePullPolicy: z.enum(["Always", "IfNotPresent", "Never"]).default("IfNotPresent"),
  /** Where proxies find the control plane. */
  controlPlane: z.strictObject({ host: z.string(), port: z.int() }).default({ host: "weft-control-plane.weft-system.svc", port: 15_012 }),
  requests: quantities.default({ cpu: "100m", memory: "128Mi" }),
  limits: quantities.default({ cpu: "2", memory: "1Gi" }),
  /** Worker threads of each Envoy; Istio's default. */
  concurrency: z.int().min(1).default(2),
  logLevel: z.string().default("warning"),
  /** How long a proxy goes on after its pod was told to end, while its callers hear of it. */
  terminationSleepSeconds: z.int().min(0).default(5),
  /** How often proxies report statistics to the control plane. */
  metricsEveryMs: z.int().min(100).default(1_000),
});

export type InjectionSettings = z.output<typeof injectionSettings>;

export const DEFAULT_SETTINGS: InjectionSettings = injectionSettings.parse({});
