// WorkloadEntries, and the endpoints that ServiceEntries write inline, as instances: what serves and is no pod.
import type { WorkloadEntry } from "../model/resource.ts";
import type { WorkloadEntrySpec } from "../model/workload-entry.ts";
import type { Instance, Locality } from "./instance.ts";

/** How an address of a Unix socket begins. */
export const UNIX_PREFIX = "unix://";

/** Weight of something that says none; 0 says none too, as proto3 cannot tell them apart. */
const WEIGHT_DEFAULT = 1;

/** An instance that a document describes. */
interface DescribedInstance extends Instance {
  readonly weight: number;
}

/** Whether a document describes it, so that it is neither pod nor local process. */
export function isDescribed(instance: Instance): instance is DescribedInstance {
  return "weight" in instance;
}

/** Share among the endpoints of its place; pods weigh alike. */
export function weightOf(instance: Instance): number {
  return isDescribed(instance) ? instance.weight : WEIGHT_DEFAULT;
}

/** What a WorkloadEntry describes. Its own labels win over those of its spec, as in Istio (ConvertWorkloadEntry). */
export function workloadEntryInstance({ name, namespace, labels, spec }: WorkloadEntry): DescribedInstance {
  return describedInstance({ ...spec, labels: { ...spec.labels, ...labels } }, name, namespace, name);
}

/** What an inline endpoint describes; `index` counts within its ServiceEntry. */
export function inlineInstance(spec: WorkloadEntrySpec, entryName: string, namespace: string, index: number): DescribedInstance {
  return describedInstance(spec, `${entryName}-${index}`, namespace, entryName);
}

function describedInstance(spec: WorkloadEntrySpec, name: string, namespace: string, workload: string): DescribedInstance {
  const { address = "", labels, serviceAccount, weight } = spec;
  return {
    name,
    namespace,
    workload: labels.app ?? workload,
    labels,
    serviceAccount: serviceAccount ?? "",
    locality: localityOf(spec),
    address,
    ports: Object.entries(spec.ports).map(([portName, number]) => ({ name: portName, containerPort: number, boundPort: number })),
    // Without an address it is in another network, which nothing here reaches.
    ready: address !== "",
    hasSidecar: speaksMutualTls(spec),
    weight: weight || WEIGHT_DEFAULT,
  };
}

/** Source: Istio, getTLSModeFromWorkloadEntry: the label, else whether a service account is named. */
function speaksMutualTls({ labels, serviceAccount }: WorkloadEntrySpec): boolean {
  const mode = labels["security.istio.io/tlsMode"];
  return mode === undefined ? serviceAccount !== undefined && serviceAccount !== "" : mode === "istio";
}

/** `region/zone/subzone`; the label `istio-locality` has dots, since a label takes no slashes. */
function localityOf({ locality, labels }: WorkloadEntrySpec): Locality {
  const written = locality || (labels["istio-locality"] ?? "").replaceAll(".", "/");
  const [region = "", zone = "", subzone = ""] = written.split("/");
  return { region, zone, subzone };
}

/** Whether an address is neither a DNS name nor a socket: what a Service may have as endpoint. */
export function isIpAddress(address: string): boolean {
  return /^(?:\d{1,3}\.){3}\d{1,3}$/.test(address) || (address.includes(":") && /^[0-9a-fA-F:.]+$/.test(address));
}
