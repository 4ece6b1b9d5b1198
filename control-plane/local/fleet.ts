// All instances and gateways of a mesh while they live: brings what runs to what is desired, step by step, and says what runs.
import { resolve } from "node:path";
import type { Instance, Proxy } from "../mesh/instance.ts";
import { compareText, type Diagnostic } from "../model/diagnostic.ts";
import type { AddressSpace } from "./address-space.ts";
import { attachmentsOf } from "./attachments.ts";
import type { EnvoyContext } from "./envoy-process.ts";
import type { ReadyGateway, ReadyWorkload } from "./events.ts";
import type { Isolation } from "./isolation/isolation.ts";
import {
  gatewayIdentity,
  type InstanceIdentity,
  type InstancePlaces,
  instanceOf,
  logPathsOf,
  placesOf,
  readyWorkload,
  servicePlace,
  sidecarOf,
  slotName,
  urlOf,
} from "./layout.ts";
import { startAttached } from "./live-attached.ts";
import { type LiveGateway, startGateway, usualGatewayPort } from "./live-gateway.ts";
import { type LiveInstance, startInstance } from "./live-instance.ts";
import { localityIn, zoneShares } from "./placement.ts";
import { type PlannedInstance, planWorkload, type WorkloadTarget } from "./plan.ts";
import { attachmentDiagnostics, programOf, workloadDiagnostics } from "./problems.ts";
import { expandProgram, imageTag, type LocalProgram, type Variables } from "./program.ts";
import type { Desired, DesiredHost, DesiredWorkload } from "./protocol.ts";
import { probeOf, stubProbe } from "./readiness.ts";

export interface FleetOptions {
  readonly addresses: AddressSpace;
  readonly envoy: EnvoyContext;
  /** Where every instance is to have a network of its own. */
  readonly isolation?: Isolation;
  readonly logFolder: string;
  /** Where the first port of the gateways is wanted; 0: each where the system likes. */
  readonly gatewayPort?: number;
  /** What runs has changed: the mesh is to be told. */
  readonly changed: () => void;
  readonly onDiagnostics: (diagnostics: readonly Diagnostic[]) => void;
  /** Tells the mesh what runs now and resolves when that is in force in every proxy, or false when it takes too long. */
  readonly inForce: () => Promise<boolean>;
}

/** A part of a workload: its replicas in one zone. */
export interface WorkloadZone {
  readonly workload: DesiredWorkload;
  readonly zone: string;
  readonly replicas: number;
}

export interface Fleet {
  readonly setDesired: (desired: Desired) => void;
  readonly running: () => { readonly instances: readonly Instance[]; readonly proxies: readonly Proxy[] };
  /** Ids of the proxies that serve traffic. */
  readonly serving: () => ReadonlySet<string>;
  readonly instances: () => readonly LiveInstance[];
  readonly gateways: () => readonly LiveGateway[];
  readonly ready: () => { readonly workloads: readonly ReadyWorkload[]; readonly gateways: readonly ReadyGateway[] };
  readonly zones: () => readonly WorkloadZone[];
  readonly isStopped: (zone: WorkloadZone) => boolean;
  /** Sets replicas to none until told otherwise; resolves when they have ended. */
  readonly stop: (zones: readonly WorkloadZone[]) => Promise<readonly string[]>;
  readonly start: (zones: readonly WorkloadZone[]) => void;
  /** Instances of a workload's zone, in order. */
  readonly instancesIn: (zone: WorkloadZone) => readonly LiveInstance[];
  /** Nothing is left to be started, and all that is to be ready is, or fails. */
  readonly isSettled: () => boolean;
  readonly end: () => Promise<void>;
}

/** Nothing runs until something is desired. */
export function createFleet(options: FleetOptions): Fleet {
  const { addresses, envoy, changed, isolation } = options;
  const addressesOf = (identity: InstanceIdentity): AddressSpace => isolation?.addressesOf(identity) ?? addresses;
  const placeOf = (identity: InstanceIdentity, { address }: InstancePlaces) => (isolation === undefined ? {} : { place: isolation.place(identity, address) });
  const live = new Map<string, LiveInstance>();
  const retiring = new Map<LiveInstance, Promise<void>>();
  const gateways = new Map<string, LiveGateway>();
  const stopped = new Set<string>();
  /** Why programs cannot be started, by instance. */
  const problems = new Map<string, { readonly workload: string; readonly text: string }>();
  let desired: Desired = { workloads: [], hosts: [], localRuns: [], gateways: [] };
  let gatewayChanges: Promise<void> = Promise.resolve();
  let pendingGatewayChanges = 0;
  let ending = false;

  const inOrder = (): readonly LiveInstance[] =>
    [...live.values()].sort(
      (a, b) =>
        compareText(a.identity.workload.namespace, b.identity.workload.namespace) ||
        compareText(a.identity.workload.name, b.identity.workload.name) ||
        a.identity.ordinal - b.identity.ordinal,
    );
  const proxyOf = ({ identity, places, logs }: Pick<LiveInstance, "identity" | "places" | "logs">): Proxy | undefined =>
    identity.role?.kind === "stub" ? undefined : sidecarOf(addressesOf(identity), identity, places, desired.hosts, logs.access);
  /** The copies that are kept running; those that somebody else runs are not among them. */
  const membersOf = (workload: { readonly namespace: string; readonly name: string }): readonly LiveInstance[] =>
    inOrder().filter(({ identity }) => identity.role?.kind !== "attached" && keyOf(identity.workload) === keyOf(workload));

  const targetOf = (workload: DesiredWorkload): WorkloadTarget => ({
    digest: workload.templateDigest,
    zones: zoneShares(workload.spec).map(({ zone, replicas }) => ({ zone, replicas: stopped.has(zoneKey(workload, zone)) ? 0 : replicas })),
  });

  const reconcile = (): void => {
    if (ending) return;
    const wanted = new Map(desired.workloads.map((workload) => [keyOf(workload), workload]));
    for (const instance of [...live.values()]) {
      if (instance.identity.role?.kind !== "attached" && !wanted.has(keyOf(instance.identity.workload))) retireAll([instance]);
    }
    for (const workload of desired.workloads) bringTo(workload);
    attach();
    say();
    changed();
  };

  /** Where the program cannot be told, what runs goes on as it is. */
  const bringTo = (workload: DesiredWorkload): void => {
    const members = membersOf(workload);
    const program = programOf(workload, desired);
    const target = targetOf(workload);
    const running = members.map(plannedOf);
    if (program === undefined) {
      const kept = { ...target, digest: running.find(({ state }) => state !== "retiring")?.digest ?? "" };
      for (const step of planWorkload(kept, running)) if (step.kind === "retire") retireOrdinal(members, step.ordinal);
      return;
    }
    for (const step of planWorkload(target, running)) {
      if (step.kind === "retire") retireOrdinal(members, step.ordinal);
      else start(workload, step.ordinal, step.zone, program);
    }
  };

  /** One that is described otherwise now leaves first, and is attached again when it has left. */
  const attach = (): void => {
    const identities = new Map(attachmentsOf(desired).map((identity) => [instanceKey(identity), identity]));
    for (const instance of [...live.values()]) {
      const { identity } = instance;
      if (identity.role?.kind === "attached" && !isSame(identity, identities.get(instanceKey(identity)))) retireAll([instance]);
    }
    for (const [key, identity] of identities) {
      if (live.has(key)) continue;
      const places = placesOf(addressesOf(identity), identity);
      const logs = logPathsOf(options.logFolder, slotName(identity.workload.namespace, identity.name));
      const proxy = proxyOf({ identity, places, logs });
      live.set(key, startAttached({ identity, places, logs, proxy, envoy, changed: reconcileSoon, ...placeOf(identity, places) }));
    }
  };

  const retireOrdinal = (members: readonly LiveInstance[], ordinal: number): void => retireAll(members.filter(({ identity }) => identity.ordinal === ordinal));
  const retireAll = (instances: readonly LiveInstance[]): void => {
    for (const instance of instances) {
      if (retiring.has(instance)) continue;
      const ended = instance.retire().then(() => {
        live.delete(instanceKey(instance.identity));
        retiring.delete(instance);
        problems.delete(instanceKey(instance.identity));
        reconcile();
      });
      retiring.set(instance, ended);
    }
  };

  const start = (workload: DesiredWorkload, ordinal: number, zone: string, local: LocalProgram): void => {
    const role = { kind: local.entry.stub === undefined ? ("program" as const) : ("stub" as const) };
    const identity: InstanceIdentity = { name: `${workload.name}-${ordinal}`, ordinal, workload, locality: localityIn(workload.spec, zone), role };
    const [container] = workload.spec.template.spec.containers;
    const places = placesOf(addressesOf(identity), identity);
    const logs = logPathsOf(options.logFolder, slotName(workload.namespace, identity.name));
    if (container === undefined) return;
    const program = expandProgram(local.entry, container, variablesOf(addressesOf(identity), identity, places, imageTag(container.image), desired.hosts));
    if (program.kind === "unknown-names") return;
    const [command = "", ...args] = program.command;

    live.set(
      instanceKey(identity),
      startInstance({
        identity,
        places,
        logs,
        application: { program: command, args, directory: resolve(local.folder, program.directory), env: { ...process.env, ...program.env } },
        probe: role.kind === "stub" ? stubProbe(places) : probeOf(container, places),
        proxy: proxyOf({ identity, places, logs }),
        envoy,
        ...placeOf(identity, places),
        changed: reconcileSoon,
        onProgram: (text) => {
          const before = problems.get(instanceKey(identity))?.text;
          if (text === undefined) problems.delete(instanceKey(identity));
          else problems.set(instanceKey(identity), { workload: keyOf(workload), text });
          if (before !== text) say();
        },
        inForce: options.inForce,
      }),
    );
  };

  /** An instance became ready or ceased to be: a roll may go on. Not from within the step that started it. */
  const reconcileSoon = (): void => {
    setImmediate(reconcile);
  };

  const say = (): void => {
    const failures = new Map([...problems.values()].map(({ workload, text }) => [workload, text]));
    const ofWorkloads = desired.workloads.flatMap((workload) => workloadDiagnostics(workload, desired, failures.get(keyOf(workload))));
    options.onDiagnostics([...ofWorkloads, ...attachmentDiagnostics(desired)]);
  };

  const preferredGatewayPort = (number: number, isFirst: boolean): number => {
    const { gatewayPort } = options;
    return gatewayPort === 0 || (gatewayPort !== undefined && isFirst) ? gatewayPort : usualGatewayPort(number);
  };

  /** One change after the other: claiming ports takes time. */
  const reconcileGateways = (wanted: Desired["gateways"]): void => {
    pendingGatewayChanges += 1;
    gatewayChanges = gatewayChanges
      .then(() => bringGatewaysTo(wanted))
      .catch((error: Error) => envoy.emit({ event: "progress", text: `a gateway cannot be started: ${error.message}` }))
      .then(() => {
        pendingGatewayChanges -= 1;
        changed();
      });
  };
  const bringGatewaysTo = async (wanted: Desired["gateways"]): Promise<void> => {
    const identities = new Map(wanted.map((gateway) => [gatewayIdentity(gateway).id, gateway]));
    for (const [id, gateway] of gateways) {
      if (identities.has(id)) continue;
      gateways.delete(id);
      await gateway.end();
    }
    for (const [index, [id, gateway]] of [...identities].entries()) {
      if (ending) return;
      const known = gateways.get(id);
      if (known !== undefined) await known.setPorts(gateway.ports);
      else gateways.set(id, await startOneGateway(gateway, index === 0));
    }
  };
  const startOneGateway = (gateway: Desired["gateways"][number], isFirst: boolean): Promise<LiveGateway> => {
    const identity = gatewayIdentity(gateway);
    return startGateway({
      identity,
      ports: gateway.ports,
      addresses,
      logs: logPathsOf(options.logFolder, identity.slot),
      envoy,
      preferredPort: (number) => preferredGatewayPort(number, isFirst && number === gateway.ports[0]),
      changed,
    });
  };

  const zones = (): readonly WorkloadZone[] =>
    desired.workloads.flatMap((workload) => zoneShares(workload.spec).map(({ zone, replicas }) => ({ workload, zone, replicas })));
  const instancesIn = ({ workload, zone }: WorkloadZone): readonly LiveInstance[] =>
    membersOf(workload).filter(({ identity }) => identity.locality.zone === zone);

  return {
    setDesired: (next) => {
      const gatewaysChanged = JSON.stringify(next.gateways) !== JSON.stringify(desired.gateways);
      desired = next;
      isolation?.setHosts(next.hosts);
      reconcile();
      if (gatewaysChanged) reconcileGateways(next.gateways);
    },
    running: () => ({
      instances: inOrder().map((instance) => instanceOf(instance.identity, instance.places, instance.ready())),
      proxies: [...inOrder().flatMap((instance) => proxyOf(instance) ?? []), ...[...gateways.values()].map(({ proxy }) => proxy())].sort((a, b) =>
        compareText(a.id, b.id),
      ),
    }),
    serving: () =>
      new Set([
        ...[...live.values()].filter(({ proxyServes }) => proxyServes()).map(({ proxyId }) => proxyId),
        ...[...gateways.values()].filter(({ ready }) => ready()).map(({ identity }) => identity.id),
      ]),
    instances: inOrder,
    gateways: () => [...gateways.values()],
    ready: () => ({
      workloads: inOrder()
        .filter((instance) => !retiring.has(instance))
        .map((instance) => ({
          ...readyWorkload(instance.identity, instance.places, proxyOf(instance), instance.logs, instance.pids(), instance.networkNamespace),
          ...(instance.ready() ? {} : { notReady: instance.state() }),
        })),
      gateways: [...gateways.values()].map(({ describe }) => describe()),
    }),
    zones,
    isStopped: ({ workload, zone }) => stopped.has(zoneKey(workload, zone)),
    stop: async (selected) => {
      const concerned = selected.flatMap(instancesIn);
      for (const { workload, zone } of selected) stopped.add(zoneKey(workload, zone));
      reconcile();
      await Promise.all(concerned.map((instance) => retiring.get(instance)));
      return concerned.map(({ identity }) => identity.name);
    },
    start: (selected) => {
      for (const { workload, zone } of selected) stopped.delete(zoneKey(workload, zone));
      reconcile();
    },
    instancesIn,
    isSettled: () =>
      retiring.size === 0 &&
      pendingGatewayChanges === 0 &&
      [...live.values()].every((instance) => instance.ready() || instance.failing()) &&
      [...gateways.values()].every(({ ready }) => ready()) &&
      desired.workloads.every(
        (workload) => programOf(workload, desired) === undefined || planWorkload(targetOf(workload), membersOf(workload).map(plannedOf)).length === 0,
      ),
    end: async () => {
      ending = true;
      await Promise.all([...live.values()].map(({ endApplication }) => endApplication()));
      await gatewayChanges;
      await Promise.all([...[...live.values()].map(({ endSidecar }) => endSidecar()), ...[...gateways.values()].map(({ end }) => end())]);
    },
  };
}

function plannedOf(instance: LiveInstance): PlannedInstance {
  const { identity } = instance;
  const state = instance.state() === "draining" ? "retiring" : instance.ready() ? "ready" : "unready";
  return { ordinal: identity.ordinal, zone: identity.locality.zone, digest: identity.workload.templateDigest, state };
}

/** What an instance's program may refer to. Addresses that the program reaches directly do not go through the proxy port. */
function variablesOf(addresses: AddressSpace, identity: InstanceIdentity, places: InstancePlaces, tag: string, hosts: readonly DesiredHost[]): Variables {
  const place = (host: DesiredHost, port: number) => servicePlace(addresses, identity, host, port).listen;
  const texts = { podIp: places.address, podName: identity.name, namespace: identity.workload.namespace, zone: identity.locality.zone, imageTag: tag };
  const common = {
    ...texts,
    port: places.application.port,
    ports: places.ports.map(({ application, ...port }) => ({ ...port, port: application.port })),
    hosts,
    listen: places.ports.map(({ inbound }) => inbound),
  };
  if (addresses.capture !== undefined) return { ...common, service: (host, port) => `${nameOf(host, identity.workload.namespace)}:${port}`, baseEnv: {} };
  const direct = hosts.flatMap((host) => host.ports.slice(0, 1).map(({ number }) => place(host, number).address));
  const noProxy = ["localhost", "127.0.0.1", "127.0.0.0/8", "::1", places.address, ...direct].join(",");
  const proxy = urlOf(places.httpProxy);
  return {
    ...common,
    service: (host, port) => {
      const { address, port: bound } = place(host, port);
      return `${address}:${bound}`;
    },
    baseEnv: { HTTP_PROXY: proxy, http_proxy: proxy, NO_PROXY: noProxy, no_proxy: noProxy },
  };
}

function keyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

/** The name by which a program in a cluster calls a service. */
function nameOf({ hostname, name, namespace }: DesiredHost, from: string): string {
  if (!hostname.startsWith(`${name}.${namespace}.svc.`)) return hostname;
  return namespace === from ? name : `${name}.${namespace}`;
}

/** Described alike: the same program at the same place, with the same labels. */
function isSame(a: InstanceIdentity, b: InstanceIdentity | undefined): boolean {
  const described = ({ role, locality, workload }: InstanceIdentity): string => JSON.stringify([role, locality, workload.labels, workload.ports]);
  return b !== undefined && described(a) === described(b);
}

function zoneKey(workload: DesiredWorkload, zone: string): string {
  return `${keyOf(workload)} ${zone}`;
}

function instanceKey({ name, workload }: InstanceIdentity): string {
  return `${workload.namespace}/${name}`;
}
