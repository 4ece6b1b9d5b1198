// For which proxies results are the same: proxies with one audience get the same routes, clusters and endpoints, as the same objects.
import type { Proxy, ServiceListener } from "../mesh/instance.ts";
import { priorityLabel } from "../mesh/istio-locality.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { scopeOf } from "../mesh/scope.ts";
import type { TrafficPolicy } from "../model/destination-rule.ts";

/** What is each proxy's own and shapes its own listeners alone. Whatever else a proxy has tells audiences apart. */
const OF_ONE_PROXY: ReadonlySet<string> = new Set([
  "id",
  "labels",
  "workload",
  "serviceAccount",
  "inbound",
  "outbound",
  "httpProxy",
  "gatewayPorts",
  "accessLogPath",
  "metrics",
] satisfies (keyof Proxy)[]);

/** Names the audience of a proxy: one view of the mesh, one place, and equal values of the labels that any rule asks for, each with its name. */
export function createAudiences(mesh: Mesh): (proxy: Proxy) => string {
  const sources = mesh.virtualServices.flatMap(({ spec }) => [
    ...spec.http.flatMap(({ match }) => match),
    ...spec.tls.flatMap(({ match }) => match),
    ...spec.tcp.flatMap(({ match }) => match),
  ]);
  const names = [...new Set([...sources.flatMap(({ sourceLabels }) => Object.keys(sourceLabels)), ...labelsThatMatter(mesh)])].sort();
  const known = new WeakMap<Proxy, string>();
  return (proxy) => {
    const found = known.get(proxy);
    if (found !== undefined) return found;
    const common = Object.entries(proxy).filter(([field]) => !OF_ONE_PROXY.has(field));
    const labels = names.flatMap((name) => (proxy.labels[name] === undefined ? [] : [[name, proxy.labels[name]]]));
    const audience = JSON.stringify([scopeOf(mesh, proxy).name, labels, common.sort(([a], [b]) => (a < b ? -1 : 1))]);
    known.set(proxy, audience);
    return audience;
  };
}

const CALLED = new WeakMap<readonly ServiceListener[], string>();

/** What a proxy calls, as text: with its audience it names all that the proxy holds in common with others. */
export function callsOf({ outbound, httpProxy }: Proxy): string {
  const known = CALLED.get(outbound) ?? outbound.map(({ hostname, port }) => `${hostname}:${port}`).join(" ");
  CALLED.set(outbound, known);
  return httpProxy === undefined ? known : `* ${known}`;
}

const ADDRESSES = new WeakMap<readonly ServiceListener[], string>();

/** The addresses by which the program of a captured proxy may call services, as text: they are names of those services. Nothing where none is captured. */
export function addressesOf({ outbound, capture }: Proxy): string {
  if (capture === undefined) return "";
  const known = ADDRESSES.get(outbound) ?? outbound.map(({ listen }) => listen.address).join(" ");
  ADDRESSES.set(outbound, known);
  return known;
}

/** Labels of callers that clusters depend on: those that rules or failover priorities ask for. */
function labelsThatMatter(mesh: Mesh): readonly string[] {
  const names = new Set<string>();
  const ofPolicy = ({ loadBalancer }: Pick<TrafficPolicy, "loadBalancer">): void => {
    const { localityLbSetting, zoneAwareLbSetting } = loadBalancer ?? {};
    for (const entry of [...(localityLbSetting?.failoverPriority ?? []), ...(zoneAwareLbSetting?.failoverPriority ?? [])])
      names.add(priorityLabel(entry).label);
  };
  for (const { spec } of [...mesh.destinationRules.values()].flat()) {
    for (const name of Object.keys(spec.workloadSelector?.matchLabels ?? {})) names.add(name);
    for (const policy of [spec.trafficPolicy, ...spec.subsets.map(({ trafficPolicy }) => trafficPolicy)]) {
      if (policy !== undefined) for (const settings of [policy, ...policy.portLevelSettings]) ofPolicy(settings);
    }
  }
  for (const entry of mesh.settings.localityLbSetting?.failoverPriority ?? []) names.add(priorityLabel(entry).label);
  return [...names].sort();
}
