// The control plane's end of the channel to the runner: what it publishes goes out as messages, what the runner says comes in.
import type { MeshIdentity } from "../ca/mesh-identity.ts";
import type { ControlPlane, ControlPlaneEvents } from "../control-plane.ts";
import { desiredOf } from "./desired.ts";
import type { ControlPlaneMessage, RunnerMessage } from "./protocol.ts";

/** Tells the runner everything. `folder` is the absolute path of the folder of YAML. */
export function runnerEvents(folder: string, send: (message: ControlPlaneMessage) => void): ControlPlaneEvents {
  const said = { desired: "", diagnostics: "" };
  /** Sends what differs from what was said last. */
  const tellChanged = (kind: "desired" | "diagnostics", message: ControlPlaneMessage): void => {
    const text = JSON.stringify(message);
    if (said[kind] === text) return;
    said[kind] = text;
    send(message);
  };
  return {
    onListening: (ports) => send({ kind: "listening", ...ports }),
    onPublished: ({ revision, sequence, files, changedAtMs, resources, mesh, snapshot, diagnostics }) => {
      // Before what is published is ACKed: a refused edit changes nothing, so that would be at once, and its author reads the two in this order.
      tellChanged("diagnostics", { kind: "diagnostics", diagnostics });
      send({ kind: "published", revision, sequence, files, changedAtMs, proxies: [...snapshot.proxies.keys()] });
      tellChanged("desired", { kind: "desired", desired: desiredOf(folder, resources, mesh) });
    },
    onProxies: (proxies) => send({ kind: "proxies", proxies }),
  };
}

/** Takes what the runner says. */
export function runnerReceiver(
  { setRunning, identity }: Pick<ControlPlane, "setRunning" | "identity">,
  send: (message: ControlPlaneMessage) => void,
): (message: RunnerMessage) => void {
  return (message) => {
    if (message.kind === "running") setRunning(message);
    else answerCertificates(identity, message, send);
  };
}

function answerCertificates(
  identity: MeshIdentity | undefined,
  { id, rotate }: Extract<RunnerMessage, { kind: "certificates" }>,
  send: (message: ControlPlaneMessage) => void,
): void {
  if (identity === undefined) {
    send({ kind: "certificates", id, error: "this mesh has no certificates: its control plane was started in plaintext" });
    return;
  }
  const { certificates } = identity;
  (rotate === undefined ? Promise.resolve() : identity.rotate(rotate)).then(
    () => send({ kind: "certificates", id, certificates: certificates() }),
    (error: Error) => send({ kind: "certificates", id, error: error.message }),
  );
}
