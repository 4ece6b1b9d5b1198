// What the local runner and the control plane say to each other: JSON messages over the IPC channel of the child process.
// The control plane reads the folder; the runner starts processes and reports what runs. Either may be restarted without the other:
// on (re)connection the runner sends its whole state, and the control plane answers with the whole of what it read.
import type { Instance, Proxy } from "../mesh/instance.ts";
import type { Diagnostic, Origin } from "../model/diagnostic.ts";
import type { DeploymentSpec } from "../model/kubernetes.ts";
import type { LocalRunSpec } from "../model/local-run.ts";
import type { ProxyState } from "../xds/proxy-state.ts";

export type { ProxyState };

/** A Deployment as it is to run now (the last good version where the file has an error). */
export interface DesiredWorkload {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: DeploymentSpec;
  /** TCP ports that the containers declare, then the numeric target ports of Services that select it without their being declared: a cluster serves those too. */
  readonly ports: readonly { readonly name?: string; readonly containerPort: number }[];
  /** Changes when, and only when, running copies must be replaced (image, command, env, ports, labels, zone; not replicas). */
  readonly templateDigest: string;
  /** Where the first container's image stands, for diagnostics of the local run. */
  readonly origin: Origin;
}

export interface DesiredHost {
  readonly hostname: string;
  readonly name: string;
  readonly namespace: string;
  readonly ports: readonly { readonly name: string; readonly number: number }[];
}

/** What the folder asks the runner to keep running. */
export interface Desired {
  readonly workloads: readonly DesiredWorkload[];
  readonly hosts: readonly DesiredHost[];
  /** The LocalRun documents, with the absolute folder of the file that each stands in, and where its attachments stand, for diagnostics. */
  readonly localRuns: readonly { readonly folder: string; readonly spec: LocalRunSpec; readonly attachOrigins?: readonly Origin[] }[];
  /** Server ports per Gateway selector, as `label=value,label=value` sorted: one gateway proxy per distinct selector. */
  readonly gateways: readonly { readonly selector: Readonly<Record<string, string>>; readonly namespace: string; readonly ports: readonly number[] }[];
}

export type RunnerMessage =
  /** The whole of what runs. Sent on connection and on each change. */
  | { readonly kind: "running"; readonly sequence: number; readonly instances: readonly Instance[]; readonly proxies: readonly Proxy[] }
  /** Asks for the certificates of the mesh; `rotate`: first begins to renew them, or the root. Answered under the same `id`. */
  | { readonly kind: "certificates"; readonly id: number; readonly rotate?: "leaves" | "root" };

/** One certificate of the mesh, for people to read. No key is in it. */
export interface CertificateRow {
  /** A root's, a proxy's, or the control plane's own. */
  readonly kind: "root" | "proxy" | "control-plane";
  /** The proxy's id; `weft root 1` for a root. */
  readonly name: string;
  /** The SPIFFE id; the distinguished name of a root. */
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serial: string;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** Of the root that it comes from. */
  readonly generation: number;
  /** `issuing`, `trusted` of roots; `in use`, `under way` (not confirmed by the proxy yet), `held` (of a former control plane: only the time is known) of others. */
  readonly state: string;
}

export type ControlPlaneMessage =
  | { readonly kind: "listening"; readonly xdsPort: number; readonly adminPort: number }
  | { readonly kind: "desired"; readonly desired: Desired }
  /** All diagnostics that stand now; sent when the set changes. */
  | { readonly kind: "diagnostics"; readonly diagnostics: readonly Diagnostic[] }
  /** A snapshot was published: it answers `running` messages up to `sequence`. */
  | {
      readonly kind: "published";
      readonly revision: number;
      readonly sequence: number;
      /** Files whose change led to it, relative to the folder; empty where only what runs has changed. */
      readonly files: readonly string[];
      /** When the first of those changes was seen, in milliseconds of the Unix epoch. */
      readonly changedAtMs: number;
      /** Ids of the proxies that are in the snapshot: it is in force once all that are connected have ACKed it. */
      readonly proxies: readonly string[];
    }
  | { readonly kind: "certificates"; readonly id: number; readonly certificates?: readonly CertificateRow[]; readonly error?: string }
  /** Sent when any proxy's state changes. */
  | { readonly kind: "proxies"; readonly proxies: readonly ProxyState[] };
