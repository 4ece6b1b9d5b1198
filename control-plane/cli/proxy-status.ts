// `weft proxy-status`: how far each proxy of a running mesh is behind what was published for it.
import { stringify } from "yaml";
import { askPod, type ClusterChoice, type ClusterOption, controlPlanePods } from "./cluster-mesh.ts";
import { EXIT } from "./command-error.ts";
import { findControlPlane, type ListedProxy, proxyReports } from "./control-plane-answers.ts";
import { type Style, styleOf } from "./style.ts";
import { alignColumns } from "./table.ts";

export interface ProxyStatusOptions extends ClusterOption {
  readonly dir?: string;
  readonly output: string;
}

/** Prints one row a proxy. */
export async function proxyStatus(options: ProxyStatusOptions): Promise<number> {
  const proxies =
    options.cluster === undefined ? await (await findControlPlane(options.dir)).ask("/proxies", proxyReports) : await clusterProxies(options.cluster);
  process.stdout.write(`${statusText(proxies, options.output, styleOf(process.stdout, process.env))}\n`);
  return EXIT.ok;
}

const ADMIN_PORT = 15_080;

/** Each control plane knows the proxies that it serves: of one that several know the one with its stream counts. */
async function clusterProxies(choice: ClusterChoice): Promise<readonly ListedProxy[]> {
  const pods = await controlPlanePods(choice);
  const lists = await Promise.all(pods.map(async (pod) => proxyReports.parse(JSON.parse(await askPod(choice, { ...pod, port: ADMIN_PORT }, "/proxies")))));
  const byId = new Map<string, ListedProxy>();
  for (const proxy of lists.flat()) if (proxy.connected || !byId.has(proxy.proxyId)) byId.set(proxy.proxyId, proxy);
  return [...byId.values()].sort((a, b) => (a.proxyId < b.proxyId ? -1 : 1));
}

/** The table, or the same as data. */
export function statusText(proxies: readonly ListedProxy[], output: string, style: Style): string {
  if (output === "json") return JSON.stringify(proxies, undefined, 2);
  if (output === "yaml") return stringify(proxies).trimEnd();
  if (proxies.length === 0) return "no proxy runs";
  const [head = "", ...rows] = alignColumns([
    ["PROXY", "STATE", "ACKED", "REFUSED", "SENT", "BYTES"],
    ...proxies.map((proxy) => [
      proxy.proxyId,
      stateOf(proxy),
      proxy.ackedRevision === 0 ? "-" : String(proxy.ackedRevision),
      String(proxy.nacks),
      String(proxy.resourcesSent),
      String(proxy.bytesSent),
    ]),
  ]);
  return [style.bold(head), ...rows.map((row, index) => (proxies[index]?.upToDate === true ? row : style.yellow(row)))].join("\n");
}

function stateOf({ connected, upToDate, targetRevision }: ListedProxy): string {
  if (!connected) return "not connected";
  if (targetRevision === 0) return "unknown to the mesh";
  return upToDate ? "up to date" : `behind ${targetRevision}`;
}
