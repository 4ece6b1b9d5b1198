// The order of endpoints, which everything that is encoded from them keeps.
import { compareText } from "../model/diagnostic.ts";
import type { Endpoint } from "./mesh.ts";

/** By address, port and name, so that equal meshes give equal bytes. */
export function compareEndpoints(a: Endpoint, b: Endpoint): number {
  return compareText(a.address, b.address) || a.port - b.port || compareText(a.instance.name, b.instance.name);
}
