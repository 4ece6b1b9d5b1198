import { describe, expect, it } from "vitest";
import { SecretText } from "../model/secret.ts";
import type { Issuer } from "./certificates.ts";
import { type Authority, advance, announce, authorityOf, bundleOf, type Holdings, isRotating } from "./rotation.ts";

const LIFETIME_MS = 86_400_000;
const BUNDLE = "both";

const issuer = (generation: number): Issuer => ({
  generation,
  fingerprint: `fingerprint ${generation}`,
  rootsPem: [`root ${generation}\n`],
  chainPem: "",
  privateKey: new SecretText("key"),
});
const holding = (fields: Partial<Holdings> = {}): Holdings => ({ connected: true, subscribed: true, bundle: BUNDLE, fingerprint: "fingerprint 1", ...fields });
const ANNOUNCED = announce(authorityOf(issuer(1), 0), issuer(2), 0);
const SWITCHED: Authority = { ...ANNOUNCED, issuing: 2 };

const summary = ({ issuers, issuing }: Authority): string => `${issuers.map(({ generation }) => generation).join("+")}, ${issuing} signs`;

describe("a root rotation", () => {
  it.each([
    { what: "waits a moment after everybody has confirmed", from: ANNOUNCED, proxies: [holding()], atMs: 1_000, to: "1+2, 1 signs" },
    { what: "lets the new root sign when everybody trusts both", from: ANNOUNCED, proxies: [holding(), holding()], atMs: 3_000, to: "1+2, 2 signs" },
    { what: "waits for a proxy with the former bundle", from: ANNOUNCED, proxies: [holding(), holding({ bundle: "old" })], atMs: 60_000, to: "1+2, 1 signs" },
    { what: "waits for a proxy without a stream", from: ANNOUNCED, proxies: [holding({ connected: false })], atMs: 60_000, to: "1+2, 1 signs" },
    { what: "does not wait for it for ever", from: ANNOUNCED, proxies: [holding({ connected: false })], atMs: LIFETIME_MS, to: "1+2, 2 signs" },
    {
      what: "does not wait for a proxy that uses no certificates",
      from: ANNOUNCED,
      proxies: [holding({ subscribed: false, bundle: "" })],
      atMs: 3_000,
      to: "1+2, 2 signs",
    },
    { what: "needs no proxies", from: ANNOUNCED, proxies: [], atMs: 3_000, to: "1+2, 2 signs" },
    {
      what: "keeps the former root while a leaf of it is held",
      from: SWITCHED,
      proxies: [holding({ fingerprint: "fingerprint 2" }), holding()],
      atMs: 60_000,
      to: "1+2, 2 signs",
    },
    { what: "drops it when every leaf is renewed", from: SWITCHED, proxies: [holding({ fingerprint: "fingerprint 2" })], atMs: 3_000, to: "2, 2 signs" },
    { what: "drops it when its last leaf must have expired", from: SWITCHED, proxies: [holding()], atMs: LIFETIME_MS + 10_000, to: "2, 2 signs" },
  ])("$what", ({ from, proxies, atMs, to }) => {
    expect(summary(advance(from, BUNDLE, proxies, atMs, LIFETIME_MS))).toBe(to);
  });

  it("trusts both roots meanwhile, each once, and is the same object while nothing changes", () => {
    expect(bundleOf(ANNOUNCED)).toEqual(["root 1\n", "root 2\n"]);
    expect(advance(ANNOUNCED, BUNDLE, [holding({ bundle: "old" })], 60_000, LIFETIME_MS)).toBe(ANNOUNCED);
    expect([isRotating(ANNOUNCED), isRotating(authorityOf(issuer(1), 0))]).toEqual([true, false]);
  });

  it("forgets a root that was announced and never signed when another one is", () => {
    expect(summary(announce(ANNOUNCED, issuer(3), 5))).toBe("1+3, 1 signs");
  });

  it("keeps trusting what still has leaves when the next one is announced", () => {
    expect(summary(announce(SWITCHED, issuer(3), 5))).toBe("1+2+3, 2 signs");
  });
});
