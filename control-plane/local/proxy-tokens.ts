// The token of each proxy as a file beside it: minted before its Envoy starts, renewed long before it expires, removed when the Envoy has ended.
import { rm } from "node:fs/promises";
import type { XdsIdentity } from "../../envoy/bootstrap.ts";
import { CONTROL_PLANE_NAME } from "../ca/control-plane-name.ts";
import { rootsPath, tokenKeyPath, tokenPath } from "../ca/paths.ts";
import { writePrivateFile } from "../ca/private-file.ts";
import { tokenFile } from "../ca/secret-files.ts";
import { loadTokenKey, mintToken } from "../ca/token.ts";
import type { Proxy } from "../mesh/instance.ts";
import { atEpoch, systemClock } from "../xds/clock.ts";

export interface ProxyTokens {
  /** Resolves when the token is there. It is renewed until {@link ProxyTokens.release}. */
  readonly prepare: (proxy: Proxy) => Promise<XdsIdentity>;
  readonly release: (proxyId: string) => Promise<void>;
  readonly close: () => void;
}

/** Of a token. A stream ends with its token, so this is also how long a proxy that was removed could go on listening. */
const USUAL_LIFETIME_MS = 3_600_000;
const RETRY_MS = 1_000;

/** `lifetimeMs`: of a token; default: one hour. `onProblem` is told what keeps a token from being renewed. */
export function createProxyTokens(identityFolder: string, onProblem: (text: string) => void, lifetimeMs: number = USUAL_LIFETIME_MS): ProxyTokens {
  const cancels = new Map<string, () => void>();
  const key = loadTokenKey(tokenKeyPath(identityFolder));
  // Whoever asks for a token is told.
  key.catch(() => undefined);

  const write = async ({ id, namespace, serviceAccount }: Proxy): Promise<void> => {
    const issuedAtMs = Date.now();
    const token = await mintToken(await key, { proxyId: id, namespace, serviceAccount, issuedAtMs, expiresAtMs: issuedAtMs + lifetimeMs });
    await writePrivateFile(tokenPath(identityFolder, id), tokenFile(token));
  };
  const renewAt = (proxy: Proxy, atMs: number): void => {
    cancels.set(
      proxy.id,
      atEpoch(systemClock, Date.now, atMs, () => {
        write(proxy).then(
          () => cancels.has(proxy.id) && renewAt(proxy, Date.now() + lifetimeMs / 2),
          (error: Error) => {
            onProblem(`the token of ${proxy.id} cannot be renewed: ${error.message}`);
            if (cancels.has(proxy.id)) renewAt(proxy, Date.now() + RETRY_MS);
          },
        );
      }),
    );
  };

  return {
    prepare: async (proxy) => {
      await write(proxy);
      cancels.get(proxy.id)?.();
      renewAt(proxy, Date.now() + lifetimeMs / 2);
      return { rootsPath: rootsPath(identityFolder), serverName: CONTROL_PLANE_NAME, tokenPath: tokenPath(identityFolder, proxy.id) };
    },
    release: async (proxyId) => {
      cancels.get(proxyId)?.();
      cancels.delete(proxyId);
      await rm(tokenPath(identityFolder, proxyId), { force: true });
    },
    close: () => {
      for (const cancel of cancels.values()) cancel();
      cancels.clear();
    },
  };
}
