// `weft up`: from a folder to a running mesh. Starts the control plane, applications and Envoys, and keeps them as the folder asks.
import type { ReadyEvent, RunnerEvent } from "./events.ts";

export interface RunOptions {
  readonly folder: string;
  /** Default: {@link stateFolderOf} the folder. */
  readonly stateFolder?: string;
  /** Everything that the mesh has to say. */
  readonly emit: (event: RunnerEvent) => void;
  /** Where the first port of the gateways is bound; 0: each where the system likes. Default: 8080 for port 80 and so on. */
  readonly gatewayPort?: number;
  /** Aborting it ends the mesh, also before it is ready. */
  readonly signal?: AbortSignal;
}

export interface RunningMesh {
  /** As it was emitted; `GET /ready` is live. */
  readonly ready: ReadyEvent;
  /** Ends all processes in order. A second call does not wait for applications that drain. */
  readonly stop: (reason?: string) => Promise<void>;
  /** Resolves once everything has ended. */
  readonly finished: Promise<void>;
}

/**
 * Runs the mesh of a folder and resolves when all of it is ready. Rejects with what is wrong and what to do, everything that it started ended, when the mesh
 * cannot run at all: no such folder, a mesh runs for it already, no Envoy, no addresses, the control plane does not start, or `signal` was aborted.
 */
export async function runMesh(_options: RunOptions): Promise<RunningMesh> {
  throw new Error("not built yet");
}
