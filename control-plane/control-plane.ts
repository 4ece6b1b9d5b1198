// The control plane of one mesh: files and what runs go in, snapshots go out to the proxies. The pipeline itself is pure; here its inputs are
// kept, and every change of one of them makes everything that depends on it afresh.
import type { Logger } from "pino";
import { createCounters, metricsText } from "./admin/metrics.ts";
import { createRevisionLog, resourceStatuses } from "./admin/resource-status.ts";
import { type AdminRoutes, startAdminServer } from "./admin/server.ts";
import type { MeshIdentity, OpenIdentity } from "./ca/mesh-identity.ts";
import { buildMesh } from "./mesh/build.ts";
import { namedCertificateFiles } from "./mesh/certificate-files.ts";
import type { Instance, Proxy } from "./mesh/instance.ts";
import type { Mesh } from "./mesh/mesh.ts";
import { shareMembers } from "./mesh/share-structure.ts";
import { compareDiagnostics, type Diagnostic } from "./model/diagnostic.ts";
import type { LastGood } from "./model/last-good.ts";
import type { Resources } from "./model/resource.ts";
import { extendSnapshot } from "./snapshot/extend.ts";
import { createSecretJoiner, gatewaySecrets, NO_SECRETS } from "./snapshot/gateway-secrets.ts";
import { EMPTY_QUARANTINE, type Quarantine, quarantined } from "./snapshot/quarantine.ts";
import { removalDelayMs } from "./snapshot/removal-delay.ts";
import { type ProxySecrets, renewSecrets } from "./snapshot/secrets.ts";
import { buildSnapshot, type Snapshot } from "./snapshot/snapshot.ts";
import type { CalledNamesStore } from "./source/called-names-file.ts";
import type { LastGoodStore } from "./source/last-good-file.ts";
import { type ParsedFile, parseFile } from "./source/parse-file.ts";
import type { OpenSource } from "./source/source.ts";
import { MOST_CALLED_NAMES, workloadKey } from "./translate/called-names.ts";
import { type RememberedTranslation, translate } from "./translate/translate.ts";
import { effectiveResources } from "./validate/effective.ts";
import { createCalledMemory } from "./xds/called-memory.ts";
import { atMostEvery, systemClock } from "./xds/clock.ts";
import type { ProxyReport } from "./xds/proxy-state.ts";
import { startXdsServer } from "./xds/server.ts";

/** Whoever listens hears of proxies this often at most. */
const TELL_PROXIES_MS = 20;

/** A machine that has much else to do makes a publication long, and the next change is not to wait as long again. */
const LONGEST_REST_MS = 2_000;

/** Services are `<name>.<namespace>.svc.<domain>`. */
const CLUSTER_DOMAIN = "cluster.local";

export interface ControlPlaneOptions {
  /** Where the resources' texts come from. */
  readonly openSource: OpenSource;
  /** Where the last good state is kept. */
  readonly lastGood: LastGoodStore;
  /** Where it is kept what workloads have called, for automatic scope. Default: nowhere. */
  readonly called?: CalledNamesStore;
  /** Address to serve proxies at. Default: loopback. */
  readonly xdsHost?: string;
  /** 0: chosen by the system. */
  readonly xdsPort: number;
  /** Of the admin API, on loopback. Default: chosen by the system. */
  readonly adminPort?: number;
  /** Whom proxies trust, and how they prove themselves. "plaintext": nobody proves anything, for tests alone. */
  readonly identity: OpenIdentity | "plaintext";
  /** Which of the files that resources name are known not to be there; absent where the proxies run on other machines. */
  readonly absentFiles?: (paths: readonly string[], former: ReadonlySet<string>) => ReadonlySet<string>;
  /** Rest after a publication, as a multiple of the time that it took, two seconds at most: what changes meanwhile is published together. Default: 0. */
  readonly restFactor?: number;
  readonly wasm: Uint8Array;
  /** For tests only: a filter that can be made to trap. */
  readonly testFilter?: "trap";
  /** For tests only, the negative control of edits under load: files count as they come, and nothing outlives what named it. */
  readonly testEdits?: "unordered";
  readonly logger: Logger;
  readonly events: ControlPlaneEvents;
}

/** What whoever started the control plane is told. Nothing is done before a call returns. */
export interface ControlPlaneEvents {
  readonly onListening: (ports: { readonly xdsPort: number; readonly adminPort: number }) => void;
  /** Before any proxy is sent it. */
  readonly onPublished: (publication: Publication) => void;
  /** Some proxy's state has changed. */
  readonly onProxies: (proxies: readonly ProxyReport[]) => void;
}

/** One snapshot, with what it was made of. */
export interface Publication {
  readonly revision: number;
  /** Of {@link Running}: what ran up to it is in the snapshot. */
  readonly sequence: number;
  /** Files whose change led to it, sorted; empty where only what runs has changed. */
  readonly files: readonly string[];
  /** When the first of those changes was seen, in milliseconds of the Unix epoch. */
  readonly changedAtMs: number;
  readonly resources: Resources;
  readonly mesh: Mesh;
  readonly snapshot: Snapshot;
  /** All that stand now, in the order of a report. */
  readonly diagnostics: readonly Diagnostic[];
  /** As it is after this publication. */
  readonly lastGood: LastGood;
}

/** What runs, as somebody said it last. */
export interface Running {
  readonly sequence: number;
  readonly instances: readonly Instance[];
  readonly proxies: readonly Proxy[];
}

export interface ControlPlane {
  readonly setRunning: (running: Running) => void;
  /** Certificates of the mesh; undefined in plaintext. */
  readonly identity: MeshIdentity | undefined;
  /** How far each proxy is. */
  readonly proxies: () => readonly ProxyReport[];
  /** What the admin API answers. */
  readonly answers: AdminRoutes;
  /** By name, the files that it has read last. */
  readonly files: () => ReadonlyMap<string, ParsedFile>;
  /** What it tells Prometheus about itself: the text of `/metrics`. */
  readonly metrics: () => string;
  readonly close: () => Promise<void>;
}

/** Changes that the next snapshot answers. */
interface Due {
  readonly files: Set<string>;
  changedAtMs: number | undefined;
}

/** Reads the source, listens for proxies, and goes on until closed. Rejects when the source cannot be read or a port not be bound. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { logger, events, restFactor = 0 } = options;
  let files: ReadonlyMap<string, ParsedFile> = new Map();
  let lastGood = await options.lastGood.load();
  let running: Running = { sequence: 0, instances: [], proxies: [] };
  let formerMesh: Mesh | undefined;
  let absent: ReadonlySet<string> = new Set();
  let translation: RememberedTranslation | undefined;
  let snapshot: Snapshot | undefined;
  let quarantine: Quarantine = EMPTY_QUARANTINE;
  const generations = new Map<string, number>();
  // Larger than any of a former control plane of this mesh, so that whoever listens need not know which one an answer belongs to.
  let revision = Date.now();
  let due: Due = { files: new Set(), changedAtMs: undefined };
  let scheduled = false;
  let closed = false;
  /** When the next publication may begin. */
  let restedAtMs = 0;
  const revisions = createRevisionLog();
  const counters = createCounters();
  /** What was published last, for the admin API. */
  let serving: { readonly resources: Resources; readonly diagnostics: readonly Diagnostic[] } | undefined;

  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    const begin = (): void => {
      scheduled = false;
      if (!closed) publish();
    };
    const restMs = restedAtMs - performance.now();
    if (restMs > 0) setTimeout(begin, restMs);
    else setImmediate(begin);
  };

  // All at once: a thousand proxies that ACK one by one would each have all thousand told.
  const tellProxies = atMostEvery(systemClock, TELL_PROXIES_MS, () => events.onProxies(xds.state()));

  const joinSecrets = createSecretJoiner();
  let credentials: ReadonlyMap<string, ReturnType<typeof gatewaySecrets>> = new Map();
  /** A proxy's own identity, and the certificates that its Gateways name. */
  const secretsOf = (proxyId: string): ProxySecrets => joinSecrets(proxyId, identity?.secretsOf(proxyId) ?? NO_SECRETS, credentials.get(proxyId));

  /** Renewed certificates need no translation: only these proxies get another snapshot. */
  const renew = (proxyIds: readonly string[]): void => {
    if (snapshot === undefined || identity === undefined) return;
    revision += 1;
    snapshot = renewSecrets(snapshot, proxyIds, secretsOf, revision);
    xds.publish(snapshot);
  };
  const identity: MeshIdentity | undefined =
    options.identity === "plaintext"
      ? undefined
      : await options.identity({
          logger,
          proxies: () => running.proxies,
          secretsHeld: (proxyId) => xds.secretsHeld(proxyId),
          onChange: renew,
          onServerCertificate: (certificate) => xds.replaceCertificate(certificate),
        });
  const calledMemory = createCalledMemory(await options.called?.load(), {
    onChange: (called) => {
      options.called?.save(called).catch((error: Error) => logger.error({ error: error.message }, "what was called could not be saved"));
    },
    onFull: (workload) =>
      logger.warn({ workload, most: MOST_CALLED_NAMES }, "this workload calls more names than are remembered: give it the scope `all` or a Sidecar"),
  });
  /** Workloads that have called something for the first time. */
  const callers = new Set<string>();
  const noteCalled = (proxyId: string, names: readonly string[]): void => {
    const workload = calledMemory.note(proxyId, names);
    if (workload === undefined) return;
    if (callers.size === 0) setImmediate(extend);
    callers.add(workload);
  };
  /** What is called for the first time needs no other mesh: only the proxies of that workload get another snapshot, at once. */
  const extend = (): void => {
    if (snapshot !== undefined && translation !== undefined && formerMesh !== undefined && !closed) {
      const proxies = formerMesh.proxies.filter((proxy) => callers.has(workloadKey(proxy)));
      revision += 1;
      snapshot = extendSnapshot(snapshot, { translation: translation.again(proxies, calledMemory.called()), accepted: xds.accepted(), revision, secretsOf });
      xds.publish(snapshot);
    }
    callers.clear();
  };

  const xds = await startXdsServer({
    host: options.xdsHost ?? "127.0.0.1",
    port: options.xdsPort,
    logger,
    clock: systemClock,
    ...(identity === undefined ? { plaintext: true } : identity.server),
    onState: tellProxies,
    onNack: (refusal) => {
      counters.refused();
      quarantine = quarantined(quarantine, refusal);
      schedule();
    },
    onHostsAsked: (proxyId, names) => noteCalled(proxyId, names),
    onFilterDead: (proxyId) => {
      counters.filterDied();
      generations.set(proxyId, (generations.get(proxyId) ?? 0) + 1);
      logger.warn({ proxyId, generation: generations.get(proxyId) }, "the filter of this proxy has failed; it gets a fresh one");
      schedule();
    },
  });

  const publish = (): void => {
    const startedMs = performance.now();
    const effective = effectiveResources(files, options.testEdits === "unordered" ? { ...lastGood, settled: [] } : lastGood);
    absent = options.absentFiles?.(namedCertificateFiles(effective.resources), absent) ?? absent;
    const { instances, proxies } = running;
    const input = {
      resources: effective.resources,
      instances,
      proxies,
      domain: CLUSTER_DOMAIN,
      certificates: options.identity !== "plaintext",
      absentFiles: absent,
    };
    const mesh = buildMesh(input, formerMesh);
    formerMesh = mesh;
    identity?.setTrustDomain(mesh.settings.trustDomain);
    const generationOf = (proxyId: string): number => generations.get(proxyId) ?? 0;
    const filter = { wasm: options.wasm, generationOf, ...(options.testFilter ? { test: options.testFilter } : {}) };
    translation = translate(mesh, { filter, called: calledMemory.called(), former: translation?.memory });
    credentials = new Map(mesh.proxies.map((proxy) => [proxy.id, gatewaySecrets(mesh, proxy)]));
    revision += 1;
    snapshot = buildSnapshot({
      previous: snapshot,
      translation,
      quarantine,
      accepted: xds.accepted(),
      revision,
      removalDelayMs: options.testEdits === "unordered" ? 0 : removalDelayMs(effective.resources.virtualServices),
      secretsOf,
    });
    quarantine = snapshot.quarantine;
    const answered = due;
    due = { files: new Set(), changedAtMs: undefined };
    // Before what is published is ACKed: a refused edit changes nothing, so that would be at once, and its author reads the two in this order.
    const diagnostics = distinct([...effective.diagnostics, ...mesh.diagnostics, ...snapshot.diagnostics]);
    revisions.note(effective.resources, revision);
    serving = { resources: effective.resources, diagnostics };
    events.onPublished({
      revision,
      sequence: running.sequence,
      files: [...answered.files].sort(),
      changedAtMs: answered.changedAtMs ?? Date.now(),
      resources: effective.resources,
      mesh,
      snapshot,
      diagnostics,
      lastGood: effective.lastGood,
    });
    xds.publish(snapshot);
    if (effective.lastGood !== lastGood) {
      lastGood = effective.lastGood;
      options.lastGood.save(lastGood).catch((error: Error) => logger.error({ error: error.message }, "the last good state could not be saved"));
    }
    const elapsedMs = performance.now() - startedMs;
    counters.published(elapsedMs);
    restedAtMs = startedMs + elapsedMs + Math.min(elapsedMs * restFactor, LONGEST_REST_MS);
    logger.info({ revision, proxies: snapshot.proxies.size, elapsedMs: Math.round(elapsedMs) }, "published");
  };

  /** Only files whose text has changed are parsed again. */
  const take = (texts: ReadonlyMap<string, string>): void => {
    const former = files;
    files = new Map(
      [...texts].map(([file, text]) => [file, former.get(file)?.text === text ? (former.get(file) ?? parseFile(file, text)) : parseFile(file, text)]),
    );
  };

  const source = await options.openSource({
    onChange: (texts, changed, changedAtMs) => {
      take(texts);
      for (const file of changed) due.files.add(file);
      due.changedAtMs ??= changedAtMs;
      schedule();
    },
    onError: (error) => logger.error({ error: error.message }, "what the mesh is made of cannot be watched"),
  });
  take(source.files);

  const answers: AdminRoutes = {
    "/proxies": () => xds.state(),
    "/diagnostics": () => snapshot?.diagnostics ?? [],
    "/resources": () =>
      snapshot === undefined || serving === undefined ? [] : resourceStatuses(serving.resources, revisions, snapshot, xds.state(), serving.diagnostics),
  };
  const metrics = (): string => {
    const { user, system } = process.cpuUsage();
    return metricsText({
      counters: counters.read(),
      proxies: xds.state(),
      diagnostics: serving?.diagnostics ?? [],
      quarantined: quarantine.size,
      certificates: identity?.certificates() ?? [],
      residentBytes: process.memoryUsage.rss(),
      cpuSeconds: (user + system) / 1_000_000,
    });
  };
  const admin = await startAdminServer({ port: options.adminPort ?? 0, logger, routes: answers, texts: { "/metrics": metrics } });
  events.onListening({ xdsPort: xds.port, adminPort: admin.port });
  publish();

  return {
    setRunning: ({ sequence, instances, proxies }) => {
      running = {
        sequence,
        instances: shareMembers(running.instances, instances, ({ namespace, name }) => `${namespace}/${name}`),
        proxies: shareMembers(running.proxies, proxies, ({ id }) => id),
      };
      calledMemory.place(running.proxies);
      schedule();
    },
    identity,
    proxies: () => xds.state(),
    answers,
    files: () => files,
    metrics,
    close: async () => {
      closed = true;
      await identity?.close();
      await source.close();
      await admin.close();
      await xds.close();
    },
  };
}

/** One of each, in the order of a report. */
function distinct(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  const byText = new Map(diagnostics.map((diagnostic) => [JSON.stringify(diagnostic), diagnostic]));
  return [...byText.values()].sort(compareDiagnostics);
}
