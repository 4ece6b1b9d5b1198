// The recorded answers of Istio, Envoy and Argo Rollouts: files of JSON lines, which lie beside the project and are not part of it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** `$WEFT_SHARED/conformance`, by default beside the project. */
export const CONFORMANCE = join(process.env.WEFT_SHARED ?? "../shared", "conformance");

/** The JSON values of a file of the folder, one a line. */
export async function readLines(file: string, folder: string = CONFORMANCE): Promise<readonly unknown[]> {
  const text = await readFile(join(folder, file), "utf8");
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line): unknown => JSON.parse(line));
}
