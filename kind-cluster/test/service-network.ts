// What DNS and kube-proxy are in a cluster: names of Services in the pods' hosts files, and connections to a ClusterIP sent on to one of its ready endpoints.
import { runTool } from "../../control-plane/local/isolation/commands.ts";
import type { IsolatedNetwork } from "../../control-plane/local/isolation/network.ts";
import { bridgeName, type IsolatedMesh } from "../../control-plane/local/isolation/plan.ts";
import type { Api, ApiObject } from "./api.ts";

/** ClusterIPs: outside of every pod's subnet, so that they go through this machine. Kept apart between clusters by their bridges. Source: RFC 2544. */
export const SERVICE_RANGE = "198.18.0.0/16";
const APPLY_MS = 20;

interface Service extends ApiObject {
  readonly metadata: ApiObject["metadata"] & { readonly namespace: string };
  readonly spec: { readonly clusterIP?: string; readonly ports?: readonly { readonly name?: string; readonly port: number; readonly protocol: string }[] };
}

/** What is read of one. */
export interface EndpointSlice extends ApiObject {
  readonly metadata: ApiObject["metadata"] & { readonly namespace: string };
  readonly endpoints: readonly { readonly addresses: readonly string[]; readonly conditions?: { readonly ready?: boolean } }[] | null;
  readonly ports: readonly { readonly name?: string; readonly port?: number }[] | null;
}

/** Follows Services and EndpointSlices until it is closed. */
export async function startServiceNetwork(api: Api, mesh: IsolatedMesh, network: IsolatedNetwork): Promise<{ readonly close: () => Promise<void> }> {
  const chain = `WEFT-${mesh.network}-SERVICES`;
  const bridge = bridgeName(mesh);
  const rules = [
    ["nat", "PREROUTING", "-i", bridge, "-d", SERVICE_RANGE, "-j", chain],
    // Both ends are on one bridge: the answer must come back this way.
    ["nat", "POSTROUTING", "-o", bridge, "-m", "conntrack", "--ctstate", "DNAT", "-j", "MASQUERADE"],
    ["filter", "FORWARD", "-i", bridge, "-d", SERVICE_RANGE, "-j", "REJECT"],
  ] as const;
  const change = (action: "-I" | "-D"): Promise<unknown[]> =>
    Promise.all(
      rules.map(([table, at, ...rule]) =>
        runTool("iptables", ["-w", "-t", table, action, at, ...rule]).catch((error: Error) => (action === "-D" ? "" : Promise.reject(error))),
      ),
    );
  const services = new Map<string, Service>();
  const slices = new Map<string, EndpointSlice>();
  const apply = async (): Promise<void> => {
    const all = [...services.values()].sort((one, other) => (one.metadata.uid < other.metadata.uid ? -1 : 1));
    const lines = all.flatMap((service) => forwardingRules(chain, service, slicesOf(service, slices)));
    await runTool("iptables-restore", ["-w", "--noflush"], `*nat\n:${chain} - [0:0]\n${lines.map((line) => `${line}\n`).join("")}COMMIT\n`);
    await network.setHosts(all.flatMap((service) => addressesOf(service, slicesOf(service, slices)).map((address) => ({ ...hostOf(service), address }))));
  };

  let timer: NodeJS.Timeout | undefined;
  let applying = Promise.resolve();
  const changed = (): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      applying = applying.then(apply).catch((error: Error) => void process.stderr.write(`${error.message}\n`));
    }, APPLY_MS);
  };
  const keep = <Item extends ApiObject>(objects: Map<string, Item>, path: string) =>
    api.follow<Item>(
      path,
      (object) => {
        objects.set(object.metadata.uid, object);
        changed();
      },
      (object) => {
        objects.delete(object.metadata.uid);
        changed();
      },
    );

  await change("-D");
  await apply();
  await change("-I");
  const watches = [keep(services, "/api/v1/services"), keep(slices, "/apis/discovery.k8s.io/v1/endpointslices")];
  return {
    close: async () => {
      for (const watch of watches) watch.close();
      clearTimeout(timer);
      await applying;
      await change("-D");
      await runTool("iptables", ["-w", "-t", "nat", "-F", chain]);
      await runTool("iptables", ["-w", "-t", "nat", "-X", chain]);
    },
  };
}

function slicesOf({ metadata }: Service, slices: ReadonlyMap<string, EndpointSlice>): readonly EndpointSlice[] {
  return [...slices.values()].filter(
    (slice) => slice.metadata.namespace === metadata.namespace && slice.metadata.labels?.["kubernetes.io/service-name"] === metadata.name,
  );
}

function readyAddresses({ endpoints }: EndpointSlice): readonly string[] {
  return (endpoints ?? []).flatMap(({ addresses, conditions }) => (conditions?.ready === false ? [] : addresses));
}

/** A headless Service has its endpoints' addresses for its own. */
function addressesOf({ spec }: Service, slices: readonly EndpointSlice[]): readonly string[] {
  if (spec.clusterIP === undefined || spec.clusterIP === "") return [];
  return spec.clusterIP === "None" ? slices.flatMap(readyAddresses) : [spec.clusterIP];
}

function hostOf({ metadata: { name, namespace } }: Service) {
  return { hostname: `${name}.${namespace}.svc.cluster.local`, name, namespace, ports: [] };
}

/** Each of the endpoints that are left takes an even share of what comes to it. */
function forwardingRules(chain: string, { spec }: Service, slices: readonly EndpointSlice[]): readonly string[] {
  if (spec.clusterIP === undefined || spec.clusterIP === "" || spec.clusterIP === "None") return [];
  return (spec.ports ?? []).flatMap(({ name = "", port, protocol }) => {
    const targets = slices.flatMap((slice) => {
      const target = slice.ports?.find((candidate) => (candidate.name ?? "") === name)?.port;
      return target === undefined ? [] : readyAddresses(slice).map((address) => `${address}:${target}`);
    });
    const to = `-A ${chain} -d ${spec.clusterIP}/32 -p ${protocol.toLowerCase()} --dport ${port}`;
    return targets.map((target, index) => `${to} -m statistic --mode random --probability ${1 / (targets.length - index)} -j DNAT --to-destination ${target}`);
  });
}
