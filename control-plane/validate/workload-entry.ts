// WorkloadEntries, endpoints of ServiceEntries, and WorkloadGroups. Source: Istio validateWorkloadEntry, ValidateWorkloadGroup.
import type { FieldPath, WorkloadEntry, WorkloadGroup } from "../model/resource.ts";
import type { WorkloadEntrySpec } from "../model/workload-entry.ts";
import { domainFault, isIpAddress, labelsOfFault } from "./names.ts";
import { checkPortName, checkUnixSocket, UNIX } from "./ports.ts";
import { error, type Problem, warning } from "./problem.ts";

const CODE = "WEFT0384";

/** Everything that a WorkloadEntry by itself can get wrong. */
export function checkWorkloadEntry({ spec }: Pick<WorkloadEntry, "spec">): readonly Problem[] {
  return checkEndpoint(spec, ["spec"], { mayBeName: true });
}

interface EndpointContext {
  /** Names of the service's ports; absent where the service is not known. */
  readonly servicePorts?: ReadonlySet<string>;
  /** Whether the address may be a host name. */
  readonly mayBeName: boolean;
}

/** One endpoint. */
export function checkEndpoint(entry: WorkloadEntrySpec, path: FieldPath, { servicePorts, mayBeName }: EndpointContext): readonly Problem[] {
  const { address = "", network = "", ports, labels } = entry;
  if (address === "" && network === "") return [error(CODE, path, "the endpoint has no address", "add `address:`")];
  const at = [...path, "address"];
  const isSocket = address.startsWith(UNIX);
  const problems: Problem[] = [];
  if (address === "") problems.push(warning(CODE, path, "the endpoint has a network and no address", "add `address:`"));
  else if (isSocket) problems.push(...checkUnixSocket(CODE, address, at));
  else if (!isIpAddress(address) && (!mayBeName || domainFault(address) !== undefined))
    problems.push(
      error(
        CODE,
        at,
        `"${address}" is not ${mayBeName ? "a host name or an IP address" : "an IP address"}`,
        "write the address without a port; ports stand in `ports:`",
      ),
    );
  if (isSocket && Object.keys(ports).length > 0) problems.push(error(CODE, [...path, "ports"], "a Unix socket has no ports", "remove them"));
  for (const name of Object.keys(ports)) {
    if (servicePorts !== undefined && !servicePorts.has(name))
      problems.push(
        error(CODE, [...path, "ports", name], `the ServiceEntry has no port "${name}"`, `use ${[...servicePorts].join(", ") || "a port that it has"}`),
      );
    problems.push(...checkPortName(CODE, name, [...path, "ports", name]));
  }
  const fault = labelsOfFault(labels);
  if (fault !== undefined) problems.push(error(CODE, [...path, "labels"], fault, "use letters, digits, -, _ and ., at most 63"));
  if (isSocket && servicePorts !== undefined && servicePorts.size !== 1)
    problems.push(error(CODE, at, "a Unix socket serves exactly one port of the service", "keep one port"));
  return problems;
}

const PROBES = ["httpGet", "tcpSocket", "exec", "grpc"] as const;
/** As Kubernetes' own probes have it. */
const PROBE_HEADER = /^[-A-Za-z0-9]+$/;

/** Everything that a WorkloadGroup by itself can get wrong. The template needs no address: it comes with the workload. */
export function checkWorkloadGroup({ spec }: Pick<WorkloadGroup, "spec">): readonly Problem[] {
  const problems: Problem[] = [];
  const fault = labelsOfFault(spec.metadata?.labels ?? {});
  if (fault !== undefined) problems.push(error(CODE, ["spec", "metadata", "labels"], fault, "use letters, digits, -, _ and ., at most 63"));
  const { address = "", ports } = spec.template;
  if (address.startsWith(UNIX)) {
    problems.push(...checkUnixSocket(CODE, address, ["spec", "template", "address"]));
    if (Object.keys(ports).length > 0) problems.push(error(CODE, ["spec", "template", "ports"], "a Unix socket has no ports", "remove them"));
  }
  return [...problems, ...checkProbe(spec.probe, ["spec", "probe"])];
}

function checkProbe(probe: WorkloadGroup["spec"]["probe"], path: FieldPath): readonly Problem[] {
  if (probe === undefined) return [];
  const set = PROBES.filter((field) => probe[field] !== undefined);
  if (set.length !== 1)
    return [
      error(CODE, path, set.length === 0 ? "the probe has no method" : `a probe has one method, not ${set.join(" and ")}`, `keep one of ${PROBES.join(", ")}`),
    ];
  const problems: Problem[] = [];
  const { httpGet, exec } = probe;
  const scheme = httpGet?.scheme ?? "";
  if (scheme !== "" && scheme !== "HTTP" && scheme !== "HTTPS")
    problems.push(error(CODE, [...path, "httpGet", "scheme"], `"${scheme}" is not a scheme of a probe`, "use HTTP or HTTPS"));
  for (const [index, { name = "" }] of (httpGet?.httpHeaders ?? []).entries()) {
    if (!PROBE_HEADER.test(name))
      problems.push(error(CODE, [...path, "httpGet", "httpHeaders", index, "name"], `"${name}" is not the name of a header`, "use letters, digits and -"));
  }
  if (exec !== undefined && exec.command.length === 0) problems.push(error(CODE, [...path, "exec"], "the probe runs no command", "add `command:`"));
  return problems;
}
