import { describe, expect, it } from "vitest";
import { clientAuthority, domainsOf } from "./domains.ts";

const REVIEWS = "reviews.default.svc.cluster.local";

describe("the authority of a client in a cluster", () => {
  it.each([
    [REVIEWS, 80, "default", "reviews"],
    [REVIEWS, 9080, "default", "reviews:9080"],
    [REVIEWS, 80, "front", "reviews.default"],
    [REVIEWS, 9080, "front", "reviews.default:9080"],
    ["api.example.com", 8080, "default", "api.example.com:8080"],
  ])("calls %s at %i from %s as %s", (hostname, port, namespace, authority) => {
    expect(clientAuthority(hostname, port, namespace, "cluster.local")).toBe(authority);
  });
});

describe("domains of a host", () => {
  it("are all names of a service that its caller may use, with the port and, where asked for, without", () => {
    expect(domainsOf(REVIEWS, 80, "front", "cluster.local", true)).toEqual([
      "reviews.default:80",
      "reviews.default.svc:80",
      `${REVIEWS}:80`,
      "reviews.default",
      "reviews.default.svc",
      REVIEWS,
    ]);
    expect(domainsOf(REVIEWS, 81, "default", "cluster.local", false)).toEqual(["reviews:81", "reviews.default:81", "reviews.default.svc:81", `${REVIEWS}:81`]);
  });

  it.each(["*.example.com", "*.default.svc.cluster.local", "a.b.default.svc.cluster.local"])("are one form for %s", (hostname) => {
    expect(domainsOf(hostname, 80, "default", "cluster.local", false)).toEqual([`${hostname}:80`]);
  });
});
