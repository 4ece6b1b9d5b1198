// A recorded connection to a workload's own port, through Weft's translation: the cluster that takes it, or why none does, in the words of Istio's simulator.
import { buildMesh } from "../mesh/build.ts";
import type { InboundPort, Instance, Proxy } from "../mesh/instance.ts";
import type { Resources, ServiceEntry } from "../model/resource.ts";
import { type ConnectionEnd, matchListener } from "../simulate/match-listener.ts";
import { INBOUND_ORIGINAL_CLUSTER } from "../translate/names.ts";
import { createConfigurations } from "../what-if/configuration.ts";

/** The cluster domain of the meshes that recorded requests are sent through. */
export const DOMAIN = "cluster.local";
/** Istio's recorder gives every proxy this address. */
export const PROXY_ADDRESS = "1.1.1.1";

/** The proxy as it was recorded. */
export interface RecordedProxy {
  readonly proxyNamespace: string;
  readonly proxyLabels?: Readonly<Record<string, string>> | null | undefined;
}

/** The part of a recorded call that inbound listeners look at. */
export interface InboundCall {
  readonly port: number;
  readonly tls: string;
  readonly alpn: string;
  readonly sni: string;
}

/** Where the system sends connections that come in. */
const CAPTURE = { address: "0.0.0.0", port: 15_006 };

/** Sends the connection to the port's own listener, or to the one that takes the rest. */
export function answerInbound(recorded: RecordedProxy, resources: Resources, sent: InboundCall): string {
  const labels = recorded.proxyLabels ?? {};
  const here = resources.serviceEntries.filter(({ spec }) => spec.endpoints.some(({ address }) => address === PROXY_ADDRESS));
  const numbers = here.flatMap(({ spec }) => spec.ports.map(({ number, targetPort }) => targetPort ?? number));
  const ports = [...new Set(numbers)].map((containerPort) => ({ containerPort, boundPort: containerPort }));
  const place = {
    namespace: recorded.proxyNamespace,
    workload: "recorded",
    labels,
    serviceAccount: "default",
    locality: { region: "", zone: "", subzone: "" },
  };
  const instance: Instance = { ...place, name: "recorded", address: PROXY_ADDRESS, ports, ready: true, hasSidecar: true };
  const inbound = ports.map(({ containerPort }): InboundPort => {
    const at = { address: PROXY_ADDRESS, port: containerPort };
    return { containerPort, listen: at, application: at };
  });
  const capture = { outboundPort: 15_001, inboundPort: CAPTURE.port };
  const proxy: Proxy = { ...place, id: "recorded", kind: "sidecar", inbound, outbound: [], gatewayPorts: [], captures: true, capture };
  const serviceEntries = resources.serviceEntries.map((entry) => (here.includes(entry) ? selecting(entry, labels) : entry));
  const mesh = buildMesh({ resources: { ...resources, serviceEntries }, instances: [instance], proxies: [proxy], domain: DOMAIN });
  const configuration = createConfigurations(mesh)(proxy);
  const listener = configuration.listenerAt({ address: PROXY_ADDRESS, port: sent.port }) ?? configuration.listenerAt(CAPTURE);
  if (listener === undefined) return "no listener matched";
  const encrypted = sent.tls !== "plaintext";
  const end = matchListener(listener, {
    address: PROXY_ADDRESS,
    port: sent.port,
    transport: encrypted ? "tls" : "raw_buffer",
    serverName: sent.sni,
    applicationProtocols: sent.alpn === "" ? [] : [sent.alpn],
  });
  return endText(end, encrypted);
}

/** Whose endpoint is this very proxy: Istio finds it by the address, Weft by labels. */
function selecting(entry: ServiceEntry, labels: Readonly<Record<string, string>>): ServiceEntry {
  return { ...entry, spec: { ...entry.spec, endpoints: [], workloadSelector: { labels } } };
}

function endText(end: ConnectionEnd, encrypted: boolean): string {
  switch (end.kind) {
    case "no filter chain":
      return "no filter chains matched";
    case "unsupported":
      return end.what;
    case "tcp":
      return end.clusters[0]?.cluster === INBOUND_ORIGINAL_CLUSTER ? "InboundPassthroughCluster" : (end.clusters[0]?.cluster ?? "");
    case "http": {
      // A client hello is no request.
      if (encrypted && end.chain.transportSocket === undefined) return "protocol error";
      const { routeSpecifier } = end.manager;
      return routeSpecifier.case === "routeConfig" ? routeSpecifier.value.name : "no route matched";
    }
  }
}
