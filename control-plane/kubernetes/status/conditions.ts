// What the status of an object says: whether it is right (Accepted), and whether the proxies that need it have it (Programmed). Pure.
// Source: Istio, IstioCondition (meta/v1alpha1); the Gateway API's words.
import type { Diagnostic } from "../../model/diagnostic.ts";

export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime?: string;
}

/** How far an object's resource is; absent where nothing of it serves. */
export interface Progress {
  readonly needed: number;
  readonly taken: number;
  /** The object as it is now is what serves, rather than its last good version. */
  readonly current: boolean;
}

/** The types that are ours. Conditions of others in the same list are left as they are. */
export const OWN_CONDITIONS: readonly string[] = ["Accepted", "Programmed"];

/** Refused by Envoy: not the object's own fault as far as its schema goes. */
const REFUSED = /^WEFT07/;
const MOST_FINDINGS = 3;

/** Of an object at one generation. `diagnostics` are those about its file. */
export function conditionsOf(diagnostics: readonly Diagnostic[], progress: Progress | undefined, generation: number): readonly Condition[] {
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  const wrong = errors.filter(({ code }) => !REFUSED.test(code));
  const refused = errors.filter(({ code }) => REFUSED.test(code));
  const warnings = diagnostics.filter(({ severity }) => severity === "warning");
  const about = { observedGeneration: generation };
  const meanwhile = progress === undefined ? "nothing of it serves" : progress.current ? "" : "its last good version serves meanwhile";
  const accepted: Condition =
    wrong.length === 0
      ? { type: "Accepted", status: "True", reason: "Accepted", message: texts(warnings), ...about }
      : { type: "Accepted", status: "False", reason: "Invalid", message: [texts(wrong), meanwhile].filter((text) => text !== "").join("; "), ...about };
  return [accepted, { type: "Programmed", ...programmed(wrong.length > 0, refused, progress), ...about }];
}

function programmed(isWrong: boolean, refused: readonly Diagnostic[], progress: Progress | undefined): Pick<Condition, "status" | "reason" | "message"> {
  if (refused.length > 0) return { status: "False", reason: "Refused", message: texts(refused) };
  if (progress === undefined) return { status: "False", reason: isWrong ? "Invalid" : "NotServed", message: "no proxy has anything of it" };
  const { needed, taken, current } = progress;
  const counted = `${Math.min(taken, needed)}/${needed} proxies`;
  if (!current) return { status: "False", reason: "Invalid", message: `${counted} have its last good version` };
  if (needed === 0) return { status: "True", reason: "NotNeeded", message: "no proxy needs it" };
  return taken >= needed ? { status: "True", reason: "Programmed", message: counted } : { status: "False", reason: "Pending", message: counted };
}

/** Line and column are those of the object as `weft get` and `kubectl get -o yaml` show it. */
function texts(diagnostics: readonly Diagnostic[]): string {
  const shown = diagnostics.slice(0, MOST_FINDINGS).map(({ code, what, fix }) => `${code} ${what}. Fix: ${fix}`);
  const more = diagnostics.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}

/** The whole list as it is to be: ours first written with the time of their last change, those of others as they are. */
export function mergeConditions(former: readonly Condition[], own: readonly Condition[], now: string): readonly Condition[] {
  const others = former.filter(({ type }) => !OWN_CONDITIONS.includes(type));
  return [
    ...others,
    ...own.map((condition) => {
      const before = former.find(({ type }) => type === condition.type);
      const unchanged = before?.status === condition.status ? before.lastTransitionTime : undefined;
      return { ...condition, lastTransitionTime: unchanged ?? now };
    }),
  ];
}

/** How urgent it is to write `own` over `former`: a verdict that is another one, a count alone, or nothing. A server may drop fields that its schema does not know. */
export function difference(
  former: { readonly observedGeneration?: unknown; readonly conditions?: readonly Condition[] },
  own: readonly Condition[],
  generation: number,
): "verdict" | "count" | "none" {
  const { conditions = [], observedGeneration } = former;
  if (String(observedGeneration ?? "") !== String(generation)) return "verdict";
  const pairs = own.map((condition) => [condition, conditions.find(({ type }) => type === condition.type)] as const);
  if (pairs.some(([now, before]) => before === undefined || before.status !== now.status || before.reason !== now.reason)) return "verdict";
  return pairs.some(([now, before]) => before?.message !== now.message) ? "count" : "none";
}
