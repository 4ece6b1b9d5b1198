// The text of a LocalRun out of proposals: written once, for a person to go on with. Pure.
import { Document, isScalar, isSeq, visit } from "yaml";
import type { Proposal } from "./proposal.ts";

/** The name under which `weft init` writes it. */
export const LOCAL_FILE = "weft.yaml";

const INTRODUCTION = `# Read by Weft on a laptop only: what stands for each container image. A cluster has no use for this file.
# Written by \`weft init\`, which never writes over it: from here on it is yours.
`;

/** `name` of the document: the folder's. */
export function localFile(name: string, proposals: readonly Proposal[]): string {
  const head = `apiVersion: weft.mesh/v1alpha1\nkind: LocalRun\nmetadata:\n  name: ${name}\nspec:\n  images:\n`;
  return `${INTRODUCTION}${head}${proposals.map(entryText).join("")}`;
}

/** One entry of `spec.images`, with what it was made of as a comment. */
export function entryText(proposal: Proposal): string {
  const { workloads, program, missing } = proposal;
  const why = program === undefined ? `${missing}; a stub until you name a command or declare its answers` : program.reason;
  const document = new Document([entryOf(proposal)]);
  visit(document, {
    Pair: (_, { key, value }) => {
      if (isScalar(key) && key.value === "command" && isSeq(value)) value.flow = true;
    },
  });
  const lines = document.toString({ lineWidth: 0, flowCollectionPadding: false }).trimEnd().split("\n");
  return [`# ${workloads.join(", ")}: ${why}`, ...lines].map((line) => `    ${line}\n`).join("");
}

function entryOf({ image, program, env }: Proposal): object {
  if (program === undefined) {
    return { image, stub: [{ path: "/*", status: 501, body: `${image} does not run here: declare what it answers in ${LOCAL_FILE}\n` }] };
  }
  const own = { ...program.env, ...env };
  return {
    image,
    ...(program.directory === "." ? {} : { directory: program.directory }),
    command: program.command,
    ...(Object.keys(own).length === 0 ? {} : { env: own }),
  };
}
