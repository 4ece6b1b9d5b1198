// `weft env`: what a program that somebody runs by hand needs to be a part of the mesh, as lines for a shell.
import type { ReadyWorkload } from "../local/events.ts";
import { EXIT } from "./command-error.ts";
import { findRunningMesh } from "./running-mesh.ts";
import { parseWorkloadName, selectInstances } from "./workload-name.ts";

export interface EnvOptions {
  readonly namespace?: string;
  readonly dir?: string;
}

/** Prints `export NAME='value'` for the instance that is attached, else for the first copy. */
export async function env(text: string, options: EnvOptions): Promise<number> {
  const ask = await findRunningMesh(options.dir);
  const { workloads } = await ask("ready", undefined);
  const instances = selectInstances(workloads, parseWorkloadName(text), options.namespace);
  const chosen = instances.find(({ instance, workload }) => instance.startsWith(`${workload}-attached`)) ?? instances[0];
  if (chosen !== undefined) process.stdout.write(environmentText(chosen));
  return EXIT.ok;
}

/** Addresses hold nothing that a shell would read. */
export function environmentText({ url, httpProxy, services }: ReadyWorkload): string {
  const direct = Object.values(services).map((service) => new URL(service).hostname);
  const variables: readonly (readonly [string, string])[] = [
    ["WEFT_URL", url],
    ...Object.entries(services).map(([service, address]) => [variableOf(service), address] as const),
    ...(httpProxy === ""
      ? []
      : ([
          ["HTTP_PROXY", httpProxy],
          ["NO_PROXY", ["localhost", "127.0.0.1", ...new Set(direct)].join(",")],
        ] as const)),
  ];
  return variables.map(([name, value]) => `export ${name}='${value}'\n`).join("");
}

/** `WEFT_ORDER_HISTORY_9090` for `order-history.default.svc.cluster.local:9090`; other namespaces and hosts stay in the name. */
function variableOf(service: string): string {
  const short = service.replace(/\.svc\.[^:]*/, "").replace(/^([^.:]+)\.default(?=:)/, "$1");
  return `WEFT_${short.toUpperCase().replace(/[^A-Z0-9]+/g, "_")}`;
}
