// `weft cert show` and `weft cert rotate`: whom the mesh trusts, what its proxies prove themselves with, and renewing both.
import type { CertificateRow } from "../local/protocol.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { findRunningMesh } from "./running-mesh.ts";
import { type Style, styleOf } from "./style.ts";
import { alignColumns } from "./table.ts";
import { parseWorkloadName } from "./workload-name.ts";

export interface CertShowOptions {
  readonly output: string;
  readonly namespace?: string;
  readonly dir?: string;
}

export interface CertRotateOptions {
  readonly root?: boolean;
  readonly dir?: string;
}

/** Prints certificates as a table or as JSON: all of them, or those of one workload's proxies. */
export async function certShow(workload: string | undefined, options: CertShowOptions): Promise<number> {
  const ask = await findRunningMesh(options.dir);
  const rows = await ask("certificates", {});
  const shown = workload === undefined ? rows : certificatesOf(rows, await proxiesOf(workload));
  process.stdout.write(
    options.output === "json" ? `${JSON.stringify(shown, undefined, 2)}\n` : `${certificatesText(shown, styleOf(process.stdout, process.env))}\n`,
  );
  return EXIT.ok;

  async function proxiesOf(text: string): Promise<ReadonlySet<string>> {
    const name = parseWorkloadName(text);
    const instances = (await ask("ps", undefined)).filter(
      (row) =>
        row.workload === name.workload &&
        (name.zone === undefined || row.zone.endsWith(name.zone)) &&
        (options.namespace === undefined || row.namespace === options.namespace),
    );
    if (instances.length === 0) throw new CommandError(`nothing of ${text} runs`, "`weft ps` lists what does");
    return new Set(instances.map(({ sidecar }) => sidecar.id));
  }
}

/** Begins to renew all leaves, or the root; says how to see the end of it. */
export async function certRotate(options: CertRotateOptions): Promise<number> {
  const ask = await findRunningMesh(options.dir);
  const rows = await ask("certificates", { rotate: options.root === true ? "root" : "leaves" });
  process.stdout.write(`${rotationText(rows, options.root === true)}\n`);
  return EXIT.ok;
}

/** Of the proxies in `ids`. */
export function certificatesOf(rows: readonly CertificateRow[], ids: ReadonlySet<string>): readonly CertificateRow[] {
  return rows.filter(({ kind, name }) => kind === "proxy" && ids.has(name));
}

/** The table of `weft cert show`. */
export function certificatesText(rows: readonly CertificateRow[], style: Style): string {
  if (rows.length === 0) return "no certificate yet: a proxy gets one when its configuration first uses it";
  const lines = alignColumns([
    ["CERTIFICATE", "SUBJECT", "ISSUER", "SERIAL", "NOT BEFORE", "NOT AFTER", "ROOT", "STATE"],
    ...rows.map((row) => [
      row.name,
      row.subject || "-",
      row.issuer || "-",
      row.serial.slice(0, 16),
      timeText(row.notBefore),
      timeText(row.notAfter),
      row.generation === 0 ? "-" : String(row.generation),
      row.state,
    ]),
  ]);
  return lines.map((line, index) => (index === 0 ? style.bold(line) : line)).join("\n");
}

/** What a rotation that has begun will do. */
export function rotationText(rows: readonly CertificateRow[], root: boolean): string {
  const proxies = rows.filter(({ kind }) => kind === "proxy").length;
  const leaves = `${proxies} ${proxies === 1 ? "proxy gets a new certificate" : "proxies get new certificates"}`;
  if (!root) return leaves;
  const newest = Math.max(...rows.filter(({ kind }) => kind === "root").map(({ generation }) => generation));
  return `root ${newest} is announced; when every proxy trusts it, ${leaves}, and the former root goes. \`weft cert show\` tells how far it is`;
}

/** `2026-11-25 14:03:11Z`. */
function timeText(iso: string): string {
  return iso === "" ? "-" : iso.replace("T", " ").replace(/\.\d+Z$/, "Z");
}
