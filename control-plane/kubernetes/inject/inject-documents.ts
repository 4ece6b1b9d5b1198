// Injection without a cluster: a text of YAML documents comes in, the same with a proxy in every workload goes out. What holds no pods keeps its very text. Pure.
import { type Document, isMap, parseAllDocuments } from "yaml";
import { z } from "zod";
import { inject } from "./inject.ts";
import { podSchema } from "./pod.ts";
import type { InjectionSettings } from "./settings.ts";

export interface InjectedDocuments {
  readonly text: string;
  /** `Deployment default/reviews: …`. */
  readonly warnings: readonly string[];
  /** Workloads that got a proxy, and those that did not with the reason. */
  readonly injected: readonly string[];
  readonly left: readonly string[];
}

/** Where the pod stands in each kind that has one. */
const POD_PATHS: ReadonlyMap<string, readonly string[]> = new Map([
  ["Pod", []],
  ["Deployment", ["spec", "template"]],
  ["StatefulSet", ["spec", "template"]],
  ["DaemonSet", ["spec", "template"]],
  ["ReplicaSet", ["spec", "template"]],
  ["ReplicationController", ["spec", "template"]],
  ["Job", ["spec", "template"]],
  ["CronJob", ["spec", "jobTemplate", "spec", "template"]],
  ["Rollout", ["spec", "template"]],
]);

const head = z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string().optional(), namespace: z.string().optional() }).optional() });

/** `namespace` is that of documents that name none. Throws an Error with the parser's words where the text is no YAML. */
export function injectDocuments(text: string, namespace: string, settings: InjectionSettings): InjectedDocuments {
  const found: { warnings: string[]; injected: string[]; left: string[] } = { warnings: [], injected: [], left: [] };
  const documents = parseAllDocuments(text);
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(error.message);
    if (head.safeParse(document.toJS()).data?.kind === "List") {
      const items: unknown = document.toJS().items;
      const count = Array.isArray(items) ? items.length : 0;
      for (let index = 0; index < count; index += 1) injectAt(document, ["items", index], namespace, settings, found);
    } else injectAt(document, [], namespace, settings, found);
  }
  if (found.injected.length === 0) return { text, ...found };
  const texts = documents.map((document) =>
    document
      .toString({ lineWidth: 0 })
      .replace(/^---\n/, "")
      .replace(/\n\.\.\.\n$/, "\n"),
  );
  return { text: texts.join("---\n"), ...found };
}

function injectAt(
  document: Document,
  at: readonly (string | number)[],
  defaultNamespace: string,
  settings: InjectionSettings,
  found: { readonly warnings: string[]; readonly injected: string[]; readonly left: string[] },
): void {
  const node = document.getIn(at, true);
  const read = head.safeParse(isMap(node) ? node.toJS(document) : document.toJS());
  const path = read.success ? POD_PATHS.get(read.data.kind) : undefined;
  if (!read.success || path === undefined) return;
  const { kind, metadata: { name = "", namespace = defaultNamespace } = {} } = read.data;
  const label = `${kind} ${namespace}/${name}`;
  const whole: unknown = document.getIn([...at, ...path], true);
  const pod = podSchema.safeParse(isMap(whole) ? whole.toJS(document) : undefined);
  if (!pod.success) {
    found.left.push(`${label}: it has no pod that can be read`);
    return;
  }
  const injection = inject({ pod: pod.data, namespace, settings, workload: name });
  if (!injection.injected) {
    found.left.push(`${label}: ${injection.why}`);
    return;
  }
  found.injected.push(label);
  found.warnings.push(...injection.warnings.map((warning) => `${label}: ${warning}`));
  // Comments beside what stays as it is are kept.
  document.setIn([...at, ...path, "metadata"], document.createNode(injection.pod.metadata));
  for (const [field, value] of Object.entries(injection.pod.spec)) {
    if (JSON.stringify(value) !== JSON.stringify(pod.data.spec[field]))
      document.setIn([...at, ...path, "spec", field], document.createNode(value, { aliasDuplicateObjects: false }));
  }
}
