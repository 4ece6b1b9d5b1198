// The bridge of a mesh and a network namespace for each of its instances, made and taken away again. Linux, as root.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import type { ListenAddress } from "../../mesh/instance.ts";
import type { DesiredHost } from "../protocol.ts";
import type { ProcessSpec } from "../supervised-process.ts";
import { runIp, runTool } from "./commands.ts";
import {
  bridgeCommands,
  bridgeName,
  hostsFile,
  type IsolatedInstance,
  type IsolatedMesh,
  instanceCommands,
  machineAddress,
  machineRules,
  namespaceName,
  networkOfNamespace,
  PROXY_GROUP,
  proxyNamespaceName,
  redirectRules,
} from "./plan.ts";

export interface IsolatedNetwork {
  /** Makes the namespace of an instance. */
  readonly add: (instance: IsolatedInstance & { readonly name: string; readonly namespace: string }) => Promise<void>;
  readonly remove: (slot: string) => Promise<void>;
  /** Gives this machine one more address on the bridge. */
  readonly addMachineAddress: (address: string) => Promise<void>;
  /** The names of services that all instances know from now on. */
  readonly setHosts: (hosts: readonly (DesiredHost & { readonly address: string })[]) => Promise<void>;
  /** Where instances reach a port that is on 127.0.0.1 of this machine. */
  readonly relay: (target: () => number) => Promise<ListenAddress>;
  readonly close: () => Promise<void>;
}

const NAMESPACES = "/run/netns";
const CONFIGURATION = "/etc/netns";
const FORWARDING = "/proc/sys/net/ipv4/ip_forward";

/** Why instances cannot be isolated here; undefined where they can. */
export async function isolationProblem(): Promise<string | undefined> {
  if (process.platform !== "linux") return "--isolate needs network namespaces, which only Linux has. Fix: run it on Linux, or leave --isolate out";
  if (process.getuid?.() !== 0)
    return "--isolate needs root: it makes network namespaces and redirects connections. Fix: run it with sudo, or leave --isolate out";
  for (const [program, argument, packageName] of [
    ["ip", "-V", "iproute2"],
    ["iptables-restore", "--version", "iptables"],
  ] as const) {
    const error = await runTool(program, [argument]).catch((reason: Error) => reason);
    if (error instanceof Error) return `--isolate needs the program ${program} (${error.message}). Fix: install the package ${packageName}`;
  }
  return undefined;
}

/** Takes away what a mesh has left behind that was killed, then makes the bridge. `isClaimed`: whether a mesh runs that has claimed a network. */
export async function createIsolatedNetwork(mesh: IsolatedMesh, isClaimed: (network: number) => Promise<boolean>): Promise<IsolatedNetwork> {
  for (const network of await formerNetworks()) if (network === mesh.network || !(await isClaimed(network))) await takeAway({ network });
  await runIp(bridgeCommands(mesh));
  for (const { table, rule } of machineRules(mesh)) await runTool("iptables", ["-w", "-t", table, "-A", ...rule]);
  await writeFile(FORWARDING, "1");
  const resolver = await resolverFile();
  const instances = new Map<string, IsolatedInstance & { readonly name: string; readonly namespace: string }>();
  const relays: Server[] = [];
  let hosts: readonly (DesiredHost & { readonly address: string })[] = [];

  const writeHosts = (slot: string): Promise<void> => {
    const instance = instances.get(slot);
    // In place: a file that is renamed over it would not be seen by programs that run.
    return instance === undefined ? Promise.resolve() : writeFile(join(CONFIGURATION, namespaceName(mesh, slot), "hosts"), hostsFile(instance, hosts));
  };

  return {
    add: async (instance) => {
      const { slot } = instance;
      await takeAwayNamespace(mesh, slot);
      instances.set(slot, instance);
      for (const name of [namespaceName(mesh, slot), proxyNamespaceName(mesh, slot)]) {
        await mkdir(join(CONFIGURATION, name), { recursive: true });
        await writeFile(join(CONFIGURATION, name, "resolv.conf"), resolver);
      }
      await writeHosts(slot);
      const { machine, inside } = instanceCommands(mesh, instance);
      await runIp(machine);
      await runIp(inside, namespaceName(mesh, slot));
      await writeFile(join(NAMESPACES, proxyNamespaceName(mesh, slot)), "");
      await runTool("mount", ["--bind", join(NAMESPACES, namespaceName(mesh, slot)), join(NAMESPACES, proxyNamespaceName(mesh, slot))]);
      if (instance.redirected) await runTool("ip", ["netns", "exec", namespaceName(mesh, slot), "iptables-restore"], redirectRules(mesh, instance));
    },
    remove: async (slot) => {
      instances.delete(slot);
      await takeAwayNamespace(mesh, slot);
    },
    addMachineAddress: (address) => runIp([`addr replace ${address}/16 dev ${bridgeName(mesh)}`]),
    setHosts: async (next) => {
      hosts = next;
      await Promise.all([...instances.keys()].map(writeHosts));
    },
    relay: async (target) => {
      const server = createServer((client) => {
        const upstream = connect(target(), "127.0.0.1");
        for (const [from, to] of [
          [client, upstream],
          [upstream, client],
        ] as const)
          from
            .on("error", () => to.destroy())
            .on("close", () => to.destroy())
            .pipe(to);
      });
      await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, machineAddress(mesh), resolve));
      server.unref();
      relays.push(server);
      const address = server.address();
      return { address: machineAddress(mesh), port: typeof address === "object" && address !== null ? address.port : 0 };
    },
    close: async () => {
      for (const server of relays) server.close();
      await takeAway(mesh);
    },
  };
}

/** A program of an instance: it sees the instance's network and its names of services. */
export function programInside(mesh: IsolatedMesh, slot: string, spec: Omit<ProcessSpec, "logPath">): Omit<ProcessSpec, "logPath"> {
  return { ...spec, program: "ip", args: ["netns", "exec", namespaceName(mesh, slot), spec.program, ...spec.args] };
}

/** The proxy of an instance: in its network, with this machine's names, and by its group not redirected to itself. It stays root, so that its files are its owner's alone. */
export function proxyInside(mesh: IsolatedMesh, slot: string, spec: ProcessSpec): ProcessSpec {
  return { ...spec, program: "ip", args: ["netns", "exec", proxyNamespaceName(mesh, slot), spec.program, ...spec.args], group: PROXY_GROUP };
}

/** Networks of meshes that have namespaces or a bridge here. */
async function formerNetworks(): Promise<readonly number[]> {
  const namespaces = (await runTool("ip", ["netns", "list"])).split("\n").flatMap((line) => networkOfNamespace(line) ?? []);
  const bridges = [...(await runTool("ip", ["-o", "link", "show", "type", "bridge"])).matchAll(/^\d+: weft(\d+)[:@]/gm)].map(([, network]) => Number(network));
  return [...new Set([...namespaces, ...bridges])];
}

/** Everything that bears the mesh's number, and nothing else. */
async function takeAway(mesh: IsolatedMesh): Promise<void> {
  const names = (await runTool("ip", ["netns", "list"])).split("\n").map((line) => line.split(" ")[0] ?? "");
  for (const name of names) if (networkOfNamespace(name) === mesh.network) await takeAwayNamespace(mesh, name.slice(`weft-${mesh.network}-`.length));
  for (const { table, rule } of machineRules(mesh)) await removeRule(table, rule);
  await runTool("ip", ["link", "del", bridgeName(mesh)]).catch(() => undefined);
}

/** A link goes with the namespace that holds its other end. */
async function takeAwayNamespace(mesh: IsolatedMesh, slot: string): Promise<void> {
  for (const name of [proxyNamespaceName(mesh, slot), namespaceName(mesh, slot)]) {
    await runTool("ip", ["netns", "del", name]).catch(() => undefined);
    await rm(join(CONFIGURATION, name), { recursive: true, force: true });
  }
}

/** All copies of a rule: a mesh that was killed has left one. */
async function removeRule(table: string, rule: readonly string[]): Promise<void> {
  for (;;) {
    const removed = await runTool("iptables", ["-w", "-t", table, "-D", ...rule]).then(
      () => true,
      () => false,
    );
    if (!removed) return;
  }
}

/** A resolver on a loopback address of this machine is not there in a namespace; systemd keeps the real ones in a file of its own. */
async function resolverFile(): Promise<string> {
  const own = await readFile("/etc/resolv.conf", "utf8").catch(() => "");
  if (!/^nameserver\s+127\./m.test(own)) return own;
  return readFile("/run/systemd/resolve/resolv.conf", "utf8").catch(() => own);
}
