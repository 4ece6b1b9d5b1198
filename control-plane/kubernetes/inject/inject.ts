// Injection itself: a pod (or a pod template) as its author wrote it comes in, the pod with its proxy goes out. Pure: the webhook and `weft inject` do the same.

import { PROXY_USER } from "../pod-contract.ts";
import { readAnnotations } from "./annotations.ts";
import { type InjectionQuestion, injectionDecision } from "./decision.ts";
import { interceptionOf } from "./interception.ts";
import { annotationsOf, type Pod, type PodContainer, workloadOf } from "./pod.ts";
import { podBootstrap } from "./pod-bootstrap.ts";
import { rewriteProbes } from "./probes.ts";
import {
  IDENTITY_VOLUME,
  INIT_CONTAINER,
  identityVolume,
  initContainer,
  POD_ADDRESS,
  PROXY_CONTAINER,
  type ProxyWishes,
  proxyContainer,
  sidecarContainer,
} from "./proxy-container.ts";
import type { InjectionSettings } from "./settings.ts";
import { type InjectionStatus, STATUS_ANNOTATION, statusText } from "./status.ts";

export interface InjectionInput {
  readonly pod: Pod;
  readonly namespace: string;
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  readonly settings: InjectionSettings;
  /** The Deployment that the pod belongs to, where the pod itself does not say. */
  readonly workload?: string;
}

export interface Injection {
  /** The very object that was given where nothing is injected. */
  readonly pod: Pod;
  readonly injected: boolean;
  /** Why not, a sentence without a full stop; `""` where it is. */
  readonly why: string;
  /** What its author should know. */
  readonly warnings: readonly string[];
}

/** Gives a pod its proxy. A pod that has one, may not have one, or asks for none stays as it is. */
export function inject(input: InjectionInput): Injection {
  const { pod, namespace, namespaceLabels, settings } = input;
  const question: InjectionQuestion = { namespace, revision: settings.revision, ...(namespaceLabels === undefined ? {} : { namespaceLabels }) };
  const decision = injectionDecision(pod, question);
  if (decision.kind === "none") return { pod, injected: false, why: decision.why, warnings: [] };
  return { ...(decision.kind === "sidecar" ? withSidecar(input) : withGateway(input)), injected: true, why: "" };
}

function withSidecar({ pod, settings, workload }: InjectionInput): Pick<Injection, "pod" | "warnings"> {
  const { interception, faults } = interceptionOf(annotationsOf(pod));
  const { wishes, rewriteProbes: rewrites, warnings } = readAnnotations(annotationsOf(pod), settings);
  const { containers, initContainers = [] } = pod.spec;
  const probes = rewrites ? rewriteProbes([...initContainers, ...containers], POD_ADDRESS) : { ...NO_PROBES, containers: [...initContainers, ...containers] };
  const proxy: ProxyWishes = { ...wishes, bootstrap: podBootstrap(settings, probes), workload: workloadOf(pod) || (workload ?? "") };
  const status = { kind: "sidecar", initContainers: [INIT_CONTAINER, PROXY_CONTAINER], containers: [] } as const;
  return {
    pod: withStatus(pod, settings, status, {
      initContainers: [initContainer(settings, interception), sidecarContainer(settings, proxy), ...probes.containers.slice(0, initContainers.length)],
      containers: probes.containers.slice(initContainers.length),
      volumes: [...(pod.spec.volumes ?? []), identityVolume()],
    }),
    warnings: [...faults, ...warnings, ...probes.warnings, ...userWarnings(pod)],
  };
}

const NO_PROBES = { listeners: [], clusters: [], warnings: [] };

/** Names by which the author of a gateway's Deployment marks the container that is to become the proxy. */
const GATEWAY_CONTAINERS: ReadonlySet<string> = new Set([PROXY_CONTAINER, "istio-proxy"]);

/** A gateway is a proxy and nothing else: nothing is redirected, and what its author wrote of the container counts more than what Weft writes. */
function withGateway({ pod, settings, workload }: InjectionInput): Pick<Injection, "pod" | "warnings"> {
  const { wishes, warnings } = readAnnotations(annotationsOf(pod), settings);
  const proxy: ProxyWishes = { ...wishes, bootstrap: podBootstrap(settings, NO_PROBES), workload: workloadOf(pod) || (workload ?? "") };
  const marked = pod.spec.containers.find(({ name }) => GATEWAY_CONTAINERS.has(name)) ?? { name: PROXY_CONTAINER };
  const others = pod.spec.containers.filter(({ name }) => name !== marked.name);
  const status = { kind: "gateway", initContainers: [], containers: [marked.name] } as const;
  const { securityContext = {}, volumes = [] } = pod.spec;
  const sysctls = [...(securityContext.sysctls ?? []).filter(({ name }) => name !== LOW_PORTS.name), LOW_PORTS];
  return {
    pod: withStatus(pod, settings, status, {
      containers: [filledContainer(marked, proxyContainer(settings, proxy)), ...others],
      securityContext: { ...securityContext, sysctls },
      volumes: [...volumes, identityVolume()],
    }),
    warnings,
  };
}

/** Lets the proxy's user, who is not root, listen at the ports 80 and 443. */
const LOW_PORTS = { name: "net.ipv4.ip_unprivileged_port_start", value: "0" };

/** What its author wrote stays, but for `image: auto`; lists of names are joined. */
function filledContainer(written: PodContainer, proxy: PodContainer): PodContainer {
  const { image, env = [], volumeMounts = [], ...rest } = written;
  return {
    ...proxy,
    ...rest,
    image: image === undefined || image === "auto" ? proxy.image : image,
    env: [...(proxy.env ?? []), ...env.filter(({ name }) => !proxy.env?.some((own) => own.name === name))],
    volumeMounts: [...(proxy.volumeMounts ?? []), ...volumeMounts],
  };
}

/** Processes under the proxy's own number are taken for the proxy, and their connections are not redirected. */
function userWarnings({ spec }: Pod): readonly string[] {
  const runsAs = (context: { readonly runAsUser?: number | undefined; readonly runAsGroup?: number | undefined } | undefined): boolean =>
    context?.runAsUser === PROXY_USER || context?.runAsGroup === PROXY_USER;
  const names = spec.containers.filter(({ securityContext }) => runsAs(securityContext)).map(({ name }) => `the container ${name}`);
  return [...(runsAs(spec.securityContext) ? ["the pod"] : []), ...names].map(
    (who) => `${who} runs under the number ${PROXY_USER}, which is the proxy's: its connections pass the proxy by`,
  );
}

function withStatus(
  pod: Pod,
  { version, revision }: InjectionSettings,
  status: Pick<InjectionStatus, "kind" | "initContainers" | "containers">,
  spec: Partial<Pod["spec"]>,
): Pod {
  const text = statusText({ version, revision, ...status, volumes: [IDENTITY_VOLUME] });
  return {
    ...pod,
    metadata: { ...pod.metadata, annotations: { ...pod.metadata?.annotations, [STATUS_ANNOTATION]: text } },
    spec: { ...pod.spec, ...spec },
  };
}
