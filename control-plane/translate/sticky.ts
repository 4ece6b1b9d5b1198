// The annotations `weft.mesh/sticky` and `weft.mesh/sticky-group` of a VirtualService: what makes a weighted choice stay. Istio's API has no field for it.
import type { StickyKey } from "./decision-record.ts";

const STICKY_ANNOTATION = "weft.mesh/sticky";
const STICKY_GROUP_ANNOTATION = "weft.mesh/sticky-group";

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const ATTRIBUTES = /^[!-~]+$/;

/**
 * `header:NAME`, `cookie:NAME` (read only), or `cookie:NAME;Path=/;Max-Age=3600`, whose attributes ask for a cookie where a client has none.
 * Undefined where the text is none of these. Source of the names' alphabet: RFC 9110, section 5.6.2.
 */
function parseSticky(text: string): StickyKey | undefined {
  const [, kind, rest = ""] = /^\s*(header|cookie):(.*?)\s*$/.exec(text) ?? [];
  const [name = "", ...attributes] = rest.split(";").map((part) => part.trim());
  if (!TOKEN.test(name)) return undefined;
  if (kind === "header") return attributes.length === 0 ? { kind, name: name.toLowerCase() } : undefined;
  if (kind !== "cookie") return undefined;
  if (attributes.length === 0) return { kind, name };
  return attributes.every((attribute) => ATTRIBUTES.test(attribute)) ? { kind, name, attributes: attributes.join(";") } : undefined;
}

/** The sticky key of a VirtualService; a malformed annotation counts as absent, which validation has reported. */
export function stickyKeyOf(annotations: Readonly<Record<string, string>>): StickyKey {
  const text = annotations[STICKY_ANNOTATION];
  return (text === undefined ? undefined : parseSticky(text)) ?? { kind: "none" };
}

/** The group whose routes share their choices, where one is named. */
export function stickyGroupOf(annotations: Readonly<Record<string, string>>): string | undefined {
  const group = annotations[STICKY_GROUP_ANNOTATION]?.trim();
  return group === "" ? undefined : group;
}
