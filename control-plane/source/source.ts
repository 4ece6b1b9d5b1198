// Where the texts of a mesh's resources come from: a folder of YAML, or the API server of a cluster. Whoever reads them need not know which.
import { watchDirectory } from "./directory.ts";

export interface SourceEvents {
  /** All files (name to text), those that changed since the last call, and when the first of these changes was seen (Unix ms). */
  readonly onChange: (files: ReadonlyMap<string, string>, changed: readonly string[], changedAtMs: number) => void;
  /** Something cannot be read; reading goes on. */
  readonly onError: (error: Error) => void;
}

/** A source that is being watched. */
export interface Source {
  /** As they were when the watch began. */
  readonly files: ReadonlyMap<string, string>;
  readonly close: () => Promise<void>;
}

/** Reads everything once, and goes on watching. Rejects where nothing can be read at all. */
export type OpenSource = (events: SourceEvents) => Promise<Source>;

/** A folder of YAML, by its absolute path. */
export function folderSource(folder: string): OpenSource {
  return (events) => watchDirectory({ folder, ...events });
}
