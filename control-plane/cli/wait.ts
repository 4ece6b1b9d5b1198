// `weft wait`: until every proxy that needs a resource has taken it as it stands in the file, or it is known why one will not.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { KubernetesObject } from "../source/kubernetes-api.ts";
import { collectionPath } from "../source/kubernetes-discovery.ts";
import { clusterFile } from "../source/kubernetes-file.ts";
import { parseFile } from "../source/parse-file.ts";
import { type ClusterChoice, type ClusterOption, openCluster, told } from "./cluster-mesh.ts";
import { type ObjectState, stateOf } from "./cluster-status.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { findControlPlane, type ListedResource, resourceStatuses } from "./control-plane-answers.ts";
import { chooseResources, kindNamed, labelOf } from "./get.ts";

export interface WaitOptions extends ClusterOption {
  readonly dir?: string;
  readonly namespace?: string;
  readonly timeout: number;
  readonly output: string;
}

/** What a look at the mesh says of a resource. */
export interface WaitState {
  readonly resource: string;
  /** Every proxy that needs it has it. */
  readonly done: boolean;
  readonly proxies: number;
  readonly taken: number;
  /** Proxies that have not taken it, each with what is known of why. */
  readonly waiting: readonly string[];
  /** Errors that no waiting will mend. */
  readonly problems: readonly string[];
}

const LOOK_EVERY_MS = 100;
const LOOK_AT_CLUSTER_MS = 300;

/** Waits. Fails at once where the resource is refused, and when the time is over. */
export async function wait(resource: string, options: WaitOptions): Promise<number> {
  const [kind = "", ...rest] = resource.split("/");
  const name = rest.join("/");
  if (name === "")
    throw new CommandError(`${JSON.stringify(resource)} names no resource`, "Write KIND/NAME or KIND/NAMESPACE/NAME: virtualservice/reviews", EXIT.usage);
  if (options.cluster !== undefined) return waitInCluster(kind, name, options, options.cluster);
  const { ready, ask } = await findControlPlane(options.dir);
  const endMs = performance.now() + options.timeout * 1_000;
  for (;;) {
    const [found] = chooseResources(await ask("/resources", resourceStatuses), kind, name, options.namespace);
    if (found === undefined) throw new CommandError(`there is no ${resource}`, "`npx weft get` lists what there is");
    const state = waitState(found, await isStale(found, ready.folder));
    const over = performance.now() > endMs;
    if (state.done || state.problems.length > 0 || over) {
      process.stdout.write(`${options.output === "json" ? JSON.stringify(state, undefined, 2) : waitText(state, options.timeout)}\n`);
      return state.done ? EXIT.ok : EXIT.failed;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** A cluster's objects say themselves how far they are. */
async function waitInCluster(kind: string, name: string, { namespace, timeout, output }: WaitOptions, choice: ClusterChoice): Promise<number> {
  const cluster = await openCluster(choice);
  try {
    const kinds = cluster.kinds.filter(({ group, hasStatus }) => group !== "" && hasStatus);
    const wanted = kindNamed(
      kind,
      kinds.map((each) => each.kind),
    );
    const served = kinds.find((each) => each.kind === wanted);
    if (served === undefined) throw new CommandError(`the cluster has no kind ${kind} with a status`, `It has ${kinds.map((each) => each.kind).join(", ")}`);
    const [ownNamespace, ownName] = name.includes("/") ? name.split("/") : [namespace ?? cluster.connection.namespace, name];
    const path = `${collectionPath(served, ownNamespace)}/${ownName}`;
    const endMs = performance.now() + timeout * 1_000;
    for (;;) {
      const { body } = await told(cluster.api.ask({ path }), choice.context);
      const file = clusterFile(served, body as KubernetesObject);
      const state = clusterWaitState(labelOf({ kind: served.kind, namespace: file.namespace, name: file.name }), stateOf(file));
      if (state.done || state.problems.length > 0 || performance.now() > endMs) {
        process.stdout.write(`${output === "json" ? JSON.stringify(state, undefined, 2) : waitText(state, timeout)}\n`);
        return state.done ? EXIT.ok : EXIT.failed;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_AT_CLUSTER_MS));
    }
  } finally {
    cluster.close();
  }
}

function clusterWaitState(resource: string, state: ObjectState | undefined): WaitState {
  const [taken = 0, proxies = 0] = (state?.proxies ?? "").split("/").map(Number);
  const waiting = state?.seen === true ? [] : ["no control plane has looked at it as it is now"];
  return { resource, done: state?.done === true, proxies, taken, waiting, problems: state?.problems ?? [] };
}

/** `stale`: the file says something else than what serves. */
export function waitState(found: ListedResource, stale: boolean): WaitState {
  const waiting = found.proxies
    .filter(({ taken }) => !taken)
    .map(({ proxyId, connected }) => `${proxyId}: ${connected ? "has not acknowledged it yet" : "is not connected"}`);
  const done = !stale && waiting.length === 0 && found.problems.length === 0;
  const unread = stale ? ["what stands in the file does not serve yet"] : [];
  return {
    resource: labelOf(found),
    done,
    proxies: found.proxies.length,
    taken: found.proxies.length - waiting.length,
    waiting: [...unread, ...waiting],
    problems: found.problems,
  };
}

/** The state as a person reads it. */
export function waitText({ resource, done, proxies, taken, waiting, problems }: WaitState, timeoutSeconds: number): string {
  if (done)
    return proxies === 0
      ? `${resource}: no proxy needs it`
      : `${resource}: ${proxies === 1 ? "the one proxy that needs it has it" : `all ${proxies} proxies that need it have it`}`;
  if (problems.length > 0) return [`${resource} will not get there: what served before still does`, ...problems.map((problem) => `  ${problem}`)].join("\n");
  return [`${resource}: ${taken} of ${proxies} proxies have it after ${timeoutSeconds} s`, ...waiting.map((line) => `  ${line}`)].join("\n");
}

/** Whether the file has another version than the one that serves. A document that cannot be read is a problem of its own, told by the control plane. */
async function isStale({ kind, namespace, name, origin, digest }: ListedResource, folder: string): Promise<boolean> {
  const text = await readFile(join(folder, origin.file), "utf8").catch(() => undefined);
  if (text === undefined) return false;
  const written = parseFile(origin.file, text).resources.find((each) => each.kind === kind && each.namespace === namespace && each.name === name);
  return written !== undefined && written.digest !== digest;
}
