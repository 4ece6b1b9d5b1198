// Which of the files that resources name are not on this machine. On a laptop the gateway runs beside the control plane, so that it is known before an Envoy
// would refuse a whole port for one of them.
import { accessSync, constants } from "node:fs";

/** Those of `paths` that cannot be read. The former set itself where nothing has changed. */
export function absentFiles(paths: readonly string[], former: ReadonlySet<string>): ReadonlySet<string> {
  const absent = new Set(paths.filter((path) => !isReadable(path)));
  return absent.size === former.size && [...absent].every((path) => former.has(path)) ? former : absent;
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
