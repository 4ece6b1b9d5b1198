// Probes and hooks: what a kubelet asks of a container from its node, and how often.
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request } from "undici";
import type { RunningContainer } from "./container.ts";
import type { Action, Container, Probe } from "./objects.ts";

// As a kubelet: a certificate is not checked, a connection is not kept, a redirection is an answer.
const agent = new Agent({ connect: { rejectUnauthorized: false }, pipelining: 0 });

/** Does what a probe or a hook says, in the container or at the pod's address. Rejects when it fails. */
export async function act(action: Action, container: Container, running: RunningContainer, podAddress: string, timeoutMs: number): Promise<void> {
  const { httpGet, tcpSocket, exec, sleep: pause } = action;
  const portOf = (port: number | string): number =>
    typeof port === "number" ? port : (container.ports?.find(({ name }) => name === port)?.containerPort ?? Number(port));
  if (pause !== undefined) await sleep(pause.seconds * 1_000, undefined, { ref: false });
  if (exec !== undefined) await running.exec(exec.command);
  if (httpGet !== undefined) {
    const { path = "/", port, scheme = "HTTP", host = podAddress } = httpGet;
    const url = `${scheme.toLowerCase()}://${host}:${portOf(port)}${path.startsWith("/") ? path : `/${path}`}`;
    const { statusCode, body } = await request(url, {
      dispatcher: agent,
      signal: AbortSignal.timeout(timeoutMs),
      headers: { "user-agent": "kube-probe/1.37" },
    });
    await body.dump();
    if (statusCode >= 400) throw new Error(`${url} answered ${statusCode}`);
  }
  if (tcpSocket !== undefined) {
    const socket = connect({ host: podAddress, port: portOf(tcpSocket.port), timeout: timeoutMs });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", () => resolve()).once("error", reject);
      socket.once("timeout", () => reject(new Error(`port ${portOf(tcpSocket.port)} did not answer`)));
    }).finally(() => socket.destroy());
  }
}

/** Asks until `signal`; says each change of opinion, which is at first that of the caller. */
export async function watchProbe(
  probe: Probe,
  ask: () => Promise<void>,
  onOpinion: (good: boolean, reason: string) => void,
  signal: AbortSignal,
  good: boolean,
): Promise<void> {
  const wait = (ms: number): Promise<void> => sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
  await wait((probe.initialDelaySeconds ?? 0) * 1_000);
  let opinion = good;
  let against = 0;
  while (!signal.aborted) {
    const reason = await ask().then(
      () => undefined,
      (error: Error) => error.message,
    );
    against = (reason === undefined) === opinion ? 0 : against + 1;
    if (!signal.aborted && against >= (opinion ? probe.failureThreshold : probe.successThreshold)) {
      opinion = !opinion;
      against = 0;
      onOpinion(opinion, reason ?? "");
    }
    await wait(probe.periodSeconds * 1_000);
  }
}
