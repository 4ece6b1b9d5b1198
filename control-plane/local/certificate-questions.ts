// Questions of a second terminal about certificates, handed on to the control plane, each with a number by which its answer is known.
import { RequestRefused } from "./api.ts";
import type { ControlPlaneProcess } from "./control-plane-process.ts";
import type { CertificateRow, ControlPlaneMessage } from "./protocol.ts";

export interface CertificateQuestions {
  /** Rejects when the control plane refuses, ends meanwhile or does not answer. */
  readonly ask: (controlPlane: Pick<ControlPlaneProcess, "pid" | "send"> | undefined, rotate?: "leaves" | "root") => Promise<readonly CertificateRow[]>;
  readonly onAnswer: (message: Extract<ControlPlaneMessage, { kind: "certificates" }>) => void;
  readonly onEnded: () => void;
}

const ANSWER_MS = 10_000;
const AWAY = "the control plane is not there just now. Fix: ask again when `weft ps` shows its proxies as connected";

export function createCertificateQuestions(): CertificateQuestions {
  let last = 0;
  const open = new Map<number, { readonly resolve: (rows: readonly CertificateRow[]) => void; readonly reject: (error: Error) => void }>();
  return {
    ask: (controlPlane, rotate) => {
      if (controlPlane === undefined || controlPlane.pid() === 0) return Promise.reject(new RequestRefused(AWAY));
      last += 1;
      const id = last;
      return new Promise<readonly CertificateRow[]>((resolve, reject) => {
        const timer = setTimeout(() => reject(new RequestRefused(AWAY)), ANSWER_MS);
        const settled = (): void => {
          clearTimeout(timer);
          open.delete(id);
        };
        open.set(id, {
          resolve: (rows) => {
            settled();
            resolve(rows);
          },
          reject: (error) => {
            settled();
            reject(error);
          },
        });
        controlPlane.send({ kind: "certificates", id, ...(rotate === undefined ? {} : { rotate }) });
      });
    },
    onAnswer: ({ id, certificates, error }) => {
      if (certificates === undefined) open.get(id)?.reject(new RequestRefused(error ?? AWAY));
      else open.get(id)?.resolve(certificates);
    },
    onEnded: () => {
      for (const { reject } of [...open.values()]) reject(new RequestRefused(AWAY));
    },
  };
}
