// `weft get`: the resources of a mesh: those that serve, where it runs, else those of its YAML.
import { stringify } from "yaml";
import type { AnyResource } from "../model/resource.ts";
import type { ClusterFile } from "../source/kubernetes-file.ts";
import { imagineMesh } from "../what-if/imagine.ts";
import { type ClusterChoice, type ClusterOption, clusterFiles, openCluster } from "./cluster-mesh.ts";
import { stateOf } from "./cluster-status.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { findControlPlane, type ListedResource, resourceStatuses } from "./control-plane-answers.ts";
import { readMeshFiles } from "./mesh-files.ts";
import { didYouMean } from "./nearest-names.ts";
import { type Style, styleOf } from "./style.ts";
import { alignColumns } from "./table.ts";

export interface GetOptions extends ClusterOption {
  readonly dir?: string;
  readonly namespace?: string;
  readonly output: string;
}

/** A resource of a cluster says itself how many proxies have it. */
interface CountedResource extends ListedResource {
  readonly counted?: string;
}

/** Short names that `kubectl` users type. */
const SHORT: Readonly<Record<string, string>> = {
  vs: "VirtualService",
  dr: "DestinationRule",
  gw: "Gateway",
  se: "ServiceEntry",
  we: "WorkloadEntry",
  wg: "WorkloadGroup",
  svc: "Service",
  deploy: "Deployment",
  ns: "Namespace",
  pa: "PeerAuthentication",
  ra: "RequestAuthentication",
  ap: "AuthorizationPolicy",
};

/** Prints resources of a kind, or of all kinds. */
export async function get(kind: string | undefined, name: string | undefined, options: GetOptions): Promise<number> {
  const { resources, from } = options.cluster === undefined ? await listed(options.dir) : await listedInCluster(options.cluster);
  const chosen = chooseResources(resources, kind, name, options.namespace);
  process.stdout.write(`${getText(chosen, options.output, name !== undefined, styleOf(process.stdout, process.env))}\n`);
  if (options.output === "table") process.stderr.write(`${from}\n`);
  return EXIT.ok;
}

/** The whole name of a kind as it was typed: any case, plural, short. */
export function kindNamed(typed: string, kinds: readonly string[]): string | undefined {
  const lower = typed.toLowerCase();
  const spellings = [lower, lower.replace(/s$/, ""), lower.replace(/es$/, ""), lower.replace(/ies$/, "y")];
  return kinds.find((kind) => spellings.includes(kind.toLowerCase()) || SHORT[lower] === kind);
}

/** Those that are meant. Throws a CommandError where a kind or a name is unknown. */
export function chooseResources<Listed extends Pick<ListedResource, "kind" | "namespace" | "name">>(
  resources: readonly Listed[],
  kind: string | undefined,
  name: string | undefined,
  namespace: string | undefined,
): readonly Listed[] {
  const kinds = [...new Set(resources.map((resource) => resource.kind))];
  const wanted = kind === undefined ? undefined : kindNamed(kind, kinds);
  if (kind !== undefined && wanted === undefined)
    throw new CommandError(
      `there is no resource of kind ${kind}`,
      `There are ${kinds.sort().join(", ") || "none"}${didYouMean(kind, kinds)}`.replace(/[.?]$/, ""),
    );
  const [ownNamespace, ownName] = name?.includes("/") ? name.split("/") : [namespace, name];
  const ofKind = resources.filter(
    (resource) => (wanted === undefined || resource.kind === wanted) && (ownNamespace === undefined || resource.namespace === ownNamespace),
  );
  const found = ownName === undefined ? ofKind : ofKind.filter((resource) => resource.name === ownName);
  if (name !== undefined && found.length === 0)
    throw new CommandError(`there is no ${wanted} ${name}`, `There are ${ofKind.map((each) => `${each.namespace}/${each.name}`).join(", ") || "none"}`);
  return found;
}

async function listed(dir: string | undefined): Promise<{ readonly resources: readonly ListedResource[]; readonly from: string }> {
  try {
    const { ready, ask } = await findControlPlane(dir);
    return { resources: await ask("/resources", resourceStatuses), from: `what serves in the mesh of ${ready.folder}` };
  } catch (error) {
    if (!(error instanceof CommandError) || !/^no mesh runs/.test(error.message)) throw error;
    const folder = dir ?? ".";
    const { resources } = imagineMesh(await readMeshFiles([folder]));
    const all: readonly AnyResource[] = Object.values(resources).flat();
    return { resources: all.map((resource) => ({ ...resource, proxies: [], problems: [] })), from: `the YAML of ${folder}: no mesh runs for it` };
  }
}

/** The objects of a cluster, with what their statuses say. */
async function listedInCluster(choice: ClusterChoice): Promise<{ readonly resources: readonly CountedResource[]; readonly from: string }> {
  const cluster = await openCluster(choice);
  try {
    const files = await clusterFiles(cluster);
    const { resources, diagnostics } = imagineMesh(new Map([...files].map(([file, { text }]) => [file, text])));
    const all: readonly AnyResource[] = Object.values(resources).flat();
    const known = new Set(all.map(({ origin }) => origin.file));
    const broken = [...files.values()].filter(({ file }) => !known.has(file));
    return {
      resources: [
        ...all.map((resource) => ({ ...resource, ...countedOf(files.get(resource.origin.file)) })),
        ...broken.map((file) => {
          const { labels = {}, annotations = {} } = file.object.metadata;
          const said = diagnostics.filter(({ origin, severity }) => origin.file === file.file && severity === "error").map(({ what }) => what);
          const { kind, namespace, name } = file;
          const about = {
            kind: kind.kind,
            namespace,
            name,
            labels,
            annotations,
            spec: file.object.spec,
            digest: "",
            origin: { file: file.file, line: 1, column: 1 },
          };
          return { ...about, proxies: [], problems: said };
        }),
      ].sort((a, b) => (`${a.kind}/${a.namespace}/${a.name}` < `${b.kind}/${b.namespace}/${b.name}` ? -1 : 1)),
      from: `the objects of ${choice.context}`,
    };
  } finally {
    cluster.close();
  }
}

function countedOf(file: ClusterFile | undefined): Pick<CountedResource, "counted"> & { proxies: []; problems: string[] } {
  const state = file === undefined ? undefined : stateOf(file);
  if (state === undefined) return { proxies: [], problems: [] };
  return { proxies: [], problems: state.seen ? [...state.problems] : ["no control plane has looked at it yet"], counted: state.proxies };
}

function getText(resources: readonly CountedResource[], output: string, single: boolean, style: Style): string {
  const documents = resources.map(({ kind, namespace, name, labels, annotations, spec, origin }) => ({
    kind,
    metadata: { namespace, name, labels, annotations },
    spec,
    origin,
  }));
  const plain: unknown = JSON.parse(JSON.stringify(single && documents.length === 1 ? documents[0] : documents));
  if (output === "json") return JSON.stringify(plain, undefined, 2);
  if (output === "yaml") return stringify(plain).trimEnd();
  if (resources.length === 0) return "there are no resources";
  const [head = "", ...rows] = alignColumns([
    ["KIND", "NAMESPACE", "NAME", "PROXIES", "WHERE", "STATE"],
    ...resources.map(({ kind, namespace, name, proxies, origin, problems, counted }): readonly string[] => [
      kind,
      namespace || "-",
      name,
      counted !== undefined && counted !== "" ? counted : proxies.length === 0 ? "-" : `${proxies.filter(({ taken }) => taken).length}/${proxies.length}`,
      `${origin.file}:${origin.line}`,
      problems[0] ?? "ok",
    ]),
  ]);
  return [style.bold(head), ...rows].join("\n");
}

/** `VirtualService default/reviews`. */
export function labelOf(resource: Pick<ListedResource, "kind" | "namespace" | "name">): string {
  return resource.namespace === "" ? `${resource.kind} ${resource.name}` : `${resource.kind} ${resource.namespace}/${resource.name}`;
}
