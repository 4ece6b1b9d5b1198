// Which files a `weft logs` is about. Pure.
import type { PsRow, ReadyAnswer } from "../local/api.ts";
import { logPathsOf, slotName } from "../local/layout.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { type NamedInstance, parseWorkloadName, selectInstances } from "./workload-name.ts";

/** `output`: what the application (or the control plane) writes. Gateways have no application: theirs is the access log. */
export type LogKind = "output" | "access" | "envoy";

/** `label` stands before each line where there are several files. */
export interface LogFile {
  readonly label: string;
  readonly path: string;
}

/** What has logs in a mesh. */
export interface LogSources {
  readonly instances: readonly (NamedInstance & { readonly log: string; readonly accessLog: string; readonly envoyLog: string })[];
  readonly gateways: ReadyAnswer["gateways"];
  readonly controlPlaneLog: string;
}

/** What runs, and what was stopped: its logs are still there. */
export function logSources({ workloads, gateways, controlPlane, logs }: ReadyAnswer, rows: readonly PsRow[]): LogSources {
  const running = workloads.map(({ workload, namespace, instance, zone, log, accessLog, sidecar }) => ({
    workload,
    namespace,
    instance,
    zone,
    log,
    accessLog,
    envoyLog: sidecar.log,
  }));
  const stopped = rows
    .filter((row) => row.kind === "workload" && !running.some(({ namespace, instance }) => namespace === row.namespace && instance === row.instance))
    .map(({ workload, namespace, instance, zone }) => {
      const { application, access, envoy } = logPathsOf(logs, slotName(namespace, instance));
      return { workload, namespace, instance, zone, log: application, accessLog: access, envoyLog: envoy };
    });
  return { instances: [...running, ...stopped], gateways, controlPlaneLog: controlPlane.log };
}

/** The files of a target, or of everything; in the order of the mesh. Throws a CommandError where the target is none. */
export function logFilesOf(sources: LogSources, target: string | undefined, kind: LogKind, namespace?: string): readonly LogFile[] {
  const { instances, gateways, controlPlaneLog } = sources;
  const ofGateways = gateways.map(({ name, accessLog, log }) => ({ label: name, path: kind === "envoy" ? log : accessLog }));
  const ofInstances = (chosen: LogSources["instances"]) =>
    chosen.map(({ instance, log, accessLog, envoyLog }) => ({ label: instance, path: kind === "output" ? log : kind === "access" ? accessLog : envoyLog }));
  if (target === undefined) return [...ofInstances(instances), ...(kind === "output" ? [] : ofGateways)];
  // A Deployment may have any name: it goes before Weft's own words.
  if (!instances.some(({ workload }) => workload === target)) {
    if (target === "control-plane") {
      if (kind !== "output")
        throw new CommandError(`the control plane has no ${kind === "access" ? "access" : "Envoy"} log`, "Leave --access and --envoy out", EXIT.usage);
      return [{ label: target, path: controlPlaneLog }];
    }
    if (target === "gateway" && ofGateways.length === 0) throw new CommandError("this mesh has no gateway", "A resource of kind Gateway brings one");
    if (target === "gateway") return ofGateways;
    const named = gateways.findIndex(({ name }) => isGatewayNamed(name, target));
    if (named >= 0) return ofGateways.slice(named, named + 1);
  }
  return ofInstances(selectInstances(instances, parseWorkloadName(target), namespace));
}

/** Whether `istio=ingressgateway` is meant by its selector, or by the label's value. */
export function isGatewayNamed(name: string, target: string): boolean {
  return target === name || name.split(",").some((label) => label.split("=")[1] === target);
}
