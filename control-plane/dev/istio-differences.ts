// Where Weft takes a field of Istio's API otherwise than Istio does, or refuses it as Istio does: for the page of the API.

export interface Difference {
  readonly kind: string;
  /** As the page writes it: `http[].retries`. What is below it is meant, too. */
  readonly field: string;
  readonly standing: "refused" | "differs";
  readonly note: string;
}

const NO_MEANING = "means nothing in Istio either, which refuses it";

export const DIFFERENCES: readonly Difference[] = [
  { kind: "VirtualService", field: "hosts", standing: "differs", note: "several VirtualServices for one host merge on the mesh, too, not only at gateways" },
  { kind: "VirtualService", field: "http[].route[].weight", standing: "differs", note: "users can stick to a destination: annotation `weft.mesh/sticky`" },
  {
    kind: "VirtualService",
    field: "http[].retries",
    standing: "differs",
    note: "where none are written Weft repeats only what is safe to repeat; `defaults: istio` repeats as Istio does",
  },
  { kind: "VirtualService", field: "http[].fault.delay.exponentialDelay", standing: "refused", note: "in Istio's API, and always refused by it" },
  { kind: "VirtualService", field: "http[].fault.abort.http2Error", standing: "refused", note: "in Istio's API, and always refused by it" },
  { kind: "VirtualService", field: "http[].websocketUpgrade", standing: "differs", note: "of Istio's first version: warned of, WebSockets pass by themselves" },
  {
    kind: "DestinationRule",
    field: "trafficPolicy.outlierDetection",
    standing: "differs",
    note: "where none is written Weft ejects a host after three connection failures in a row; `defaults: istio` ejects none",
  },
  {
    kind: "DestinationRule",
    field: "trafficPolicy.loadBalancer.localityLbSetting",
    standing: "differs",
    note: "works without outlierDetection, and splits by capacity where `enabled: true`; `defaults: istio` does as Istio does",
  },
  {
    kind: "DestinationRule",
    field: "trafficPolicy.connectionPool.tcp.connectTimeout",
    standing: "differs",
    note: "1.5s within the mesh where none is written, 10s with `defaults: istio`",
  },
  { kind: "Gateway", field: "servers[].port.targetPort", standing: "refused", note: NO_MEANING },
  { kind: "Gateway", field: "servers[].port.number", standing: "differs", note: "on a laptop a port below 1024 is that number + 8000" },
  { kind: "Gateway", field: "selector", standing: "differs", note: "on a laptop one gateway serves whatever it selects" },
  { kind: "Sidecar", field: "ingress[].port.targetPort", standing: "refused", note: NO_MEANING },
  { kind: "Sidecar", field: "egress[].port.targetPort", standing: "refused", note: NO_MEANING },
  { kind: "Sidecar", field: "ingress[].tls.subjectAltNames", standing: "refused", note: NO_MEANING },
  { kind: "Sidecar", field: "ingress[].tls.httpsRedirect", standing: "refused", note: NO_MEANING },
  { kind: "Sidecar", field: "ingress[].tls.credentialName", standing: "refused", note: NO_MEANING },
  { kind: "Sidecar", field: "ingress[].tls.credentialNames", standing: "refused", note: NO_MEANING },
  { kind: "Sidecar", field: "ingress[].tls.tlsCertificates", standing: "refused", note: NO_MEANING },
  {
    kind: "AuthorizationPolicy",
    field: "rules[].to[].operation.paths",
    standing: "differs",
    note: "what a DENY or CUSTOM policy names is meant in any case of letters and with any path parameters (`/Admin;x=1`); `defaults: istio` compares as Istio does",
  },
  {
    kind: "AuthorizationPolicy",
    field: "rules[].to[].operation.notPaths",
    standing: "differs",
    note: "what an ALLOW policy excepts is excepted in any case of letters and with any path parameters; `defaults: istio` compares as Istio does",
  },
  {
    kind: "RequestAuthentication",
    field: "jwtRules[].presence",
    standing: "differs",
    note: "no field of Istio's API: warned of, a cluster drops it in silence",
  },
];
