// WORKLOAD[@ZONE] of the command line: reads it, and finds what it names among what runs. Pure.
import { CommandError, EXIT } from "./command-error.ts";
import { didYouMean } from "./nearest-names.ts";

/** What `WORKLOAD@ZONE` says. */
export interface WorkloadName {
  readonly workload: string;
  readonly zone?: string;
}

/** What a name is looked up among: an instance, with the workload that it is a copy of. */
export interface NamedInstance {
  readonly workload: string;
  readonly namespace: string;
  readonly instance: string;
  readonly zone: string;
}

/** Reads `product`, `product@a`, `product@ap-northeast-2a`. Throws a CommandError of usage where a part is empty. */
export function parseWorkloadName(text: string): WorkloadName {
  const [workload = "", zone, ...rest] = text.split("@");
  if (workload === "" || zone === "" || rest.length > 0) {
    throw new CommandError(`${JSON.stringify(text)} names no workload`, "Write a Deployment's name, or NAME@ZONE for its copies in one zone", EXIT.usage);
  }
  return zone === undefined ? { workload } : { workload, zone };
}

/**
 * The instances that a name means: copies of the Deployment, else the instance of that very name. Never empty.
 * Throws a CommandError where there is none, or where the namespace or the zone is ambiguous.
 */
export function selectInstances<Instance extends NamedInstance>(
  instances: readonly Instance[],
  { workload, zone }: WorkloadName,
  namespace: string | undefined,
): readonly Instance[] {
  const ofWorkload = instances.filter((instance) => instance.workload === workload);
  const named = ofWorkload.length > 0 ? ofWorkload : instances.filter(({ instance }) => instance === workload);
  if (named.length === 0) throw unknownWorkload(workload, instances);
  const namespaces = [...new Set(named.map((instance) => instance.namespace))].sort();
  if (namespace === undefined && namespaces.length > 1) {
    throw new CommandError(`${workload} is in the namespaces ${namespaces.join(", ")}`, `Name one of them: -n ${namespaces[0]}`);
  }
  const inNamespace = named.filter((instance) => namespace === undefined || instance.namespace === namespace);
  if (inNamespace.length === 0)
    throw new CommandError(`namespace ${namespace} has no workload ${workload}`, `It is in ${namespaces.join(", ")}: -n ${namespaces[0]}`);
  return zone === undefined ? inNamespace : inZone(inNamespace, workload, zone);
}

/** `no workload produkt runs in this mesh`, with the names that are near it. */
export function unknownWorkload(workload: string, instances: readonly NamedInstance[]): CommandError {
  const names = [...new Set(instances.map((instance) => instance.workload))].sort();
  const meant = didYouMean(workload, names).trim();
  const known = names.length === 0 ? "`weft ps` lists what runs" : `There ${names.length === 1 ? "is" : "are"} ${names.join(", ")}`;
  return new CommandError(`no workload ${workload} in this mesh`, meant === "" ? known : `${meant} ${known}`);
}

function inZone<Instance extends NamedInstance>(instances: readonly Instance[], workload: string, ending: string): readonly Instance[] {
  const zones = [...new Set(instances.map(({ zone }) => zone))].sort();
  const matching = zones.includes(ending) ? [ending] : zones.filter((zone) => zone.endsWith(ending));
  const known = `${workload} has copies in ${zones.map((zone) => zone || "(no zone)").join(", ")}`;
  if (matching.length === 0)
    throw new CommandError(`${workload} has no copy in a zone that ends in ${ending}`, `${known}${didYouMean(ending, zones)}`.replace(/[.?]$/, ""));
  if (matching.length > 1) throw new CommandError(`zone ${ending} is ambiguous: ${matching.join(", ")}`, `Write more of it: ${workload}@${matching[0]}`);
  return instances.filter(({ zone }) => zone === matching[0]);
}
