// The leaf of each proxy: made when its stream asks for one, made again when half of its life is over, forgotten when the proxy has gone.
import type { EncodedResource } from "../snapshot/encode.ts";
import type { ProxySecrets } from "../snapshot/secrets.ts";
import { LEAF_SECRET, ROOTS_SECRET } from "../translate/names.ts";
import { atEpoch, type Clock } from "../xds/clock.ts";
import type { Logger } from "../xds/connection.ts";
import type { SecretSource } from "../xds/secret-source.ts";
import type { Leaf } from "./certificates.ts";
import { parseLeafVersion } from "./sds-version.ts";
import { leafSecret } from "./secrets.ts";

export interface ProxyLeavesOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds of the Unix epoch. */
  readonly epochMs: () => number;
  readonly lifetimeMs: number;
  /** Undefined for a proxy that the mesh does not know. */
  readonly issue: (proxyId: string) => Promise<Leaf | undefined>;
  /** Of the issuer that signs now. */
  readonly fingerprint: () => string;
  /** The trust bundle. */
  readonly roots: () => EncodedResource;
  /** These proxies are to be given their secrets afresh. */
  readonly onChange: (proxyIds: readonly string[]) => void;
}

export interface ProxyLeaves extends SecretSource {
  readonly secretsOf: (proxyId: string) => ProxySecrets;
  readonly leafOf: (proxyId: string) => Leaf | undefined;
  /** Renews every leaf that `mayStay` does not spare. */
  readonly renew: (mayStay: (leaf: Leaf | undefined) => boolean) => void;
  /** The bundle has changed. */
  readonly rootsChanged: () => void;
  readonly close: () => void;
}

/** Renewals of many proxies that started together are spread over this part of the lifetime, before the half of it. */
const SPREAD = 0.05;
const RETRY_MS = 1_000;

interface Entry {
  leaf: Leaf | undefined;
  secrets: ProxySecrets;
  /** Cancels the next renewal. */
  cancel: () => void;
  /** Counts makings: one that was overtaken is dropped. */
  turn: number;
  /** One is being made, or is tried again. */
  making: boolean;
  /** Some proxies ask for the roots alone. */
  wantsLeaf: boolean;
}

const LEAF_IS_AWAITED: ReadonlySet<string> = new Set([LEAF_SECRET]);
const NOTHING_IS_AWAITED: ReadonlySet<string> = new Set();

/** Nothing is made before a proxy asks. */
export function createProxyLeaves(options: ProxyLeavesOptions): ProxyLeaves {
  const { clock, logger, epochMs, lifetimeMs } = options;
  const entries = new Map<string, Entry>();
  let rootsOnly = secretsWith(options.roots(), undefined);
  let closed = false;

  const make = (proxyId: string, entry: Entry): void => {
    entry.cancel();
    entry.turn += 1;
    entry.making = true;
    const { turn } = entry;
    const retry = (): void => {
      entry.cancel = clock.after(RETRY_MS, () => make(proxyId, entry));
    };
    options.issue(proxyId).then(
      (leaf) => {
        if (closed || entry.turn !== turn || entries.get(proxyId) !== entry) return;
        if (leaf === undefined) return retry();
        entry.making = false;
        entry.leaf = leaf;
        entry.secrets = secretsWith(options.roots(), leaf);
        renewAt(proxyId, entry, dueMs(leaf.issuedAtMs, leaf.expiresAtMs, lifetimeMs));
        logger.info({ proxyId, serial: leaf.serial, expires: new Date(leaf.expiresAtMs).toISOString() }, "issued a certificate");
        options.onChange([proxyId]);
      },
      (error: Error) => {
        logger.error({ proxyId, error: error.message }, "a certificate cannot be issued; it is tried again");
        if (!closed && entry.turn === turn) retry();
      },
    );
  };
  const renewAt = (proxyId: string, entry: Entry, atMs: number): void => {
    entry.cancel();
    entry.cancel = atEpoch(clock, epochMs, atMs, () => make(proxyId, entry));
  };

  return {
    asked: (proxyId, names, held) => {
      const wants = (name: string): boolean => names.includes(name) || names.includes("*");
      if (!wants(LEAF_SECRET) && !wants(ROOTS_SECRET)) return;
      const entry = entries.get(proxyId) ?? { leaf: undefined, secrets: rootsOnly, cancel: () => undefined, turn: 0, making: false, wantsLeaf: false };
      entries.set(proxyId, entry);
      if (!wants(LEAF_SECRET)) return;
      entry.wantsLeaf = true;
      const version = parseLeafVersion(held.get(LEAF_SECRET) ?? "");
      // What it holds may be of another control plane, which has the key and this one has not: it stays until it is due.
      const due = version === undefined ? 0 : dueMs(version.expiresAtMs - lifetimeMs, version.expiresAtMs, lifetimeMs);
      const mayStay = version?.fingerprint === options.fingerprint() && due > epochMs();
      if (mayStay && (entry.leaf === undefined || entry.leaf.expiresAtMs !== version.expiresAtMs)) {
        entry.leaf = undefined;
        entry.secrets = rootsOnly;
        entry.turn += 1;
        entry.making = false;
        renewAt(proxyId, entry, due);
        options.onChange([proxyId]);
      } else if (!mayStay && entry.leaf === undefined && !entry.making) make(proxyId, entry);
    },
    left: (proxyId) => {
      const entry = entries.get(proxyId);
      entry?.cancel();
      entries.delete(proxyId);
    },
    secretsOf: (proxyId) => entries.get(proxyId)?.secrets ?? rootsOnly,
    leafOf: (proxyId) => entries.get(proxyId)?.leaf,
    renew: (mayStay) => {
      for (const [proxyId, entry] of entries) if (entry.wantsLeaf && !mayStay(entry.leaf)) make(proxyId, entry);
    },
    rootsChanged: () => {
      rootsOnly = secretsWith(options.roots(), undefined);
      for (const entry of entries.values()) entry.secrets = entry.leaf === undefined ? rootsOnly : secretsWith(options.roots(), entry.leaf);
      options.onChange([...entries.keys()]);
    },
    close: () => {
      closed = true;
      for (const { cancel } of entries.values()) cancel();
    },
  };
}

function secretsWith(roots: EncodedResource, leaf: Leaf | undefined): ProxySecrets {
  const resources = new Map([[ROOTS_SECRET, roots]]);
  if (leaf !== undefined) resources.set(LEAF_SECRET, leafSecret(leaf));
  return { resources, awaited: leaf === undefined ? LEAF_IS_AWAITED : NOTHING_IS_AWAITED };
}

/** Half of the life of what was issued, a little less for some. An issuer that ends sooner makes leaves that live shorter. */
function dueMs(issuedAtMs: number, expiresAtMs: number, lifetimeMs: number): number {
  const halfMs = Math.min(lifetimeMs, expiresAtMs - issuedAtMs) / 2;
  return expiresAtMs - halfMs - Math.random() * SPREAD * halfMs;
}
