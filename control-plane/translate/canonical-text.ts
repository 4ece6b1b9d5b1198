// One text for equal values, whatever the order in which their keys stand in the YAML.
import { compareText } from "../model/diagnostic.ts";

/** JSON with sorted keys; members without a value are left out. */
export function canonicalText(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => compareText(a, b)))
      : member,
  );
}
