// Who opens a stream, asked of the API server: the token that the kubelet gave a pod for the control plane in, the pod's proxy out.
// Source: Kubernetes, TokenReview v1; "Bound service account tokens", the names of pods in `extra`.
import { createHash } from "node:crypto";
import { decodeJwt } from "jose";
import { z } from "zod";
import { type KubernetesApi, KubernetesApiError } from "../source/kubernetes-api.ts";
import { type Authenticate, AuthenticationRefused, type Peer } from "../xds/authentication.ts";
import { TOKEN_AUDIENCE } from "./pod-contract.ts";
import { proxyIdOf } from "./pod-proxy.ts";

/** A proxy opens two streams with one token, and may come back soon. */
const FRESH_MS = 60_000;
/** Of answers that are remembered; the oldest go. */
const MOST_ANSWERS = 20_000;
const POD_NAME = "authentication.kubernetes.io/pod-name";
const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;

const review = z.object({
  status: z.object({
    authenticated: z.boolean().default(false),
    error: z.string().optional(),
    audiences: z.array(z.string()).default([]),
    user: z.object({ username: z.string().default(""), extra: z.record(z.string(), z.array(z.string())).default({}) }).default({ username: "", extra: {} }),
  }),
});

interface Answer {
  readonly peer: Peer;
  readonly atMs: number;
}

/**
 * Checks each token with the API server. What was proved is believed for a minute; while the server is away, as long as the token lives, so that a proxy that
 * is known comes back.
 */
export function createTokenReview(api: KubernetesApi, epochMs: () => number): Authenticate {
  const answers = new Map<string, Answer>();
  const asking = new Map<string, Promise<Peer>>();

  const ask = async (token: string, key: string): Promise<Peer> => {
    const former = answers.get(key);
    try {
      const peer = await reviewed(api, token, epochMs());
      if (answers.size >= MOST_ANSWERS) for (const oldest of [...answers.keys()].slice(0, MOST_ANSWERS / 10)) answers.delete(oldest);
      answers.delete(key);
      answers.set(key, { peer, atMs: epochMs() });
      return peer;
    } catch (error) {
      const away = !(error instanceof AuthenticationRefused) && !(error instanceof KubernetesApiError && error.status < 500);
      if (away && former !== undefined && former.peer.expiresAtMs > epochMs()) return former.peer;
      answers.delete(key);
      throw away ? new AuthenticationRefused("no-api-server", "the API server cannot be asked about the token") : error;
    }
  };

  return async (authorization) => {
    const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/.exec(authorization ?? "")?.[1];
    if (token === undefined)
      throw new AuthenticationRefused(authorization === undefined ? "no-token" : "no-jwt", "a token is missing: `authorization: Bearer …`");
    const key = createHash("sha256").update(token).digest("base64");
    const known = answers.get(key);
    if (known !== undefined && epochMs() - known.atMs < FRESH_MS && known.peer.expiresAtMs > epochMs()) return known.peer;
    const under = asking.get(key) ?? ask(token, key).finally(() => asking.delete(key));
    asking.set(key, under);
    return under;
  };
}

async function reviewed(api: KubernetesApi, token: string, nowMs: number): Promise<Peer> {
  const { body } = await api.ask({
    method: "POST",
    path: "/apis/authentication.k8s.io/v1/tokenreviews",
    body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token, audiences: [TOKEN_AUDIENCE] } },
  });
  const { status } = review.parse(body);
  if (!status.authenticated) throw new AuthenticationRefused("bad-token", "the API server does not know the token");
  // A server that is not aware of audiences answers without them.
  if (!status.audiences.includes(TOKEN_AUDIENCE)) throw new AuthenticationRefused("bad-claims", `the token is not for ${TOKEN_AUDIENCE}`);
  const [, namespace, serviceAccount] = SERVICE_ACCOUNT.exec(status.user.username) ?? [];
  const [pod] = status.user.extra[POD_NAME] ?? [];
  if (namespace === undefined || serviceAccount === undefined || pod === undefined)
    throw new AuthenticationRefused("bad-claims", "the token is bound to no pod: it must be a projected one");
  const expiresAtMs = expiryOf(token);
  if (expiresAtMs <= nowMs) throw new AuthenticationRefused("expired", "the token has expired");
  return { namespace, serviceAccount, proxyId: proxyIdOf({ name: pod, namespace }), expiresAtMs };
}

/** The server has verified the token; when it ends stands only in the token itself. */
function expiryOf(token: string): number {
  try {
    return (decodeJwt(token).exp ?? 0) * 1_000;
  } catch {
    return 0;
  }
}
