// Secrets enter a snapshot here, after translation: translation is pure and its output is printed, compared and kept, and a private key must be none of that.
import type { EncodedResource } from "./encode.ts";
import { resourceKey } from "./encode.ts";
import type { ProxySnapshot, Snapshot } from "./snapshot.ts";
import { ofType, type View } from "./view.ts";

/** The secrets of one proxy, by name. The maps stay the same objects as long as their content does. */
export interface ProxySecrets {
  readonly resources: ReadonlyMap<string, EncodedResource>;
  /** Names that will be there: a proxy that asks is not told "there is none", and one that holds them goes on with what it holds. */
  readonly awaited: ReadonlySet<string>;
}

/** A snapshot of one proxy with its secrets in place of any that it had. */
export function withSecrets<Held extends Pick<ProxySnapshot, "view" | "frozen">>(held: Held, secrets: ProxySecrets): Held {
  const view: View = ofType(held.view, "secret") === secrets.resources ? held.view : new Map([...held.view, ["secret", secrets.resources]]);
  return { ...held, view, frozen: frozenWith(held.frozen, secrets.awaited) };
}

/** The snapshot with other secrets for these proxies, and nothing else changed: what a renewed certificate takes. */
export function renewSecrets(snapshot: Snapshot, proxyIds: readonly string[], secretsOf: (proxyId: string) => ProxySecrets, revision: number): Snapshot {
  const proxies = new Map(snapshot.proxies);
  for (const proxyId of proxyIds) {
    const held = proxies.get(proxyId);
    if (held !== undefined) proxies.set(proxyId, { ...withSecrets(held, secretsOf(proxyId)), revision });
  }
  return { ...snapshot, revision, proxies };
}

const SECRET_KEYS = new WeakMap<ReadonlySet<string>, ReadonlySet<string>>();
const PREFIX = resourceKey("secret", "");

/** A stream compares `frozen` by identity: where only secrets are awaited, the same names give the same set. */
function frozenWith(frozen: ReadonlySet<string>, awaited: ReadonlySet<string>): ReadonlySet<string> {
  const keys = SECRET_KEYS.get(awaited) ?? new Set([...awaited].map((name) => resourceKey("secret", name)));
  SECRET_KEYS.set(awaited, keys);
  const rest = [...frozen].filter((key) => !key.startsWith(PREFIX));
  if (rest.length === 0) return keys;
  return rest.length + keys.size === frozen.size && [...keys].every((key) => frozen.has(key)) ? frozen : new Set([...rest, ...keys]);
}
