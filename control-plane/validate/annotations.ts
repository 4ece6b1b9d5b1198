// Weft's annotations: `weft.mesh/sticky` and `weft.mesh/sticky-group` on a VirtualService. Istio's API has no field for either.
import { nearest } from "../model/nearest.ts";
import type { AnyResource, FieldPath } from "../model/resource.ts";
import { isHeaderName } from "./headers.ts";
import { isDnsLabel } from "./names.ts";
import { error, type Problem } from "./problem.ts";

const PREFIX = "weft.mesh/";
const STICKY = "weft.mesh/sticky";
const STICKY_GROUP = "weft.mesh/sticky-group";

/** Names to the check of a value, for VirtualServices; other kinds have none. */
const CHECKS: ReadonlyMap<string, (value: string) => readonly [what: string, fix: string] | undefined> = new Map([
  [STICKY, stickyFault],
  [STICKY_GROUP, groupFault],
]);

/** The `weft.mesh/` annotations of a resource. */
export function checkAnnotations(resource: Pick<AnyResource, "kind" | "annotations">): readonly Problem[] {
  return Object.entries(resource.annotations).flatMap(([name, value]) => {
    if (!name.startsWith(PREFIX)) return [];
    const path: FieldPath = ["metadata", "annotations", name];
    const check = CHECKS.get(name);
    if (check === undefined) {
      const meant = nearest(
        name.slice(PREFIX.length),
        [...CHECKS.keys()].map((known) => known.slice(PREFIX.length)),
      );
      const fix = meant === undefined ? `the annotations are ${[...CHECKS.keys()].join(", ")}` : `did you mean \`${PREFIX}${meant}\``;
      return [error("WEFT0382", path, `there is no annotation "${name}"`, fix)];
    }
    if (resource.kind !== "VirtualService")
      return [error("WEFT0382", path, `${name} means nothing on a ${resource.kind}`, "put it on the VirtualService that splits the traffic")];
    const fault = check(value);
    if (fault !== undefined) return [error("WEFT0381", path, ...fault)];
    const alone = name === STICKY_GROUP && resource.annotations[STICKY] === undefined;
    return alone
      ? [error("WEFT0381", path, `${STICKY_GROUP} says with whom a user keeps a version, but not what a user is`, `add \`${STICKY}: header:x-user-id\``)]
      : [];
  });
}

const FORMS = "write `header:NAME`, `cookie:NAME`, or `cookie:NAME;Path=/;Max-Age=3600` for a cookie that is made where there is none";
/** Cookie attributes that a browser knows, lower-cased; those with a value. */
const ATTRIBUTES: ReadonlyMap<string, boolean> = new Map([
  ["path", true],
  ["domain", true],
  ["max-age", true],
  ["expires", true],
  ["samesite", true],
  ["secure", false],
  ["httponly", false],
  ["partitioned", false],
]);
const ATTRIBUTE_NAMES = ["Path", "Domain", "Max-Age", "Expires", "SameSite", "Secure", "HttpOnly", "Partitioned"];

function stickyFault(value: string): readonly [string, string] | undefined {
  const colon = value.indexOf(":");
  const key = value.slice(0, colon);
  if (colon < 0 || (key !== "header" && key !== "cookie")) return [`"${value}" is not a key that users stick by`, FORMS];
  const [name = "", ...attributes] = value.slice(colon + 1).split(";");
  if (key === "header") return isHeaderName(value.slice(colon + 1)) ? undefined : [`"${value.slice(colon + 1)}" is not the name of a header`, FORMS];
  if (!isHeaderName(name)) return [`"${name}" is not the name of a cookie`, FORMS];
  for (const attribute of attributes) {
    const fault = attributeFault(attribute);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function attributeFault(attribute: string): readonly [string, string] | undefined {
  const [name = "", ...rest] = attribute.split("=");
  const text = rest.join("=");
  const takesValue = ATTRIBUTES.get(name.trim().toLowerCase());
  if (takesValue === undefined) {
    const meant = nearest(name.trim(), ATTRIBUTE_NAMES);
    return [`"${attribute.trim()}" is not an attribute of a cookie`, meant === undefined ? `use ${ATTRIBUTE_NAMES.join(", ")}` : `did you mean \`${meant}\``];
  }
  if (takesValue !== rest.length > 0)
    return [`the cookie's attribute ${name.trim()} ${takesValue ? "needs a value" : "takes no value"}`, `write \`${name.trim()}${takesValue ? "=…" : ""}\``];
  if (name.trim().toLowerCase() === "max-age" && !/^-?\d+$/.test(text.trim()))
    return [`Max-Age counts seconds, and "${text.trim()}" is no number`, "write `Max-Age=3600` for an hour"];
  if (/\s/.test(attribute.trim()))
    return [
      `the cookie's attribute "${attribute.trim()}" has a space, which Weft's records cannot hold`,
      "write it without spaces; `Max-Age` stands for a date",
    ];
  if (!/^[\x20-\x7e]*$/.test(attribute) || /[",]/.test(text.replace(/^\s*\w{3}, /, "")))
    return [`the cookie's attribute "${attribute.trim()}" has a character that cookies cannot carry`, FORMS];
  return undefined;
}

function groupFault(value: string): readonly [string, string] | undefined {
  return isDnsLabel(value)
    ? undefined
    : [`"${value}" is not the name of a group`, "use letters, digits and -, at most 63; VirtualServices of one group keep a user together"];
}

/** What Istio's webhook refuses on any kind of its own. */
const RESERVED: ReadonlyMap<string, string> = new Map([
  ["internal.istio.io/webhook-always-reject", "it refuses every resource that has it"],
  ["internal.istio.io/parents", "Istio alone sets it"],
  ["internal.istio.io/parent-namespace", "Istio alone sets it"],
]);
const DRY_RUN = "istio.io/dry-run";

/** Istio's annotations that a resource may not have. */
export function checkReservedAnnotations(resource: Pick<AnyResource, "kind" | "annotations">): readonly Problem[] {
  return Object.keys(resource.annotations).flatMap((name) => {
    const path: FieldPath = ["metadata", "annotations", name];
    const reason = RESERVED.get(name);
    if (reason !== undefined) return [error("WEFT0382", path, `the annotation ${name} cannot be used: ${reason}`, "remove it")];
    const misplaced = name === DRY_RUN && resource.kind !== "AuthorizationPolicy";
    return misplaced ? [error("WEFT0382", path, `${name} means nothing on a ${resource.kind}`, "remove it; an AuthorizationPolicy may have it")] : [];
  });
}
