// Ports of ServiceEntries, Sidecars and WorkloadEntries: their names and protocols, and Unix sockets in place of a port.
// Source: Istio ValidatePortName, ValidateProtocol, ValidateUnixAddress.
import { nearest } from "../model/nearest.ts";
import type { FieldPath } from "../model/resource.ts";
import { isDnsLabel } from "./names.ts";
import { error, type Problem } from "./problem.ts";
import { isProtocol, PROTOCOLS } from "./protocols.ts";

export const UNIX = "unix://";

/** A port's name. */
export function checkPortName(code: string, name: string, path: FieldPath): readonly Problem[] {
  if (isDnsLabel(name)) return [];
  return [error(code, path, name === "" ? "the port has no name" : `"${name}" is not the name of a port`, "use letters, digits and -, at most 63")];
}

/** A port's protocol; none leaves it to the name. */
export function checkProtocol(code: string, protocol: string | undefined, path: FieldPath): readonly Problem[] {
  if (protocol === undefined || protocol === "" || isProtocol(protocol)) return [];
  const meant = nearest(protocol, PROTOCOLS);
  return [
    error(code, path, `there is no protocol "${protocol}"`, meant === undefined ? `use one of ${[...PROTOCOLS].join(", ")}` : `did you mean \`${meant}\``),
  ];
}

/** The socket after `unix://`: an absolute path to a file, or `@name` for one without a file. */
export function checkUnixSocket(code: string, address: string, path: FieldPath): readonly Problem[] {
  const socket = address.slice(UNIX.length);
  if (socket.startsWith("@") || (socket.startsWith("/") && !socket.endsWith("/"))) return [];
  return [error(code, path, `"${socket}" is not the absolute path of a socket`, "write unix:///path/to/socket")];
}
