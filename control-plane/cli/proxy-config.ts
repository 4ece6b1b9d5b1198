// `weft proxy-config`: what one proxy of a running mesh holds, as its own admin API tells it: listeners, routes, clusters, endpoints, the filter.
// Source: Envoy, admin/v3/config_dump.proto and clusters.proto.
import { stringify } from "yaml";
import { z } from "zod";
import { askPod, type ClusterChoice, type ClusterOption, proxyPod } from "./cluster-mesh.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { askAdmin } from "./control-plane-answers.ts";
import { findAsker } from "./explain-request.ts";
import { findRunningMesh } from "./running-mesh.ts";
import { type Style, styleOf } from "./style.ts";
import { alignColumns } from "./table.ts";

/** What can be asked for. */
export const PROXY_CONFIG_PARTS = ["listeners", "routes", "clusters", "endpoints", "filter"] as const;
export type ProxyConfigPart = (typeof PROXY_CONFIG_PARTS)[number];

export interface ProxyConfigOptions extends ClusterOption {
  readonly dir?: string;
  readonly namespace?: string;
  readonly output: string;
}

/** Envoy's JSON, read where it is needed. */
type Json = Readonly<Record<string, unknown>>;

const object = z.record(z.string(), z.unknown());
const dump = z.object({ configs: z.array(object).default([]) });
const clusterStatuses = z.object({ cluster_statuses: z.array(object).default([]) });

/** Prints one part of what a proxy holds. */
export async function proxyConfig(part: ProxyConfigPart, proxy: string, options: ProxyConfigOptions): Promise<number> {
  if (options.cluster !== undefined) {
    const entries = await clusterEntries(part, proxy, options, options.cluster);
    process.stdout.write(`${configText(part, entries, options.output, styleOf(process.stdout, process.env))}\n`);
    return EXIT.ok;
  }
  const ask = await findRunningMesh(options.dir);
  const known = (await ask("ps", undefined)).filter(({ kind }) => kind === "workload");
  const { admin, name } = findAsker(await ask("ready", undefined), known, proxy, options.namespace);
  const entries = await entriesOf(part, admin, `the proxy of ${name}`);
  process.stdout.write(`${configText(part, entries, options.output, styleOf(process.stdout, process.env))}\n`);
  return EXIT.ok;
}

async function entriesOf(part: ProxyConfigPart, admin: string, who: string): Promise<readonly Json[]> {
  if (part === "endpoints") return (await askAdmin(admin, "/clusters?format=json", clusterStatuses, who)).cluster_statuses;
  const { configs } = await askAdmin(admin, "/config_dump", dump, who);
  return entriesIn(part, configs);
}

const ADMIN_PORT = 15_000;

/** From the admin port of a pod's Envoy. */
async function clusterEntries(part: ProxyConfigPart, proxy: string, { namespace }: ProxyConfigOptions, choice: ClusterChoice): Promise<readonly Json[]> {
  const place = { ...(await proxyPod(choice, proxy, namespace)), port: ADMIN_PORT };
  const ask = async (path: string): Promise<unknown> => JSON.parse(await askPod(choice, place, path));
  if (part === "endpoints") return clusterStatuses.parse(await ask("/clusters?format=json")).cluster_statuses;
  return entriesIn(part, dump.parse(await ask("/config_dump")).configs);
}

/** The resources of one part in a dump, by name. */
export function entriesIn(part: Exclude<ProxyConfigPart, "endpoints">, configs: readonly Json[]): readonly Json[] {
  const ofType = (name: string): readonly Json[] => configs.filter((config) => String(config["@type"]).endsWith(`.${name}`));
  const inside = (type: string, lists: readonly string[], path: readonly string[]): readonly Json[] =>
    ofType(type).flatMap((config) => lists.flatMap((list) => children(config, list).map((entry) => path.reduce(child, entry))));
  const entries = {
    listeners: () => inside("ListenersConfigDump", ["dynamic_listeners"], ["active_state", "listener"]),
    routes: () => inside("RoutesConfigDump", ["static_route_configs", "dynamic_route_configs"], ["route_config"]),
    clusters: () => inside("ClustersConfigDump", ["static_clusters", "dynamic_active_clusters"], ["cluster"]),
    filter: () => inside("EcdsConfigDump", ["ecds_filters"], ["ecds_filter"]),
  }[part]();
  return entries.filter((entry) => entry.name !== undefined).sort((a, b) => (String(a.name) < String(b.name) ? -1 : 1));
}

/** A table for a person, or Envoy's own JSON. */
export function configText(part: ProxyConfigPart, entries: readonly Json[], output: string, style: Style): string {
  const shown = part === "filter" ? entries.map(withoutCode) : entries;
  if (output === "json") return JSON.stringify(shown, undefined, 2);
  if (output === "yaml") return stringify(shown).trimEnd();
  const rows = ROWS[part](entries);
  if (rows.length === 0) return `the proxy holds no ${part}`;
  const [head = "", ...lines] = alignColumns([HEADS[part], ...rows]);
  return [style.bold(head), ...lines].join("\n");
}

const HEADS: Readonly<Record<ProxyConfigPart, readonly string[]>> = {
  listeners: ["LISTENER", "ADDRESS", "DIRECTION", "TO"],
  routes: ["CONFIGURATION", "VIRTUAL HOST", "DOMAINS", "ROUTE", "MATCH", "TO"],
  clusters: ["CLUSTER", "TYPE", "POLICY", "CONNECT TIMEOUT"],
  endpoints: ["CLUSTER", "ADDRESS", "ZONE", "HEALTH", "PRIORITY", "WEIGHT"],
  filter: ["NAME", "VM", "RUNTIME", "SIZE"],
};

const ROWS: Readonly<Record<ProxyConfigPart, (entries: readonly Json[]) => readonly (readonly string[])[]>> = {
  listeners: (entries) =>
    entries.map((listener) => [text(listener.name), socketText(child(listener, "address")), text(listener.traffic_direction), listenerTarget(listener)]),
  routes: (entries) =>
    entries.flatMap((configuration) =>
      children(configuration, "virtual_hosts").flatMap((host) =>
        children(host, "routes").map((route) => [
          text(configuration.name),
          text(host.name),
          domainsText(host.domains),
          text(route.name),
          matchText(child(route, "match")),
          targetText(route),
        ]),
      ),
    ),
  clusters: (entries) =>
    entries.map((cluster) => [
      text(cluster.name),
      text(cluster.type ?? child(cluster, "cluster_type").name),
      text(cluster.lb_policy ?? "ROUND_ROBIN"),
      text(cluster.connect_timeout),
    ]),
  endpoints: (entries) =>
    entries.flatMap((cluster) =>
      children(cluster, "host_statuses").map((status) => [
        text(cluster.name),
        socketText(child(status, "address")),
        text(child(status, "locality").zone),
        healthText(child(status, "health_status")),
        String(status.priority ?? 0),
        String(status.weight ?? 1),
      ]),
    ),
  filter: (entries) =>
    entries.map((entry) => {
      const vm = child(child(child(entry, "typed_config"), "config"), "vm_config");
      const code = child(child(vm, "code"), "local").inline_bytes;
      return [text(entry.name), text(vm.vm_id), text(vm.runtime), typeof code === "string" ? `${Math.floor((code.length * 3) / 4)} bytes` : "-"];
    }),
};

function listenerTarget(listener: Json): string {
  const chains = [...children(listener, "filter_chains"), child(listener, "default_filter_chain")];
  const targets = chains.flatMap((chain) =>
    children(chain, "filters").flatMap((filter) => {
      const config = child(filter, "typed_config");
      const route = child(config, "rds").route_config_name ?? child(config, "route_config").name;
      if (route !== undefined) return [`route ${String(route)}`];
      return config.cluster === undefined && config.weighted_clusters === undefined ? [] : [`cluster ${text(config.cluster ?? "several")}`];
    }),
  );
  return [...new Set(targets)].join(", ") || "-";
}

function matchText(match: Json): string {
  const path =
    match.prefix ?? match.path ?? match.path_separated_prefix ?? child(match, "safe_regex").regex ?? (match.connect_matcher === undefined ? "*" : "CONNECT");
  const headers = children(match, "headers").map((header) => text(header.name));
  return [String(path), ...(headers.length === 0 ? [] : [`headers ${headers.join(", ")}`])].join(" ");
}

function targetText(route: Json): string {
  if (route.redirect !== undefined) return "redirect";
  const answer = child(route, "direct_response");
  if (answer.status !== undefined) return `answer ${String(answer.status)}`;
  const action = child(route, "route");
  const weighted = children(child(action, "weighted_clusters"), "clusters");
  return weighted.length === 0 ? text(action.cluster) : weighted.map((entry) => `${text(entry.name)} ${String(entry.weight ?? 0)}`).join(", ");
}

function healthText(status: Json): string {
  if (status.failed_outlier_check === true) return "ejected";
  if (status.failed_active_health_check === true) return "unhealthy";
  return text(status.eds_health_status ?? "HEALTHY").toLowerCase();
}

function domainsText(domains: unknown): string {
  return Array.isArray(domains) ? domains.map(String).slice(0, 3).join(", ") + (domains.length > 3 ? ", …" : "") : "-";
}

function socketText(address: Json): string {
  const socket = child(address, "socket_address");
  return socket.address === undefined ? "-" : `${String(socket.address)}:${String(socket.port_value ?? 0)}`;
}

/** The code of a filter is no reading. */
function withoutCode(value: Json): Json {
  return object.parse(
    JSON.parse(
      JSON.stringify(value, (name, inner: unknown) =>
        name === "inline_bytes" && typeof inner === "string" ? `${Math.floor((inner.length * 3) / 4)} bytes` : inner,
      ),
    ),
  );
}

function child(value: Json, name: string): Json {
  return object.safeParse(value[name]).data ?? {};
}

function children(value: Json, name: string): readonly Json[] {
  const list = z.array(object).safeParse(value[name]);
  return list.success ? list.data : [];
}

function text(value: unknown): string {
  return value === undefined || value === "" ? "-" : String(value);
}

/** Reads the part that was typed. Throws a CommandError of usage. */
export function partNamed(typed: string): ProxyConfigPart {
  const part = PROXY_CONFIG_PARTS.find((known) => known === typed || known === `${typed}s` || known.startsWith(typed));
  if (part === undefined || typed === "") throw new CommandError(`a proxy has no ${typed} to show`, `Name one of ${PROXY_CONFIG_PARTS.join(", ")}`, EXIT.usage);
  return part;
}
