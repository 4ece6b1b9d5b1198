// Which files a `weft logs` is about. Pure.
import type { ReadyAnswer } from "../local/api.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { parseWorkloadName, selectInstances } from "./workload-name.ts";

/** `output`: what the application (or the control plane) writes. Gateways have no application: theirs is the access log. */
export type LogKind = "output" | "access" | "envoy";

/** `label` stands before each line where there are several files. */
export interface LogFile {
  readonly label: string;
  readonly path: string;
}

/** The files of a target, or of everything; sorted as the mesh lists them. Throws a CommandError where the target is none. */
export function logFilesOf(
  ready: Pick<ReadyAnswer, "workloads" | "gateways" | "controlPlane">,
  target: string | undefined,
  kind: LogKind,
  namespace?: string,
): readonly LogFile[] {
  const { workloads, gateways, controlPlane } = ready;
  const ofGateways = gateways.map(({ name, accessLog, log }) => ({ label: name, path: kind === "envoy" ? log : accessLog }));
  const ofWorkloads = (chosen: typeof workloads) =>
    chosen.map(({ instance, log, accessLog, sidecar }) => ({ label: instance, path: kind === "output" ? log : kind === "access" ? accessLog : sidecar.log }));
  if (target === undefined) return [...ofWorkloads(workloads), ...(kind === "output" ? [] : ofGateways)];
  // A Deployment may have any name: it goes before Weft's own words.
  if (!workloads.some(({ workload }) => workload === target)) {
    if (target === "control-plane") {
      if (kind !== "output")
        throw new CommandError(`the control plane has no ${kind === "access" ? "access" : "Envoy"} log`, "Leave --access and --envoy out", EXIT.usage);
      return [{ label: target, path: controlPlane.log }];
    }
    const named = gateways.findIndex(({ name }) => target === name || name.split(",").some((label) => label.split("=")[1] === target));
    if (target === "gateway" && ofGateways.length === 0) throw new CommandError("this mesh has no gateway", "A resource of kind Gateway brings one");
    if (target === "gateway") return ofGateways;
    if (named >= 0) return ofGateways.slice(named, named + 1);
  }
  return ofWorkloads(selectInstances(workloads, parseWorkloadName(target), namespace));
}
