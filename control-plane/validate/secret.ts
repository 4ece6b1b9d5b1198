// A Secret as a whole. What is wrong is said at its name: the line of a value must not be shown.
import type { FieldPath, Secret } from "../model/resource.ts";
import { error, type Problem } from "./problem.ts";

const CODE = "WEFT0359";
const NAME: FieldPath = ["metadata", "name"];
const TLS = "kubernetes.io/tls";

/** Everything that a Secret by itself can get wrong. */
export function checkSecret({ spec }: Pick<Secret, "spec">): readonly Problem[] {
  const { type, entries, malformed } = spec;
  const problems: Problem[] = malformed.map((key) =>
    error(CODE, NAME, `the value of ${key} cannot be read`, "write base64 under `data:`, or plain text under `stringData:`"),
  );
  if (type !== TLS) return problems;
  for (const [key, label] of [
    ["tls.crt", "CERTIFICATE"],
    ["tls.key", "PRIVATE KEY"],
  ] as const) {
    const text = entries[key]?.reveal();
    if (text === undefined) {
      if (!malformed.includes(key)) problems.push(error(CODE, NAME, `a Secret of type ${TLS} needs ${key}`, `add ${key}`));
    } else if (!text.includes(`${label}-----`)) {
      problems.push(error(CODE, NAME, `${key} is not PEM: it has no ${label}`, "write the whole file, from -----BEGIN to -----END, in base64"));
    }
  }
  return problems;
}
