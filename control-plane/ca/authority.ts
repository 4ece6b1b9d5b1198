// The certificate authority of a mesh while it lives: its roots from disk or from somebody else, the leaves of its proxies, the control plane's own certificate,
// and one root after the other. Everything that it makes is renewed by itself.
import type { ProxySecrets } from "../snapshot/secrets.ts";
import { atEpoch, type Clock } from "../xds/clock.ts";
import type { Logger } from "../xds/connection.ts";
import type { SecretSource } from "../xds/secret-source.ts";
import { type KeptAuthority, loadAuthority, saveAuthority } from "./authority-file.ts";
import { createRoot, type Issuer, issueLeaf, type Leaf } from "./certificates.ts";
import { type ExternalIssuerReader, issuerAt } from "./external-issuer.ts";
import { firstAuthority, issueServer, USUAL_LIFETIME_MS } from "./first-authority.ts";
import { authorityPath, rootsPath } from "./paths.ts";
import { writePrivateFile } from "./private-file.ts";
import { createProxyLeaves } from "./proxy-leaves.ts";
import { type Authority, advance, announce, authorityOf, bundleOf, type Holdings, isRotating, issuerOf } from "./rotation.ts";
import { bundleVersion } from "./sds-version.ts";
import { rootsFile } from "./secret-files.ts";
import { rootsSecret } from "./secrets.ts";
import { spiffeId, type WorkloadIdentity } from "./spiffe.ts";

const EXTERNAL_POLL_MS = 1_000;
const ROTATION_POLL_MS = 250;

export interface MeshAuthorityOptions {
  /** Where roots and keys are kept. */
  readonly identityFolder: string;
  /** A folder of `tls.crt`, `tls.key`, `ca.crt`, or a Secret document, or a reader: the issuer is somebody else's. Default: a root of the mesh's own. */
  readonly external?: string | ExternalIssuerReader;
  /** Of a leaf, in milliseconds. Default: 24 hours. */
  readonly lifetimeMs?: number;
  readonly clock: Clock;
  /** Milliseconds of the Unix epoch. */
  readonly epochMs: () => number;
  readonly logger: Logger;
  readonly trustDomain: () => string;
  /** Who a proxy is, from what runs; undefined where nothing of this id does. */
  readonly identityOf: (proxyId: string) => WorkloadIdentity | undefined;
  /** What the proxies of the mesh are known to hold. */
  readonly holdings: () => readonly Holdings[];
  /** These proxies are to be given their secrets afresh. */
  readonly onChange: (proxyIds: readonly string[]) => void;
  /** The control plane's own certificate, at each renewal. */
  readonly onServerCertificate: (leaf: Leaf) => void;
}

export interface MeshAuthority extends SecretSource {
  readonly secretsOf: (proxyId: string) => ProxySecrets;
  readonly leafOf: (proxyId: string) => Leaf | undefined;
  readonly server: () => Leaf;
  readonly state: () => Authority;
  /** Renews every leaf. */
  readonly renewLeaves: () => void;
  /** Begins a root rotation. Rejects where the root is somebody else's or one is under way. */
  readonly rotateRoot: () => Promise<void>;
  /** Leaves carry the trust domain: another one makes them all due. */
  readonly trustDomainChanged: () => void;
  /** Resolves when nothing is written any more. */
  readonly close: () => Promise<void>;
}

/** Resolves when there is a root and a server certificate. Rejects when what is on disk cannot be read, or the external issuer is unusable from the start. */
export async function startMeshAuthority(options: MeshAuthorityOptions): Promise<MeshAuthority> {
  const { identityFolder, clock, epochMs, logger, lifetimeMs = USUAL_LIFETIME_MS } = options;
  const path = authorityPath(identityFolder);
  const external = typeof options.external === "string" ? issuerAt(options.external) : options.external;
  const kept = await keptAuthority(options, external);
  let authority = kept.authority;
  let server: Leaf;
  let said = "";
  let closed = false;
  let cancelServer = (): void => undefined;
  let roots = rootsSecret(bundleOf(authority));

  /** One write after the other: a root must be on disk before anything is signed with it. */
  let writing: Promise<void> = Promise.resolve();
  const save = (): Promise<void> => {
    writing = writing.catch(() => undefined).then(() => saveAuthority(path, { authority, server }));
    return writing;
  };
  const leaves = createProxyLeaves({
    clock,
    logger,
    epochMs,
    lifetimeMs,
    fingerprint: () => issuerOf(authority).fingerprint,
    roots: () => roots,
    onChange: options.onChange,
    issue: async (proxyId) => {
      const identity = options.identityOf(proxyId);
      return identity === undefined
        ? undefined
        : issueLeaf(issuerOf(authority), { uri: spiffeId(options.trustDomain(), identity), nowMs: epochMs(), lifetimeMs });
    },
  });
  const makeServer = (): Promise<Leaf> => issueServer(issuerOf(authority), options.trustDomain(), epochMs(), lifetimeMs);
  const serverDueMs = ({ issuedAtMs, expiresAtMs, fingerprint }: Leaf): number =>
    fingerprint === issuerOf(authority).fingerprint ? issuedAtMs + Math.min(lifetimeMs, expiresAtMs - issuedAtMs) / 2 : 0;
  const keepServer = (): void => {
    cancelServer();
    cancelServer = atEpoch(clock, epochMs, serverDueMs(server), () => void renewServer());
  };
  const renewServer = async (): Promise<void> => {
    try {
      server = await makeServer();
      if (closed) return;
      await save();
      options.onServerCertificate(server);
      keepServer();
    } catch (error) {
      logger.error({ error: textOf(error) }, "the control plane's certificate cannot be renewed; it is tried again");
      cancelServer = clock.after(EXTERNAL_POLL_MS, () => void renewServer());
    }
  };
  /** Takes on the next state: to disk first, then to everybody. */
  const enter = async (next: Authority): Promise<void> => {
    const [former, trusted] = [issuerOf(authority).fingerprint, bundleVersion(bundleOf(authority))];
    authority = next;
    await save();
    const bundle = bundleOf(authority);
    if (bundleVersion(bundle) !== trusted) {
      await writePrivateFile(rootsPath(identityFolder), rootsFile(bundle));
      roots = rootsSecret(bundle);
      leaves.rootsChanged();
    }
    const { fingerprint, generation } = issuerOf(authority);
    logger.info({ issuing: generation, trusted: authority.issuers.map((issuer) => issuer.generation) }, "the roots of the mesh have changed");
    if (fingerprint === former) return;
    leaves.renew((leaf) => leaf?.fingerprint === fingerprint);
    await renewServer();
  };
  const nextGeneration = (): number => Math.max(...authority.issuers.map(({ generation }) => generation)) + 1;
  const readExternal = async (reader: ExternalIssuerReader): Promise<void> => {
    const read = await reader.read(epochMs());
    if (closed) return;
    if (read.kind === "problem") {
      if (said !== read.text) logger.error({ reason: read.text }, "the external issuer is not taken over; the former one goes on");
      said = read.text;
    } else if (!isNewest(authority, read.issuer)) {
      said = "";
      await enter(announce(authority, { ...read.issuer, generation: nextGeneration() }, epochMs()));
    }
  };
  /** One step at a time: a poll that takes long holds up the next. */
  const poll = (): void => {
    const everyMs = isRotating(authority) ? ROTATION_POLL_MS : EXTERNAL_POLL_MS;
    if (closed || (external === undefined && !isRotating(authority))) {
      polling = false;
      return;
    }
    polling = true;
    clock.after(everyMs, () => {
      if (closed) return;
      stepping = step().catch((error: unknown) => logger.error({ error: textOf(error) }, "the roots of the mesh could not be changed; it is tried again"));
      void stepping.then(poll);
    });
  };
  let polling = false;
  let stepping: Promise<void> = Promise.resolve();
  const step = async (): Promise<void> => {
    const next = advance(authority, bundleVersion(bundleOf(authority)), options.holdings(), epochMs(), lifetimeMs);
    if (next !== authority) await enter(next);
    if (external !== undefined) await readExternal(external);
  };

  server = kept.server !== undefined && serverDueMs(kept.server) > epochMs() ? kept.server : await makeServer();
  await save();
  await writePrivateFile(rootsPath(identityFolder), rootsFile(bundleOf(authority)));
  keepServer();
  poll();
  return {
    asked: leaves.asked,
    left: leaves.left,
    secretsOf: leaves.secretsOf,
    leafOf: leaves.leafOf,
    server: () => server,
    state: () => authority,
    renewLeaves: () => leaves.renew(() => false),
    trustDomainChanged: () => leaves.renew(() => false),
    rotateRoot: async () => {
      if (external !== undefined) throw new Error(`the root of this mesh is not its own. Fix: change what ${external.place} holds; it is taken over at once`);
      if (isRotating(authority)) throw new Error("a root rotation is under way. Fix: wait for its end: `weft cert show` names the roots");
      await enter(announce(authority, await createRoot(nextGeneration(), epochMs()), epochMs()));
      if (!polling) poll();
    },
    close: async () => {
      closed = true;
      cancelServer();
      leaves.close();
      await stepping;
      await writing.catch(() => undefined);
    },
  };
}

/** What is on disk; where there is nothing, what comes first. An issuer of somebody else's that comes later takes over by rotation. */
async function keptAuthority(
  { identityFolder, epochMs, lifetimeMs }: MeshAuthorityOptions,
  external: ExternalIssuerReader | undefined,
): Promise<KeptAuthority> {
  if (external === undefined) return firstAuthority(identityFolder, epochMs(), lifetimeMs);
  const kept = await loadAuthority(authorityPath(identityFolder));
  if (kept !== undefined) return kept;
  const read = await external.read(epochMs());
  if (read.kind === "problem") throw new Error(`the external issuer cannot be used: ${read.text}`);
  return { authority: authorityOf({ ...read.issuer, generation: 1 }, epochMs()) };
}

function isNewest({ issuers }: Authority, found: Omit<Issuer, "generation">): boolean {
  const newest = issuers.at(-1);
  return newest?.fingerprint === found.fingerprint && newest.rootsPem.join("") === found.rootsPem.join("");
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
