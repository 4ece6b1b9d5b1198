// Who may open a stream or call: proves its token before a byte of it is read, and says once who is refused.
import { type ServerDuplexStream, type ServerUnaryCall, status } from "@grpc/grpc-js";
import { type Authenticate, AuthenticationRefused, type Peer } from "./authentication.ts";
import type { LogRefusal } from "./refusal-log.ts";

type AnyCall = ServerDuplexStream<Buffer, Buffer> | ServerUnaryCall<Buffer, Buffer>;

/** Undefined: everybody may, and nobody is proved to be anybody. */
export interface Admission {
  readonly authenticate: Authenticate | undefined;
  readonly log: LogRefusal;
}

/** Calls `admit` with the proved peer, or `refuse` with a status for the client. Neither where the client has gone meanwhile. */
export function admitted(
  { authenticate, log }: Admission,
  call: AnyCall,
  admit: (peer: Peer | undefined) => void,
  refuse: (code: status, details: string) => void,
): void {
  if (authenticate === undefined) {
    admit(undefined);
    return;
  }
  const [authorization] = call.metadata.get("authorization");
  authenticate(typeof authorization === "string" ? authorization : undefined).then(
    (peer) => {
      if (!call.cancelled) admit(peer);
    },
    (error: unknown) => {
      const refused = error instanceof AuthenticationRefused ? error : new AuthenticationRefused("failed", "the token cannot be checked");
      log(refused.reason, hostOf(call.getPeer()));
      if (!call.cancelled) refuse(status.UNAUTHENTICATED, refused.message);
    },
  );
}

/** Without its port, which is another one each time. */
function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, "");
}
