// More for some proxies of a snapshot, in between: what automatic scope takes when a workload calls a host for the first time.
import { type Diagnostic, formatDiagnostic } from "../model/diagnostic.ts";
import { buildSnapshot, type Snapshot, type SnapshotInput } from "./snapshot.ts";

/** The snapshot with what translation asks for of these proxies; whatever is about others is the former snapshot's, as the same objects. */
export function extendSnapshot(previous: Snapshot, input: Omit<SnapshotInput, "previous" | "quarantine" | "removalDelayMs">): Snapshot {
  const { quarantine, removalDelayMs } = previous;
  const part = buildSnapshot({ ...input, previous, quarantine, removalDelayMs });
  return {
    ...previous,
    revision: part.revision,
    proxies: new Map([...previous.proxies, ...part.proxies]),
    asked: new Map([...previous.asked, ...part.asked]),
    diagnostics: joined(previous.diagnostics, part.diagnostics),
  };
}

function joined(former: readonly Diagnostic[], fresh: readonly Diagnostic[]): readonly Diagnostic[] {
  if (fresh.length === 0) return former;
  const said = new Set(former.map(formatDiagnostic));
  return [...former, ...fresh.filter((diagnostic) => !said.has(formatDiagnostic(diagnostic)))];
}
