// Where the mesh of a folder keeps its state and logs, and the socket by which a second terminal finds it.
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, realpath } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { basename, join, resolve } from "node:path";

/** `sun_path` of a Unix socket holds 104 bytes on macOS and 108 on Linux, with the closing zero. */
const LONGEST_SOCKET_PATH_BYTES = 103;

/**
 * The state folder of the mesh in `folder`: `WEFT_STATE`, else `$XDG_STATE_HOME/weft/<folder name>-<hash of its real path>`, with `~/.local/state`
 * where that is unset. Two ways to write one folder give one state folder. Rejects when `folder` does not exist.
 */
export async function stateFolderOf(folder: string, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const path = await realpath(folder);
  // Envoys and programs run in folders of their own, where a relative path leads elsewhere.
  if (env.WEFT_STATE !== undefined && env.WEFT_STATE !== "") return resolve(env.WEFT_STATE);
  return join(stateBaseOf(env), `${basename(path)}-${createHash("sha256").update(path).digest("hex").slice(0, 8)}`);
}

/** The state folders of all meshes that have run here, in byte order; of one only where `WEFT_STATE` names it. */
export async function stateFoldersOf(env: NodeJS.ProcessEnv = process.env): Promise<readonly string[]> {
  if (env.WEFT_STATE !== undefined && env.WEFT_STATE !== "") return [resolve(env.WEFT_STATE)];
  const base = stateBaseOf(env);
  const names = await readdir(base).catch(() => []);
  return names.sort().map((name) => join(base, name));
}

function stateBaseOf(env: NodeJS.ProcessEnv): string {
  return join(env.XDG_STATE_HOME || join(env.HOME || homedir(), ".local", "state"), "weft");
}

/** Makes the state folder and its `logs`, readable by their owner only: logs and last good files may hold secrets. */
export async function prepareStateFolder(stateFolder: string): Promise<void> {
  await mkdir(logFolderOf(stateFolder), { recursive: true, mode: 0o700 });
  await chmod(stateFolder, 0o700);
}

/** All logs of a mesh. */
export function logFolderOf(stateFolder: string): string {
  return join(stateFolder, "logs");
}

/** The socket of the running mesh: `runner.sock` in the state folder, or a short name in a folder of the user's own where that path is too long for a socket. */
export async function socketPathOf(stateFolder: string): Promise<string> {
  const path = join(stateFolder, "runner.sock");
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH_BYTES) return path;
  const folder = join(tmpdir(), `weft-${userInfo().uid}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  return join(folder, `${createHash("sha256").update(stateFolder).digest("hex").slice(0, 16)}.sock`);
}
