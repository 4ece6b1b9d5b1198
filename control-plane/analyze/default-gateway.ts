// The ingress gateway that every installation of Istio has, in no file of its users: rules about gateways must know it.
// Source: Istio pkg/config/analysis/local, defaults.go.
import { parseFile } from "../source/parse-file.ts";
import { type RawDocument, rawDocuments } from "../source/raw-documents.ts";

const FILE = "istio-ingressgateway (built in)";
const PORTS = [80, 443, 31_400, 15_443];

/** Its pod and its Service. */
export function defaultGateway(): readonly RawDocument[] {
  const metadata = { name: "istio-ingressgateway", namespace: "istio-system" };
  const ports = PORTS.map((port) => ({ name: `port-${port}`, port, protocol: "TCP", targetPort: port }));
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...metadata, labels: { istio: "ingressgateway" } },
    spec: { containers: [{ name: "istio-proxy" }] },
  };
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { ...metadata, labels: { istio: "ingressgateway" } },
    spec: { ports, selector: { istio: "ingressgateway" } },
  };
  return [pod, service].flatMap((document) => rawDocuments(parseFile(FILE, JSON.stringify(document))));
}
