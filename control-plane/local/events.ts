// What `weft up --output json` says, one JSON object a line: everything that happens, and at `ready` every address, so that other programs can drive the mesh.
import type { Diagnostic } from "../model/diagnostic.ts";

/** One instance of a workload with the sidecar beside it; a stub has none, and what belongs to one is empty. Addresses are `http://address:port`, paths absolute. */
export interface ReadyWorkload {
  /** The Deployment's name. */
  readonly workload: string;
  readonly namespace: string;
  /** `product-a-1`. */
  readonly instance: string;
  /** `ap-northeast-2a`; empty where unknown. */
  readonly zone: string;
  readonly address: string;
  /** Process id of the application; 0 where somebody else runs it. */
  readonly pid: number;
  /** The first port of the workload, through its inbound sidecar. */
  readonly url: string;
  /** With `--isolate`: the network namespace of the instance, for `ip netns exec`. */
  readonly networkNamespace?: string;
  /** Standard output and error of the application. One file per workload instance, kept over restarts. */
  readonly log: string;
  readonly accessLog: string;
  readonly sidecar: {
    readonly id: string;
    readonly pid: number;
    readonly admin: string;
    readonly log: string;
  };
  /** The sidecar's HTTP proxy port (`HTTP_PROXY`). */
  readonly httpProxy: string;
  /** Where this instance reaches each service: `order-history.default.svc.cluster.local:9090` → `http://127.80.0.7:9090`. */
  readonly services: Readonly<Record<string, string>>;
  /** Explain listeners, by the same names as `services`, and `http-proxy`. */
  readonly explain: Readonly<Record<string, string>>;
  /** Set where nobody waits for it any longer: it has crashed again and again, or was not ready for a long time. A state as `weft ps` names it. */
  readonly notReady?: string;
}

/** One gateway proxy. */
export interface ReadyGateway {
  /** `istio=ingressgateway`: the selector that Gateways name it by. */
  readonly name: string;
  readonly namespace: string;
  readonly id: string;
  readonly pid: number;
  readonly admin: string;
  readonly log: string;
  readonly accessLog: string;
  /** `number` as in the YAML, `url` where it is bound. */
  readonly ports: readonly { readonly number: number; readonly url: string; readonly explain: string }[];
}

export interface ReadyEvent {
  readonly event: "ready";
  readonly folder: string;
  /** Holds all logs and the state that survives a restart. */
  readonly stateFolder: string;
  readonly logs: string;
  readonly workloads: readonly ReadyWorkload[];
  readonly gateways: readonly ReadyGateway[];
  readonly controlPlane: { readonly pid: number; readonly xds: string; readonly admin: string; readonly log: string };
  readonly elapsedMs: number;
}

/** `crashed` is followed by `starting` of its replacement; `stopped` is on purpose. */
export type WorkloadEventState = "starting" | "ready" | "draining" | "stopped" | "crashed";

/** `text` is the same thing for a person to read. */
export type RunnerEvent =
  | { readonly event: "progress"; readonly text: string }
  | ReadyEvent
  | {
      readonly event: "workload";
      readonly workload: string;
      readonly namespace: string;
      readonly instance: string;
      readonly zone: string;
      readonly state: WorkloadEventState;
      readonly pid?: number;
      readonly text: string;
    }
  | { readonly event: "proxy"; readonly proxy: string; readonly state: "starting" | "ready" | "stopped" | "crashed"; readonly text: string }
  /** All diagnostics that stand now; said when the set changes. An empty list: everything is well again. */
  | { readonly event: "diagnostics"; readonly diagnostics: readonly Diagnostic[]; readonly text: string }
  /** A change of files is in force: every connected proxy has ACKed it. */
  | {
      readonly event: "applied";
      readonly revision: number;
      /** Files that changed, relative to the folder. */
      readonly files: readonly string[];
      readonly proxies: number;
      /** From the change on disk to the last ACK. */
      readonly elapsedMs: number;
      readonly text: string;
    }
  | { readonly event: "control-plane"; readonly state: "listening" | "ended"; readonly pid?: number; readonly adminPort?: number; readonly text: string }
  | { readonly event: "stopped"; readonly text: string };
