// Paths as a user would type them.
import { relative } from "node:path";

/** Relative to `from` where it lies below, else as it is. */
export function typedPath(path: string, from: string): string {
  const inside = relative(from, path) || ".";
  return inside.startsWith("..") ? path : inside;
}
