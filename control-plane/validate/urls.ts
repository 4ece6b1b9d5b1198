// Addresses of things to fetch. Source: Istio ParseJwksURI, validateWasmPluginURL.
import type { FieldPath } from "../model/resource.ts";
import { error, type Problem } from "./problem.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a URL cannot hold.
const UNPRINTABLE = /[\u0000-\u0020\u007f]/;
const SCHEME = /^([a-zA-Z][a-zA-Z0-9+.-]*):/;
/** `//user@host:port`: no port but a number, no space or bracket in the host. */
const AUTHORITY = /^(?:[^@/]*@)?(?:\[[0-9a-fA-F:.%]+\]|[^\s[\]:@/?#%<>"\\^`{|}]*)(?::\d*)?$/;
const BAD_ESCAPE = /%(?![0-9a-fA-F]{2})/;

/** A URL at `path` whose scheme is one of `schemes`; "" among them allows none at all. */
export function checkUrl(code: string, url: string, schemes: readonly string[], path: FieldPath): readonly Problem[] {
  const fix = `write one that begins with ${schemes.filter((scheme) => scheme !== "").join("://, ")}://`;
  const scheme = SCHEME.exec(url)?.[1]?.toLowerCase();
  // `localhost:5000/image` has a port, not a scheme.
  const withScheme = schemes.includes("") && (scheme === undefined || !isUrl(url)) ? `http://${url}` : url;
  if (!isUrl(withScheme)) return [error(code, path, `"${url}" is not a URL`, fix)];
  const used = SCHEME.exec(withScheme)?.[1]?.toLowerCase() ?? "";
  return withScheme !== url || schemes.includes(used)
    ? []
    : [error(code, path, used === "" ? `"${url}" has no scheme` : `${used}:// cannot be fetched from`, fix)];
}

function isUrl(url: string): boolean {
  const rest = url.replace(SCHEME, "");
  if (UNPRINTABLE.test(url) || BAD_ESCAPE.test(rest)) return false;
  if (!rest.startsWith("//")) return rest.startsWith("/") || SCHEME.test(url) || !url.slice(0, Math.max(0, url.indexOf("/"))).includes(":");
  const [authority = ""] = rest.slice(2).split(/[/?#]/);
  return AUTHORITY.test(authority);
}
