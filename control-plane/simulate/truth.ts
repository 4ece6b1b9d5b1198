// Three-valued logic: a condition holds, does not hold, or depends on what nobody here can know. Conditions in, one of the three out.

/** `unknown`: what it depends on, in words. */
export type Truth = boolean | { readonly unknown: readonly string[] };

/** All hold. One that does not hold settles it, whatever else is unknown. */
export function allOf(truths: readonly Truth[]): Truth {
  if (truths.includes(false)) return false;
  return joined(truths) ?? true;
}

/** One holds. One that does settles it, whatever else is unknown. */
export function anyOf(truths: readonly Truth[]): Truth {
  if (truths.includes(true)) return true;
  return joined(truths) ?? false;
}

export function not(truth: Truth): Truth {
  return typeof truth === "boolean" ? !truth : truth;
}

function joined(truths: readonly Truth[]): Truth | undefined {
  const unknown = truths.flatMap((truth) => (typeof truth === "boolean" ? [] : truth.unknown));
  return unknown.length === 0 ? undefined : { unknown: [...new Set(unknown)] };
}
