import { describe, expect, it } from "vitest";
import { type KubernetesApi, KubernetesApiError } from "../source/kubernetes-api.ts";
import { createTokenReview } from "./token-review.ts";

const NOW_MS = 1_700_000_000_000;

function token(exp: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "RS256" })}.${part({ exp })}.c2ln`;
}

const GOOD = token(NOW_MS / 1_000 + 3_600);
const KNOWN = {
  authenticated: true,
  audiences: ["weft-xds"],
  user: { username: "system:serviceaccount:shop:product", extra: { "authentication.kubernetes.io/pod-name": ["product-1"] } },
};

function apiThat(answer: () => object): { readonly api: KubernetesApi; readonly asked: () => number } {
  let count = 0;
  const api: KubernetesApi = {
    server: "",
    ask: async () => {
      count += 1;
      return { status: 201, headers: {}, body: { status: answer() } };
    },
    follow: async () => undefined,
    close: () => undefined,
  };
  return { api, asked: () => count };
}

describe("a token that is reviewed", () => {
  it("names the proxy of its pod, and is not asked about twice within a minute", async () => {
    const { api, asked } = apiThat(() => KNOWN);
    let nowMs = NOW_MS;
    const authenticate = createTokenReview(api, () => nowMs);
    const [peer] = await Promise.all([authenticate(`Bearer ${GOOD}`), authenticate(`Bearer ${GOOD}`)]);
    expect(peer).toEqual({ namespace: "shop", serviceAccount: "product", proxyId: "product-1.shop", expiresAtMs: NOW_MS + 3_600_000 });
    expect(asked()).toBe(1);
    nowMs += 61_000;
    await authenticate(`Bearer ${GOOD}`);
    expect(asked()).toBe(2);
  });

  it("is believed while the API server is away, until it ends, and not where the server says no", async () => {
    let answer = (): object => KNOWN;
    const { api } = apiThat(() => answer());
    let nowMs = NOW_MS;
    const authenticate = createTokenReview(api, () => nowMs);
    await authenticate(`Bearer ${GOOD}`);
    nowMs += 600_000;
    answer = () => {
      throw new Error("ECONNREFUSED");
    };
    await expect(authenticate(`Bearer ${GOOD}`)).resolves.toMatchObject({ proxyId: "product-1.shop" });
    answer = () => {
      throw new KubernetesApiError(503, "", "unavailable");
    };
    await expect(authenticate(`Bearer ${GOOD}`)).resolves.toMatchObject({ proxyId: "product-1.shop" });
    nowMs += 3_600_000;
    await expect(authenticate(`Bearer ${GOOD}`)).rejects.toMatchObject({ reason: "no-api-server" });
    nowMs = NOW_MS + 700_000;
    answer = () => ({ authenticated: false });
    await expect(authenticate(`Bearer ${GOOD}`)).rejects.toMatchObject({ reason: "bad-token" });
  });

  it.each([
    ["of no pod", { ...KNOWN, user: { ...KNOWN.user, extra: {} } }, "bad-claims"],
    ["of a person", { ...KNOWN, user: { ...KNOWN.user, username: "kubernetes-admin" } }, "bad-claims"],
    ["for another audience", { ...KNOWN, audiences: ["https://kubernetes.default.svc"] }, "bad-claims"],
    ["that the server does not know", { authenticated: false, error: "no" }, "bad-token"],
  ])("%s is refused", async (_, status, reason) => {
    const { api } = apiThat(() => status);
    await expect(createTokenReview(api, () => NOW_MS)(`Bearer ${GOOD}`)).rejects.toMatchObject({ reason });
  });

  it.each([undefined, "", "Basic x", "Bearer not a token", `Bearer ${GOOD} x`])("%j is asked about nobody", async (authorization) => {
    const { api, asked } = apiThat(() => KNOWN);
    await expect(createTokenReview(api, () => NOW_MS)(authorization)).rejects.toThrow(/missing/);
    expect(asked()).toBe(0);
  });
});
