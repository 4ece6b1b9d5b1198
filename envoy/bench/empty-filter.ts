// A filter that does nothing: the floor of every wasm filter, for comparison. Compiled in memory, with the options of the real one.
import { readFile } from "node:fs/promises";
import { z } from "zod";

const SOURCE = `
export function proxy_abi_version_0_2_1(): void {}
export function malloc(size: usize): usize { return 0; }
export function proxy_on_configure(root: u32, size: u32): u32 { return 1; }
export function proxy_on_request_headers(context: u32, headers: u32, endOfStream: u32): u32 { return 0; }
`;

const configuration = z.object({ options: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])) });

/** Compiles the empty filter. Rejects with the compiler's messages. */
export async function compileEmptyFilter(): Promise<Uint8Array> {
  const { default: asc } = await import("assemblyscript/asc");
  const { options } = configuration.parse(JSON.parse(await readFile(new URL("../../asconfig.json", import.meta.url), "utf8")));
  const { outFile: _, ...same } = options;
  const { error, binary, stderr } = await asc.compileString({ "empty.ts": SOURCE }, same);
  if (error || binary === null) throw new Error(`the empty filter does not compile\n${stderr.toString()}`);
  return binary;
}
