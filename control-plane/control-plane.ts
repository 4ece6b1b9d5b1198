// The control plane of one mesh: files and what runs go in, snapshots go out to the proxies. The pipeline itself is pure; here its inputs are
// kept, and every change of one of them makes everything that depends on it afresh.
import type { Logger } from "pino";
import { createRevisionLog, resourceStatuses } from "./admin/resource-status.ts";
import { type AdminRoutes, startAdminServer } from "./admin/server.ts";
import { type IdentityOptions, type MeshIdentity, startMeshIdentity } from "./ca/mesh-identity.ts";
import { desiredOf } from "./local/desired.ts";
import type { ControlPlaneMessage, RunnerMessage } from "./local/protocol.ts";
import { buildMesh } from "./mesh/build.ts";
import { namedCertificateFiles } from "./mesh/certificate-files.ts";
import type { Instance, Proxy } from "./mesh/instance.ts";
import type { Mesh } from "./mesh/mesh.ts";
import { shareMembers, shareMesh } from "./mesh/share-structure.ts";
import { compareDiagnostics, type Diagnostic } from "./model/diagnostic.ts";
import type { Resources } from "./model/resource.ts";
import { createSecretJoiner, gatewaySecrets, NO_SECRETS } from "./snapshot/gateway-secrets.ts";
import { EMPTY_QUARANTINE, type Quarantine, quarantined } from "./snapshot/quarantine.ts";
import { removalDelayMs } from "./snapshot/removal-delay.ts";
import { type ProxySecrets, renewSecrets } from "./snapshot/secrets.ts";
import { buildSnapshot, type Snapshot } from "./snapshot/snapshot.ts";
import { absentFiles } from "./source/absent-files.ts";
import { watchDirectory } from "./source/directory.ts";
import { loadLastGood, saveLastGood } from "./source/last-good-file.ts";
import { type ParsedFile, parseFile } from "./source/parse-file.ts";
import { type TranslationMemory, translate } from "./translate/translate.ts";
import { effectiveResources } from "./validate/effective.ts";
import { atMostEvery, systemClock } from "./xds/clock.ts";
import { startXdsServer } from "./xds/server.ts";

/** The runner hears of proxies this often at most. */
const TELL_PROXIES_MS = 20;

/** Services are `<name>.<namespace>.svc.<domain>`. */
const CLUSTER_DOMAIN = "cluster.local";

export interface ControlPlaneOptions {
  /** Absolute path of the folder of YAML. */
  readonly folder: string;
  /** Where the last good state is kept. */
  readonly lastGoodPath: string;
  /** 0: chosen by the system. */
  readonly xdsPort: number;
  /** Whom proxies trust, and how they prove themselves. "plaintext": nobody proves anything, for tests alone. */
  readonly identity: IdentityOptions | "plaintext";
  readonly wasm: Uint8Array;
  /** For tests only: a filter that can be made to trap. */
  readonly testFilter?: "trap";
  /** For tests only, the negative control of edits under load: files count as they come, and nothing outlives what named it. */
  readonly testEdits?: "unordered";
  readonly logger: Logger;
  readonly send: (message: ControlPlaneMessage) => void;
}

export interface ControlPlane {
  readonly receive: (message: RunnerMessage) => void;
  readonly close: () => Promise<void>;
}

/** What runs, as the runner said it last. */
interface Running {
  readonly sequence: number;
  readonly instances: readonly Instance[];
  readonly proxies: readonly Proxy[];
}

/** Changes that the next snapshot answers. */
interface Due {
  readonly files: Set<string>;
  changedAtMs: number | undefined;
}

/** Reads the folder, listens for proxies, and goes on until closed. Rejects when the folder cannot be read or a port not be bound. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { logger, send } = options;
  let files: ReadonlyMap<string, ParsedFile> = new Map();
  let lastGood = await loadLastGood(options.lastGoodPath);
  let running: Running = { sequence: 0, instances: [], proxies: [] };
  let formerMesh: Mesh | undefined;
  let absent: ReadonlySet<string> = new Set();
  let memory: TranslationMemory | undefined;
  let snapshot: Snapshot | undefined;
  let quarantine: Quarantine = EMPTY_QUARANTINE;
  const generations = new Map<string, number>();
  // Larger than any of a former control plane of this mesh, so that the runner need not know which one an answer belongs to.
  let revision = Date.now();
  let due: Due = { files: new Set(), changedAtMs: undefined };
  let scheduled = false;
  const said = { desired: "", diagnostics: "" };
  const revisions = createRevisionLog();
  /** What was published last, for the admin API. */
  let serving: { readonly resources: Resources; readonly diagnostics: readonly Diagnostic[] } | undefined;

  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      publish();
    });
  };

  // All at once: a thousand proxies that ACK one by one would each have all thousand told.
  const tellProxies = atMostEvery(systemClock, TELL_PROXIES_MS, () => send({ kind: "proxies", proxies: xds.state() }));

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
      : await startMeshIdentity({
          ...options.identity,
          logger,
          proxies: () => running.proxies,
          secretsHeld: (proxyId) => xds.secretsHeld(proxyId),
          onChange: renew,
          onServerCertificate: (certificate) => xds.replaceCertificate(certificate),
        });
  const xds = await startXdsServer({
    host: "127.0.0.1",
    port: options.xdsPort,
    logger,
    clock: systemClock,
    ...(identity === undefined ? { plaintext: true } : identity.server),
    onState: tellProxies,
    onNack: (refusal) => {
      quarantine = quarantined(quarantine, refusal);
      schedule();
    },
    onFilterDead: (proxyId) => {
      generations.set(proxyId, (generations.get(proxyId) ?? 0) + 1);
      logger.warn({ proxyId, generation: generations.get(proxyId) }, "the filter of this proxy has failed; it gets a fresh one");
      schedule();
    },
  });

  const publish = (): void => {
    const startedMs = performance.now();
    const effective = effectiveResources(files, options.testEdits === "unordered" ? { ...lastGood, settled: [] } : lastGood);
    absent = absentFiles(namedCertificateFiles(effective.resources), absent);
    const { instances, proxies } = running;
    const input = { resources: effective.resources, instances, proxies, domain: CLUSTER_DOMAIN, absentFiles: absent };
    const mesh = shareMesh(formerMesh, buildMesh(input));
    formerMesh = mesh;
    identity?.setTrustDomain(mesh.settings.trustDomain);
    const generationOf = (proxyId: string): number => generations.get(proxyId) ?? 0;
    const filter = { wasm: options.wasm, generationOf, ...(options.testFilter ? { test: options.testFilter } : {}) };
    const translation = translate(mesh, { filter, former: memory });
    memory = translation.memory;
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
    tellChanged("diagnostics", { kind: "diagnostics", diagnostics });
    revisions.note(effective.resources, revision);
    serving = { resources: effective.resources, diagnostics };
    send({
      kind: "published",
      revision,
      sequence: running.sequence,
      files: [...answered.files].sort(),
      changedAtMs: answered.changedAtMs ?? Date.now(),
      proxies: [...snapshot.proxies.keys()],
    });
    xds.publish(snapshot);
    tellChanged("desired", { kind: "desired", desired: desiredOf(options.folder, effective.resources, mesh) });
    if (effective.lastGood !== lastGood) {
      lastGood = effective.lastGood;
      saveLastGood(options.lastGoodPath, lastGood).catch((error: Error) => logger.error({ error: error.message }, "the last good state could not be saved"));
    }
    logger.info({ revision, proxies: snapshot.proxies.size, elapsedMs: Math.round(performance.now() - startedMs) }, "published");
  };

  /** Sends what differs from what was said last. */
  const tellChanged = (kind: "desired" | "diagnostics", message: ControlPlaneMessage): void => {
    const text = JSON.stringify(message);
    if (said[kind] === text) return;
    said[kind] = text;
    send(message);
  };

  /** Only files whose text has changed are parsed again. */
  const take = (texts: ReadonlyMap<string, string>): void => {
    const former = files;
    files = new Map(
      [...texts].map(([file, text]) => [file, former.get(file)?.text === text ? (former.get(file) ?? parseFile(file, text)) : parseFile(file, text)]),
    );
  };

  const directory = await watchDirectory({
    folder: options.folder,
    onChange: (texts, changed, changedAtMs) => {
      take(texts);
      for (const file of changed) due.files.add(file);
      due.changedAtMs ??= changedAtMs;
      schedule();
    },
    onError: (error) => logger.error({ error: error.message }, "the folder cannot be watched"),
  });
  take(directory.files);

  const admin = await startAdminServer({ port: 0, logger, routes: adminRoutes() });
  send({ kind: "listening", xdsPort: xds.port, adminPort: admin.port });
  publish();

  function answerCertificates({ id, rotate }: Extract<RunnerMessage, { kind: "certificates" }>): void {
    if (identity === undefined) {
      send({ kind: "certificates", id, error: "this mesh has no certificates: its control plane was started in plaintext" });
      return;
    }
    const { certificates } = identity;
    (rotate === undefined ? Promise.resolve() : identity.rotate(rotate)).then(
      () => send({ kind: "certificates", id, certificates: certificates() }),
      (error: Error) => send({ kind: "certificates", id, error: error.message }),
    );
  }

  function adminRoutes(): AdminRoutes {
    return {
      "/proxies": () => xds.state(),
      "/diagnostics": () => snapshot?.diagnostics ?? [],
      "/resources": () =>
        snapshot === undefined || serving === undefined ? [] : resourceStatuses(serving.resources, revisions, snapshot, xds.state(), serving.diagnostics),
    };
  }

  return {
    receive: (message) => {
      if (message.kind === "running") {
        const { instances, proxies } = running;
        running = {
          sequence: message.sequence,
          instances: shareMembers(instances, message.instances, ({ namespace, name }) => `${namespace}/${name}`),
          proxies: shareMembers(proxies, message.proxies, ({ id }) => id),
        };
        schedule();
      } else answerCertificates(message);
    },
    close: async () => {
      await identity?.close();
      await directory.close();
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
