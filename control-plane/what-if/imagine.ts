// A folder of YAML in, and the mesh that it would be: every replica of its Deployments runs and is ready, each with a sidecar that listens as on a laptop, and
// a gateway proxy stands for each Gateway's selector. Nothing is started, nothing is bound. Pure.
import { createAddressSpace, unprivilegedPort } from "../local/address-space.ts";
import { desiredOf } from "../local/desired.ts";
import type { ReadyGateway, ReadyWorkload } from "../local/events.ts";
import {
  gatewayIdentity,
  gatewayOf,
  type InstanceIdentity,
  instanceOf,
  type LogPaths,
  placesOf,
  readyGateway,
  readyWorkload,
  sidecarOf,
} from "../local/layout.ts";
import { localityIn, zoneShares } from "../local/placement.ts";
import type { DesiredWorkload } from "../local/protocol.ts";
import { buildMesh } from "../mesh/build.ts";
import type { GatewayPort, Instance, ListenAddress, Proxy } from "../mesh/instance.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { compareDiagnostics, type Diagnostic } from "../model/diagnostic.ts";
import { EMPTY_LAST_GOOD } from "../model/last-good.ts";
import type { Resources } from "../model/resource.ts";
import { parseFile } from "../source/parse-file.ts";
import { effectiveResources } from "../validate/effective.ts";

/** What would run, told as a running mesh tells it. Addresses are what they would be on a machine where every port is free; process ids are 0. */
export interface ImaginedRunning {
  readonly instances: readonly Instance[];
  readonly proxies: readonly Proxy[];
  /** In the order of the Deployments; never empty. */
  readonly workloads: readonly ReadyWorkload[];
  readonly gateways: readonly ReadyGateway[];
}

/** What a set of files would be as a running mesh. */
export interface ImaginedMesh {
  readonly resources: Resources;
  /** Of the files and of how they fit together. A resource with an error is left out. */
  readonly diagnostics: readonly Diagnostic[];
  readonly mesh: Mesh;
  readonly running: ImaginedRunning;
}

/** Services are `<name>.<namespace>.svc.<domain>`. */
const DOMAIN = "cluster.local";

/** The one who asks where a folder has no Deployment: a program in no zone, without labels. */
export const DEFAULT_CALLER = "client";

const NO_LOGS: LogPaths = { application: "", access: "", envoy: "" };

/** Reads files (path to text) and imagines the mesh. Equal texts give an equal mesh. `adapt` may ask about other resources than those that are written. */
export function imagineMesh(texts: ReadonlyMap<string, string>, adapt: (written: Resources) => Resources = (written) => written): ImaginedMesh {
  const files = new Map([...texts].map(([file, text]) => [file, parseFile(file, text)]));
  const { resources: written, diagnostics } = effectiveResources(files, EMPTY_LAST_GOOD);
  const resources = adapt(written);
  const running = imagineRunning(resources);
  const mesh = buildMesh({ resources, instances: running.instances, proxies: running.proxies, domain: DOMAIN });
  return { resources, mesh, running, diagnostics: [...diagnostics, ...mesh.diagnostics].sort(compareDiagnostics) };
}

/** What would run for resources: instances, and the proxies beside them and at the mesh's edge. */
export function imagineRunning(resources: Resources): ImaginedRunning {
  const hosts = buildMesh({ resources, instances: [], proxies: [], domain: DOMAIN });
  const desired = desiredOf("", resources, hosts);
  const addresses = createAddressSpace({ network: 80, isTaken: () => false });
  const identities = desired.workloads.flatMap(replicasOf);
  const sidecars = (identities.length > 0 ? identities : [defaultCaller()]).map((identity) => {
    const places = placesOf(addresses, identity);
    return { identity, places, proxy: unlogged(sidecarOf(addresses, identity, places, desired.hosts, "")) };
  });
  const gateways = desired.gateways.map((gateway) => {
    const identity = gatewayIdentity(gateway);
    const ports = gateway.ports.map(gatewayPort);
    return { proxy: unlogged(gatewayOf(identity, ports, "")), ready: readyGateway(identity, NOWHERE, ports, NO_LOGS, 0) };
  });
  return {
    instances: identities.length === 0 ? [] : sidecars.map(({ identity, places }) => instanceOf(identity, places, true)),
    proxies: [...sidecars, ...gateways].map(({ proxy }) => proxy),
    workloads: sidecars.map(({ identity, places, proxy }) => readyWorkload(identity, places, proxy, NO_LOGS, { application: 0, envoy: 0 })),
    gateways: gateways.map(({ ready }) => ready),
  };
}

/** Copies are numbered through all zones of a Deployment, as the runner does it. */
function replicasOf(workload: DesiredWorkload): readonly InstanceIdentity[] {
  const zones = zoneShares(workload.spec).flatMap(({ zone, replicas }) => Array.from({ length: replicas }, () => zone));
  return zones.map((zone, index) => ({
    name: `${workload.name}-${index + 1}`,
    ordinal: index + 1,
    workload,
    locality: localityIn(workload.spec, zone),
    role: { kind: "program" },
  }));
}

function defaultCaller(): InstanceIdentity {
  const template = { metadata: { labels: {}, annotations: {} }, spec: { nodeSelector: {}, containers: [] } };
  const spec = { replicas: 1, selector: { matchLabels: {} }, template };
  const workload = { name: DEFAULT_CALLER, namespace: "default", labels: {}, spec, ports: [], templateDigest: "", origin: { file: "", line: 1, column: 1 } };
  return { name: DEFAULT_CALLER, ordinal: 1, workload, locality: { region: "", zone: "", subzone: "" }, role: { kind: "program" } };
}

const NOWHERE: ListenAddress = { address: "127.0.0.1", port: 0 };

/** Gateways listen where the runner binds them when every port is free. */
function gatewayPort(number: number, index: number): GatewayPort {
  return { number, listen: { address: "127.0.0.1", port: unprivilegedPort(number) }, explainPort: 15_090 + index };
}

function unlogged({ accessLogPath: _, metrics: __, ...proxy }: Proxy): Proxy {
  return proxy;
}
