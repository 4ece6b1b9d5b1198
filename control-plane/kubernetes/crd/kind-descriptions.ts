// One sentence for each kind, as `kubectl explain` shows it.

/** By kind. */
export const KIND_DESCRIPTIONS: Readonly<Record<string, string>> = {
  VirtualService: "Where requests to a host go: by their path, headers, source or by weight; with retries, timeouts, faults and mirrors.",
  DestinationRule: "How a host is called once it is chosen: its subsets, load balancing, localities, connections, ejection of failing endpoints, TLS.",
  Gateway: "Ports of a gateway's proxies: protocols, hosts and certificates of what comes in from outside.",
  ServiceEntry: "A host that Kubernetes does not know, made known to the mesh.",
  WorkloadEntry: "One endpoint that is no pod, such as a virtual machine.",
  WorkloadGroup: "What WorkloadEntries of one workload have in common.",
  Sidecar: "What a workload's proxy knows of the mesh, and how it takes what comes in.",
  EnvoyFilter: "A change of the proxies' own configuration. Weft reads it and does not act on it.",
  ProxyConfig: "Settings of proxies. Weft reads it and does not act on it.",
  AuthorizationPolicy: "Who may call a workload, and how.",
  PeerAuthentication: "Whether a workload asks its callers for a certificate of the mesh.",
  RequestAuthentication: "Which tokens (JWT) a workload takes for valid.",
  Telemetry: "What proxies report. Weft reads it and does not act on it.",
  WasmPlugin: "A plugin for proxies. Weft reads it and does not act on it.",
  TrafficExtension: "A plugin for proxies, wasm or Lua. Weft reads it and does not act on it.",
  MeshConfig: "Settings of the whole mesh; the one named `default` in the root namespace counts.",
  LocalRun: "How `weft up` runs a folder on a laptop. A cluster keeps it and does nothing with it, so that the whole folder can be applied.",
};
