// Asks an application whether it is ready, as a kubelet would, only sooner and more often: people wait for a laptop.
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { ListenAddress } from "../mesh/instance.ts";
import type { Container } from "../model/kubernetes.ts";
import type { InstancePlaces } from "./layout.ts";
import { isListening } from "./listeners.ts";

/** How readiness is asked for, from an address of this machine where it matters which; `none` where there is nothing to ask: the process runs, that is all. */
export type Probe =
  | { readonly kind: "http"; readonly target: ListenAddress; readonly path: string; readonly tls: boolean; readonly periodMs: number; readonly from?: string }
  | { readonly kind: "tcp"; readonly target: ListenAddress; readonly periodMs: number; readonly from?: string }
  /** Whether a program listens there; it sees nothing of being asked where the system tells. */
  | { readonly kind: "listening"; readonly target: ListenAddress; readonly periodMs: number }
  | { readonly kind: "none" };

/** Until the first success. */
const EAGER_PERIOD_MS = 100;
const LONGEST_PERIOD_MS = 1_000;
/** After a failure: sooner than the next period, so that a dead application is not given requests for long. */
const RETRY_PERIOD_MS = 300;
const TIMEOUT_MS = 1_000;
/** Kubernetes' default failureThreshold. */
const FAILURES_TO_UNREADY = 3;

/** The same question, from a certain address. */
export function probeFrom(probe: Probe, from: string | undefined): Probe {
  return from === undefined || probe.kind === "none" || probe.kind === "listening" ? probe : { ...probe, from };
}

/** The container's readiness probe, addressed to the application itself; a connection to its first port where it has none that can be made from here. */
export function probeOf({ readinessProbe }: Container, places: InstancePlaces): Probe {
  const periodMs = Math.min(LONGEST_PERIOD_MS, (readinessProbe?.periodSeconds ?? 10) * 1_000 || LONGEST_PERIOD_MS);
  const at = (port: number | string): ListenAddress => {
    const declared = places.ports.find(({ name, containerPort }) => name === port || containerPort === port);
    return declared?.application ?? (typeof port === "number" ? { address: places.address, port } : places.application);
  };
  if (readinessProbe?.httpGet !== undefined) {
    const { path, port, scheme } = readinessProbe.httpGet;
    return { kind: "http", target: at(port), path, tls: scheme === "HTTPS", periodMs };
  }
  if (readinessProbe?.tcpSocket !== undefined) return { kind: "tcp", target: at(readinessProbe.tcpSocket.port), periodMs };
  return places.ports.length === 0 ? { kind: "none" } : { kind: "tcp", target: places.application, periodMs };
}

/** A stub is ready when it listens: its answers are for others. */
export function stubProbe(places: InstancePlaces): Probe {
  return places.ports.length === 0 ? { kind: "none" } : { kind: "tcp", target: places.application, periodMs: LONGEST_PERIOD_MS };
}

export interface ReadinessWatch {
  readonly close: () => void;
}

/** Reports every change, the first time when it becomes ready. */
export function watchReadiness(probe: Probe, onChange: (ready: boolean) => void): ReadinessWatch {
  let [closed, ready, failures] = [false, false, 0];
  let timer: NodeJS.Timeout | undefined;
  const patience = probe.kind === "listening" ? 1 : FAILURES_TO_UNREADY;
  const look = async (): Promise<void> => {
    const success = await check(probe);
    if (closed) return;
    failures = success ? 0 : failures + 1;
    if (success !== ready && (success || failures >= patience)) {
      ready = success;
      onChange(ready);
    }
    if (closed || probe.kind === "none") return;
    timer = setTimeout(look, ready ? (success ? probe.periodMs : RETRY_PERIOD_MS) : EAGER_PERIOD_MS);
  };
  timer = setTimeout(look, 0);
  return {
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
}

/** One attempt. As for a kubelet, every answer from 200 to 399 is a success, and a certificate is not looked at. */
export function check(probe: Probe): Promise<boolean> {
  if (probe.kind === "none") return Promise.resolve(true);
  if (probe.kind === "listening") {
    const told = isListening(probe.target);
    return told === undefined ? check({ ...probe, kind: "tcp" }) : Promise.resolve(told);
  }
  const { address: host, port } = probe.target;
  const from = probe.from === undefined ? {} : { localAddress: probe.from };
  return new Promise((resolve) => {
    if (probe.kind === "tcp") {
      const socket = connect({ host, port, timeout: TIMEOUT_MS, ...from });
      const finish = (success: boolean): void => {
        socket.destroy();
        resolve(success);
      };
      socket
        .once("connect", () => finish(true))
        .once("timeout", () => finish(false))
        .once("error", () => finish(false));
      return;
    }
    const options = { ...from, host, port, path: probe.path, timeout: TIMEOUT_MS, agent: false, headers: { "user-agent": "weft-probe", connection: "close" } };
    const call = probe.tls ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    call.once("response", (response) => {
      response.resume();
      resolve(response.statusCode !== undefined && response.statusCode >= 200 && response.statusCode < 400);
    });
    call.once("timeout", () => call.destroy());
    call.once("error", () => resolve(false));
    call.once("close", () => resolve(false));
    call.end();
  });
}
