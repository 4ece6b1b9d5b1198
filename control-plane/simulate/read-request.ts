// A request as a connection manager reads it before it routes: the Host header and the path as the manager's settings make them.
import {
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  type HttpConnectionManager,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { readHost, type SimulatedRequest } from "./request.ts";

/** The request that is routed. `listenerPort` is where it came in. */
export function readRequest(request: SimulatedRequest, manager: HttpConnectionManager, listenerPort: number | undefined): SimulatedRequest {
  const { case: strip, value } = manager.stripPortMode;
  const stripPort = strip === "stripAnyHostPort" && value ? "any" : manager.stripMatchingHostPort ? "matching" : "never";
  const reading = { stripPort, stripTrailingDot: manager.stripTrailingHostDot, ...(listenerPort === undefined ? {} : { listenerPort }) } as const;
  return { ...readHost(request, reading), path: readPath(request.path, manager) };
}

/** Slashes that are escaped, the form of the path, slashes in a row: in this order. Source: http_connection_manager.proto, path_with_escaped_slashes_action. */
function readPath(path: string, manager: HttpConnectionManager): string {
  const end = path.search(/[?#]/);
  const [only, rest] = end < 0 ? [path, ""] : [path.slice(0, end), path.slice(end).replace(/#.*$/s, "")];
  if (!only.startsWith("/")) return path;
  const unescaped = manager.pathWithEscapedSlashesAction === EscapedSlashes.UNESCAPE_AND_FORWARD ? only.replace(/%2f/gi, "/").replace(/%5c/gi, "\\") : only;
  const normal = manager.normalizePath === true ? normalPath(unescaped) : unescaped;
  return (manager.mergeSlashes ? normal.replace(/\/{2,}/g, "/") : normal) + rest;
}

/**
 * The path by RFC 3986, as Chromium's URL library makes it: escapes of letters, digits and `-._~` are undone, `\` is `/`, segments `.` and `..` are resolved.
 * Source: Envoy, path_utility.cc, PathUtil::canonicalPath.
 */
function normalPath(path: string): string {
  const plain = path
    .replace(/%([0-9a-f]{2})/gi, (escape, digits: string) => {
      const character = String.fromCharCode(Number.parseInt(digits, 16));
      return /[A-Za-z0-9._~-]/.test(character) ? character : escape;
    })
    .replaceAll("\\", "/");
  const kept: string[] = [];
  const segments = plain.split("/").slice(1);
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === "..") kept.pop();
    if (segment !== "." && segment !== "..") kept.push(segment);
    else if (last) kept.push("");
  }
  return `/${kept.join("/")}`;
}
