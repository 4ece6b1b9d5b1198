// Who is at the other end of a stream. How that is proved is for whoever makes the server: it hands in an Authenticate.

/** The proxy that a stream was proved to belong to. */
export interface Peer {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly proxyId: string;
  /** When the proof ends, in milliseconds of the Unix epoch. */
  readonly expiresAtMs: number;
}

/** Proves the `authorization` header of a stream. Rejects with {@link AuthenticationRefused}. */
export type Authenticate = (authorization: string | undefined) => Promise<Peer>;

/** Why a stream is not served. `message` goes to the client, `reason` into the log. */
export class AuthenticationRefused extends Error {
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}
