// What keeps a workload from running on this machine, as diagnostics WEFT06xx. Pure.
import type { Diagnostic } from "../model/diagnostic.ts";
import { isAttached, unknownAttachments } from "./attachments.ts";
import { expandProgram, imageName, type LocalProgram, localProgramFor } from "./program.ts";
import type { Desired, DesiredWorkload } from "./protocol.ts";

/** The program for a workload's first container; undefined where none is known, or where it names what is not there: it is not started then. */
export function programOf(workload: DesiredWorkload, desired: Desired): LocalProgram | undefined {
  const [container] = workload.spec.template.spec.containers;
  const program = container === undefined ? undefined : localProgramFor(container.image, desired.localRuns);
  return program === undefined || unknownNames(workload, program, desired).length > 0 ? undefined : program;
}

/** Everything that is wrong with the local run of one workload. `failure`: why its program could not be started. */
export function workloadDiagnostics(workload: DesiredWorkload, desired: Desired, failure: string | undefined): readonly Diagnostic[] {
  const [container, ...more] = workload.spec.template.spec.containers;
  if (container === undefined) return [];
  const found: Diagnostic[] = [];
  const report = (code: string, severity: Diagnostic["severity"], what: string, fix: string): void => {
    found.push({ code, severity, origin: workload.origin, resource: `Deployment ${workload.namespace}/${workload.name}`, what, fix });
  };
  const program = localProgramFor(container.image, desired.localRuns);
  if (program === undefined && isAttached(workload, desired)) return found;
  if (program === undefined) {
    const entry = `{image: ${imageName(container.image)}, command: [PROGRAM, ARGUMENT]}`;
    const where = desired.localRuns.length === 0 ? "add a document of kind LocalRun with it under spec.images" : "add it to spec.images of the LocalRun";
    report("WEFT0601", "error", `no local command stands for the image ${container.image}, so it is not started`, `${where}: ${entry}`);
    return found;
  }
  const unknown = unknownNames(workload, program, desired);
  if (unknown.length > 0) {
    const services = desired.hosts.map(({ name }) => name).join(", ") || "none";
    const what = `the local command for the image ${container.image} names what is not there: ${unknown.join(", ")}; it is not started`;
    report("WEFT0602", "error", what, `correct the name in the LocalRun, or add the Service (there are: ${services})`);
  }
  if (failure !== undefined)
    report("WEFT0603", "error", failure, `correct command or directory of the image ${imageName(container.image)} in the LocalRun, or install the program`);
  if (more.length > 0) {
    const others = more.map(({ name }) => name).join(", ");
    report(
      "WEFT0604",
      "warning",
      `only the first container, ${container.name}, runs locally; not ${others}`,
      "have its program do their work on a laptop, or run them as Deployments",
    );
  }
  const missing = container.env.filter(({ name, value, valueFrom }) => value === undefined && valueFrom !== undefined && !(name in program.entry.env));
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(", ");
    report(
      "WEFT0605",
      "warning",
      `${names} would come from the cluster (valueFrom) and is not set here`,
      "give a local value under env of the image in the LocalRun",
    );
  }
  return found;
}

/** Places do not matter for the question whether a name exists. */
function unknownNames(workload: DesiredWorkload, { entry }: LocalProgram, { hosts }: Desired): readonly string[] {
  const [container] = workload.spec.template.spec.containers;
  if (container === undefined) return [];
  const ports = workload.ports.map((port) => ({ ...port, port: port.containerPort }));
  const texts = { podIp: "", podName: "", zone: "", imageTag: "", listen: [], baseEnv: {} };
  const expanded = expandProgram(entry, container, { ...texts, port: 0, ports, namespace: workload.namespace, service: () => "", hosts });
  return expanded.kind === "unknown-names" ? expanded.expressions : [];
}

/** Attachments that name no Deployment: they are left out. */
export function attachmentDiagnostics(desired: Desired): readonly Diagnostic[] {
  const names = desired.workloads.map(({ name }) => name).join(", ") || "none";
  return unknownAttachments(desired).map(({ origin, attachment }) => ({
    code: "WEFT0606",
    severity: "error",
    origin,
    what: `attach names the workload ${attachment.workload}, and there is no such Deployment, or several`,
    fix: `name one of ${names}, as NAME or NAME.NAMESPACE`,
  }));
}
