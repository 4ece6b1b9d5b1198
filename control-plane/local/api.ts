// What a second terminal may ask of a running mesh, and what it is answered: JSON over HTTP on the Unix socket of the state folder.
import type { ReadyEvent } from "./events.ts";
import type { CertificateRow } from "./protocol.ts";

/** `unready` has been ready before; `crashed` waits for its restart. */
export type InstanceState = "starting" | "ready" | "unready" | "draining" | "crashed" | "stopped";

/** One instance (or gateway) as `weft ps` shows it. */
export interface PsRow {
  readonly kind: "workload" | "gateway";
  /** The Deployment's name; a gateway's selector, `istio=ingressgateway`. */
  readonly workload: string;
  readonly namespace: string;
  readonly instance: string;
  readonly zone: string;
  readonly state: InstanceState;
  /** The application's process (a gateway's Envoy); 0 while none runs. */
  readonly pid: number;
  /** Where others reach it. */
  readonly address: string;
  /** How often it was started again after a crash. */
  readonly restarts: number;
  /** Empty for a gateway. */
  readonly image: string;
  readonly sidecar: {
    readonly id: string;
    /** 0 while none runs. */
    readonly pid: number;
    /** To the control plane. */
    readonly connected: boolean;
    /** Whether it has ACKed what was published last. */
    readonly upToDate: boolean;
    /** From the start of its process until it was ready, the last time; absent before. */
    readonly startedInMs?: number;
    /** Resident memory; absent where the system does not say. */
    readonly memoryBytes?: number;
  };
}

/** The ready information, live: instances change. */
export type ReadyAnswer = Omit<ReadyEvent, "event">;

/** WORKLOAD on the command line: `zone` may be any unambiguous ending; without `namespace` the name must be unambiguous. */
export interface WorkloadSelection {
  readonly workload: string;
  readonly namespace?: string;
  readonly zone?: string;
}

/** What `stop` and `start` did: the instances concerned, for a person to read. */
export interface StopStartAnswer {
  readonly instances: readonly string[];
  readonly text: string;
}

/** Requests by name. `stop` and `start` are answered when they are in force. */
export interface RunnerApi {
  readonly ps: { readonly request: undefined; readonly answer: readonly PsRow[] };
  readonly ready: { readonly request: undefined; readonly answer: ReadyAnswer };
  readonly stop: { readonly request: WorkloadSelection; readonly answer: StopStartAnswer };
  readonly start: { readonly request: WorkloadSelection; readonly answer: StopStartAnswer };
  /** All certificates of the mesh; `rotate`: after renewing them has begun. */
  readonly certificates: { readonly request: { readonly rotate?: "leaves" | "root" }; readonly answer: readonly CertificateRow[] };
}

/** An answer that is the asker's mistake: unknown workload, ambiguous zone. `message` says what is wrong and what to do. */
export class RequestRefused extends Error {}
