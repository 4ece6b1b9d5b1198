// The containers and the volume that a pod of the mesh gets. What they need to know stands in their arguments and in the downward API: no agent runs beside Envoy.
import { IDENTITY_FOLDER, POD_PORTS, PROXY_USER, ROOTS_CONFIG_MAP, TOKEN_AUDIENCE } from "../pod-contract.ts";
import type { Interception } from "./interception.ts";
import { interceptionScript } from "./iptables.ts";
import type { PodContainer } from "./pod.ts";
import type { InjectionSettings } from "./settings.ts";

export const PROXY_CONTAINER = "weft-proxy";
export const INIT_CONTAINER = "weft-init";
export const IDENTITY_VOLUME = "weft-identity";
/** What Kubernetes replaces by the pod's address in arguments of its containers. */
export const POD_ADDRESS = "$(POD_IP)";

/** What one pod wants otherwise than the settings say. */
export interface ProxyWishes {
  readonly bootstrap: string;
  readonly workload: string;
  readonly concurrency: number;
  readonly logLevel: string;
  readonly componentLogLevel?: string;
  readonly drainSeconds: number;
  readonly image: string;
  readonly resources: object;
}

/** Sets the rules of iptables and ends. It alone needs rights on the pod's network. */
export function initContainer({ initImage, imagePullPolicy }: InjectionSettings, interception: Interception): PodContainer {
  return {
    name: INIT_CONTAINER,
    image: initImage,
    imagePullPolicy,
    command: ["/bin/sh", "-ec"],
    args: [interceptionScript(interception)],
    resources: { requests: { cpu: "10m", memory: "16Mi" }, limits: { cpu: "1", memory: "64Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: 0,
      runAsNonRoot: false,
      runAsUser: 0,
      seccompProfile: { type: "RuntimeDefault" },
    },
    // The lock of iptables: Kubernetes gives no other folder that can be written to.
    env: [{ name: "XTABLES_LOCKFILE", value: "/dev/shm/xtables.lock" }],
  };
}

/**
 * A native sidecar: the kubelet starts it before the application's own init containers, goes on only when its startup probe succeeds, and ends it after the
 * application has ended (Kubernetes 1.29 and later).
 */
export function sidecarContainer(settings: InjectionSettings, wishes: ProxyWishes): PodContainer {
  return {
    ...proxyContainer(settings, wishes),
    restartPolicy: "Always",
    ports: [{ name: "http-envoy-prom", containerPort: POD_PORTS.metrics, protocol: "TCP" }],
    startupProbe: { httpGet: READY, periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 600 },
  };
}

/** What both kinds of proxy have in common. */
export function proxyContainer({ imagePullPolicy, terminationSleepSeconds }: InjectionSettings, wishes: ProxyWishes): PodContainer {
  return {
    name: PROXY_CONTAINER,
    image: wishes.image,
    imagePullPolicy,
    args: proxyArguments(wishes),
    env: ENVIRONMENT.map((variable) => ({ ...variable })),
    resources: { ...wishes.resources },
    readinessProbe: { httpGet: READY, periodSeconds: 15, timeoutSeconds: 3, failureThreshold: 4 },
    // Envoy's image has no shell, and its admin port wants POST: the kubelet itself sleeps. Meanwhile callers learn that the pod goes.
    ...(terminationSleepSeconds === 0 ? {} : { lifecycle: { preStop: { sleep: { seconds: terminationSleepSeconds } } } }),
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: PROXY_USER,
      runAsNonRoot: true,
      runAsUser: PROXY_USER,
      seccompProfile: { type: "RuntimeDefault" },
    },
    volumeMounts: [{ name: IDENTITY_VOLUME, mountPath: IDENTITY_FOLDER, readOnly: true }],
  };
}

const READY = { path: "/healthz/ready", port: POD_PORTS.ready };

const ENVIRONMENT = [
  { name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
  { name: "POD_NAMESPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
  { name: "POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
] as const;

/** As `local/envoy-process.ts` has them, but for what only a machine with many Envoys needs. */
function proxyArguments({ bootstrap, workload, concurrency, logLevel, componentLogLevel, drainSeconds }: ProxyWishes): string[] {
  return [
    "--config-yaml",
    bootstrap,
    "--service-node",
    "$(POD_NAME).$(POD_NAMESPACE)",
    "--service-cluster",
    `${workload === "" ? "$(POD_NAME)" : workload}.$(POD_NAMESPACE)`,
    "--concurrency",
    String(concurrency),
    "--disable-hot-restart",
    "--drain-time-s",
    String(drainSeconds),
    "--drain-strategy",
    "immediate",
    "--log-level",
    logLevel,
    ...(componentLogLevel === undefined ? [] : ["--component-log-level", componentLogLevel]),
  ];
}

/** One volume for token and roots, since the kubelet replaces all of it at once. The pod waits until the leader has written the ConfigMap. */
export function identityVolume(): { readonly name: string } {
  const volume = {
    name: IDENTITY_VOLUME,
    projected: {
      defaultMode: 0o444,
      sources: [
        { serviceAccountToken: { audience: TOKEN_AUDIENCE, expirationSeconds: 3_600, path: "token" } },
        {
          configMap: {
            name: ROOTS_CONFIG_MAP,
            items: [
              { key: "root.pem", path: "roots/root.pem" },
              { key: "roots.json", path: "roots/roots.json" },
              { key: "token.json", path: "roots/token.json" },
            ],
          },
        },
      ],
    },
  };
  return volume;
}
