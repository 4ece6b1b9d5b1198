// Answers the requests of a second terminal out of the fleet: rows, and stopping and starting by name.
import { readFileSync } from "node:fs";
import type { PsRow, StopStartAnswer, WorkloadSelection } from "./api.ts";
import { RequestRefused } from "./api.ts";
import type { Fleet, WorkloadZone } from "./fleet.ts";
import type { LiveGateway } from "./live-gateway.ts";
import type { LiveInstance } from "./live-instance.ts";

/** What a proxy's stream to the control plane is like. */
type StateOf = (proxyId: string) => { readonly connected: boolean; readonly upToDate: boolean };

const PAGE_BYTES = 4_096;

/** All instances, those that were stopped on purpose, and gateways. */
export function psRows(fleet: Fleet, stateOf: StateOf): readonly PsRow[] {
  const stopped = fleet.zones().filter(fleet.isStopped).flatMap(stoppedRows);
  return [
    ...fleet.instances().map((instance) => instanceRow(instance, stateOf)),
    ...stopped,
    ...fleet.gateways().map((gateway) => gatewayRow(gateway, stateOf)),
  ];
}

function instanceRow(instance: LiveInstance, stateOf: StateOf): PsRow {
  const { identity, places, proxyId } = instance;
  const { application, envoy } = instance.pids();
  const measures = measuresOf(envoy, instance.sidecarStartedInMs());
  return {
    kind: "workload",
    workload: identity.workload.name,
    namespace: identity.workload.namespace,
    instance: identity.name,
    zone: identity.locality.zone,
    state: instance.state(),
    pid: application,
    address: places.address,
    restarts: instance.restarts(),
    image: identity.workload.spec.template.spec.containers[0]?.image ?? "",
    sidecar: { id: proxyId, pid: envoy, ...stateOf(proxyId), ...measures },
  };
}

function stoppedRows({ workload, zone, replicas }: WorkloadZone): readonly PsRow[] {
  return Array.from({ length: replicas }, (_, index) => ({
    kind: "workload",
    workload: workload.name,
    namespace: workload.namespace,
    instance: `${workload.name}-${index + 1}`,
    zone,
    state: "stopped",
    pid: 0,
    address: "",
    restarts: 0,
    image: workload.spec.template.spec.containers[0]?.image ?? "",
    sidecar: { id: "", pid: 0, connected: false, upToDate: false },
  }));
}

function gatewayRow(gateway: LiveGateway, stateOf: StateOf): PsRow {
  const { identity } = gateway;
  const pid = gateway.pid();
  return {
    kind: "gateway",
    workload: identity.name,
    namespace: identity.namespace,
    instance: identity.slot,
    zone: "",
    state: gateway.ready() ? "ready" : "starting",
    pid,
    address: gateway.proxy().gatewayPorts[0]?.listen.address ?? "",
    restarts: 0,
    image: "",
    sidecar: { id: identity.id, pid, ...stateOf(identity.id), ...measuresOf(pid, gateway.startedInMs()) },
  };
}

/** What one has cost so far. */
function measuresOf(pid: number, startedInMs: number | undefined): Pick<PsRow["sidecar"], "memoryBytes" | "startedInMs"> {
  const memoryBytes = residentBytes(pid);
  return { ...(startedInMs === undefined ? {} : { startedInMs }), ...(memoryBytes === undefined ? {} : { memoryBytes }) };
}

/** Second figure of /proc/PID/statm, in pages. Source: proc(5). */
function residentBytes(pid: number): number | undefined {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
    return pid === 0 || Number.isNaN(pages) ? undefined : pages * PAGE_BYTES;
  } catch {
    return undefined;
  }
}

/** Ends what is selected without losing a request; it stays ended until it is started again. */
export async function stopSelected(fleet: Fleet, selection: WorkloadSelection): Promise<StopStartAnswer> {
  const selected = select(fleet.zones(), selection);
  const wasStopped = selected.every(fleet.isStopped);
  const instances = await fleet.stop(selected);
  return {
    instances,
    text: instances.length > 0 ? `stopped ${instances.join(", ")}` : wasStopped ? "it was stopped already" : "nothing of it ran; it stays stopped",
  };
}

/** Starts what was stopped; `untilSettled` resolves when all that is to run does. */
export async function startSelected(
  fleet: Fleet,
  selection: WorkloadSelection,
  untilSettled: (done: () => boolean) => Promise<void>,
): Promise<StopStartAnswer> {
  const selected = select(fleet.zones(), selection);
  const wasRunning = !selected.some(fleet.isStopped);
  fleet.start(selected);
  const instances = (): readonly LiveInstance[] => selected.flatMap(fleet.instancesIn).filter((instance) => instance.state() !== "draining");
  const wanted = selected.reduce((sum, { replicas }) => sum + replicas, 0);
  await untilSettled(() => instances().length >= wanted && instances().every((instance) => instance.ready() || instance.failing()));
  const failing = instances().find((instance) => !instance.ready());
  if (failing !== undefined) throw new RequestRefused(`${failing.identity.name} does not become ready. Fix: see its log, ${failing.logs.application}`);
  const names = instances().map(({ identity }) => identity.name);
  return { instances: names, text: wasRunning ? `it ran already: ${names.join(", ")}` : `started ${names.join(", ")}` };
}

/** The zones of the workload that is meant. Refused where there is none, or more than one may be meant. */
export function select(zones: readonly WorkloadZone[], { workload, namespace, zone }: WorkloadSelection): readonly WorkloadZone[] {
  const named = zones.filter((candidate) => candidate.workload.name === workload && (namespace === undefined || candidate.workload.namespace === namespace));
  const known = [...new Set(zones.map((candidate) => candidate.workload.name))];
  if (named.length === 0)
    throw new RequestRefused(`there is no workload ${workload}. Fix: name one of ${known.join(", ") || "none: the folder has no Deployments"}`);
  const namespaces = [...new Set(named.map((candidate) => candidate.workload.namespace))];
  if (namespaces.length > 1) throw new RequestRefused(`${workload} is in several namespaces. Fix: name one of ${namespaces.join(", ")}`);
  if (zone === undefined) return named;
  const exact = named.filter((candidate) => candidate.zone === zone);
  const ending = exact.length > 0 ? exact : named.filter((candidate) => candidate.zone.endsWith(zone));
  const own = named.map((candidate) => candidate.zone).join(", ");
  if (ending.length === 0) throw new RequestRefused(`${workload} has nothing in a zone ${zone}. Fix: name one of ${own}`);
  if (ending.length > 1) throw new RequestRefused(`zone ${zone} may be several. Fix: name one of ${ending.map((candidate) => candidate.zone).join(", ")}`);
  return ending;
}
