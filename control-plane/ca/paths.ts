// Where a mesh keeps what its identities hang on, below its state folder. Everything in it is of mode 0600, the folder itself 0700.
import { join } from "node:path";

/** Holds all the rest. */
export function identityFolderOf(stateFolder: string): string {
  return join(stateFolder, "identity");
}

/** Roots with their keys, and the control plane's own certificate. */
export function authorityPath(identityFolder: string): string {
  return join(identityFolder, "authority.json");
}

/** The key that signs the tokens of proxies. */
export function tokenKeyPath(identityFolder: string): string {
  return join(identityFolder, "token-key.json");
}

/** What Envoys trust when they call the control plane: an SDS resource in a file. */
export function rootsPath(identityFolder: string): string {
  return join(identityFolder, "roots.json");
}

/** The token of one proxy: an SDS resource in a file. */
export function tokenPath(identityFolder: string, proxyId: string): string {
  return join(identityFolder, "tokens", `${proxyId}.json`);
}
