// What the objects of a cluster's mesh say of themselves: the conditions that its control plane writes. Objects in; states as `weft get` and `weft wait` print
// them out. Pure.
import { z } from "zod";
import type { ClusterFile } from "../source/kubernetes-file.ts";

const status = z.object({
  observedGeneration: z.union([z.number(), z.string()]).optional(),
  conditions: z.array(z.object({ type: z.string(), status: z.string(), reason: z.string().default(""), message: z.string().default("") })).default([]),
});

/** How far an object is. */
export interface ObjectState {
  /** The control plane has looked at the object as it is now. */
  readonly seen: boolean;
  /** Every proxy that needs it has it. */
  readonly done: boolean;
  /** Errors that no waiting will mend. */
  readonly problems: readonly string[];
  /** `3/4` of the proxies that need it have it; empty where nobody needs it, or nothing is known. */
  readonly proxies: string;
}

/** Undefined for kinds that have no such status: they say what runs. */
export function stateOf({ object, generation, kind }: Pick<ClusterFile, "object" | "generation" | "kind">): ObjectState | undefined {
  if (kind.group === "" || kind.group === "apps" || !kind.hasStatus) return undefined;
  const read = status.safeParse(object.status ?? {});
  const { observedGeneration, conditions } = read.success ? read.data : { observedGeneration: undefined, conditions: [] };
  const condition = (type: string): (typeof conditions)[number] | undefined => conditions.find((each) => each.type === type);
  const [accepted, programmed] = [condition("Accepted"), condition("Programmed")];
  const seen = Number(observedGeneration) === generation && accepted !== undefined && programmed !== undefined;
  const wrong = [
    ...(accepted?.status === "False" ? [accepted.message] : []),
    ...(programmed?.status === "False" && programmed.reason === "Refused" ? [programmed.message] : []),
  ];
  return {
    seen,
    done: seen && accepted?.status === "True" && programmed?.status === "True",
    problems: seen ? wrong : [],
    proxies: /^(\d+\/\d+) proxies/.exec(programmed?.message ?? "")?.[1] ?? "",
  };
}
