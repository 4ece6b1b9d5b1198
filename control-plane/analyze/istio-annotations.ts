// Every annotation that Istio 1.32 reads, with the kinds that may have it. Source: istio.io/docs/reference/config/annotations.

export interface IstioAnnotation {
  /** Kinds; `Any` for all. */
  readonly on: readonly string[];
  /** Part of a feature that may still change or go; what has no status counts as one. */
  readonly isAlpha?: boolean;
  readonly isDeprecated?: boolean;
}

/** By name. */
export const ISTIO_ANNOTATIONS: ReadonlyMap<string, IstioAnnotation> = new Map<string, IstioAnnotation>([
  ["prometheus.istio.io/merge-metrics", { on: ["Pod"], isAlpha: true }],
  ["alpha.istio.io/kubernetes-serviceaccounts", { on: ["Service"], isAlpha: true, isDeprecated: true }],
  ["alpha.istio.io/canonical-serviceaccounts", { on: ["Service"], isAlpha: true, isDeprecated: true }],
  ["networking.istio.io/exportTo", { on: ["Service"], isAlpha: true }],
  ["sidecar.istio.io/inject", { on: ["Pod"], isDeprecated: true }],
  ["sidecar.istio.io/status", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/rewriteAppHTTPProbers", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/discoveryAddress", { on: ["Pod"], isAlpha: true, isDeprecated: true }],
  ["sidecar.istio.io/proxyImage", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/proxyImageType", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/proxyCPU", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/proxyCPULimit", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/proxyMemory", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/proxyMemoryLimit", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/interceptionMode", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/bootstrapOverride", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/statsInclusionPrefixes", { on: ["Pod"], isAlpha: true, isDeprecated: true }],
  ["sidecar.istio.io/statsInclusionSuffixes", { on: ["Pod"], isAlpha: true, isDeprecated: true }],
  ["sidecar.istio.io/statsInclusionRegexps", { on: ["Pod"], isAlpha: true, isDeprecated: true }],
  ["sidecar.istio.io/statsHistogramBuckets", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/statsFlushInterval", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/statsEvictionInterval", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/statsHistogramBins", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/userVolume", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/userVolumeMount", { on: ["Pod"], isAlpha: true }],
  ["status.sidecar.istio.io/port", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/logLevel", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/componentLogLevel", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/agentLogLevel", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/nativeSidecar", { on: ["Pod"], isAlpha: true }],
  ["readiness.status.sidecar.istio.io/initialDelaySeconds", { on: ["Pod"], isAlpha: true }],
  ["readiness.status.sidecar.istio.io/periodSeconds", { on: ["Pod"], isAlpha: true }],
  ["readiness.status.sidecar.istio.io/failureThreshold", { on: ["Pod"], isAlpha: true }],
  ["readiness.status.sidecar.istio.io/applicationPorts", { on: ["Pod"], isAlpha: true }],
  ["traffic.istio.io/nodeSelector", { on: ["Service"] }],
  ["traffic.sidecar.istio.io/includeOutboundIPRanges", { on: ["Pod"], isAlpha: true }],
  ["traffic.sidecar.istio.io/excludeOutboundIPRanges", { on: ["Pod"], isAlpha: true }],
  ["traffic.sidecar.istio.io/includeInboundPorts", { on: ["Pod"], isAlpha: true }],
  ["traffic.sidecar.istio.io/excludeInboundPorts", { on: ["Pod"], isAlpha: true }],
  ["traffic.sidecar.istio.io/excludeInterfaces", { on: ["Pod"], isAlpha: true }],
  ["traffic.sidecar.istio.io/includeOutboundPorts", { on: ["Pod"], isAlpha: true }],
  ["traffic.sidecar.istio.io/excludeOutboundPorts", { on: ["Pod"], isAlpha: true }],
  ["traffic.sidecar.istio.io/kubevirtInterfaces", { on: ["Pod"], isAlpha: true, isDeprecated: true }],
  ["kubernetes.io/ingress.class", { on: ["Ingress"] }],
  ["galley.istio.io/analyze-suppress", { on: ["Any"], isAlpha: true }],
  ["proxy.istio.io/config", { on: ["Pod"] }],
  ["istio.io/dry-run", { on: ["AuthorizationPolicy"], isAlpha: true }],
  ["istio.io/rev", { on: ["Pod"], isAlpha: true }],
  ["proxy.istio.io/overrides", { on: ["Pod"], isAlpha: true }],
  ["inject.istio.io/templates", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/extraStatTags", { on: ["Pod"], isAlpha: true, isDeprecated: true }],
  ["istio.io/autoRegistrationGroup", { on: ["WorkloadEntry"], isAlpha: true }],
  ["istio.io/workloadController", { on: ["WorkloadEntry"], isAlpha: true }],
  ["istio.io/connectedAt", { on: ["WorkloadEntry"], isAlpha: true }],
  ["istio.io/disconnectedAt", { on: ["WorkloadEntry"], isAlpha: true }],
  ["topology.istio.io/controlPlaneClusters", { on: ["Namespace"], isAlpha: true }],
  ["gateway.istio.io/controller-version", { on: ["Any"], isAlpha: true }],
  ["ambient.istio.io/redirection", { on: ["Pod"] }],
  ["ambient.istio.io/waypoint-inbound-binding", { on: ["GatewayClass", "Gateway"], isAlpha: true }],
  ["gateway.istio.io/service-account", { on: ["Gateway"], isAlpha: true }],
  ["gateway.istio.io/name-override", { on: ["Gateway"], isAlpha: true }],
  ["networking.istio.io/service-type", { on: ["Gateway"], isAlpha: true }],
  ["networking.istio.io/traffic-distribution", { on: ["Namespace", "Service", "ServiceEntry"], isAlpha: true }],
  ["istio.io/use-waypoint-canary-weight", { on: ["Service", "ServiceEntry", "Namespace"], isAlpha: true }],
  ["ambient.istio.io/bypass-inbound-capture", { on: ["Pod"], isAlpha: true }],
  ["istio.io/reroute-virtual-interfaces", { on: ["Pod"], isAlpha: true }],
  ["ambient.istio.io/dns-capture", { on: ["Pod"], isAlpha: true }],
  ["sidecar.istio.io/statsCompression", { on: ["Pod"], isAlpha: true, isDeprecated: true }],
]);

/** Whether an annotation is Istio's to know. */
export function isIstioAnnotation(name: string): boolean {
  return name === "kubernetes.io/ingress.class" || (name.split("/")[0] ?? "").endsWith("istio.io");
}
