import { describe, expect, it } from "vitest";
import { stickyGroupOf, stickyKeyOf } from "./sticky.ts";

describe("the sticky key of a VirtualService", () => {
  it.each([
    ["header:X-User", { kind: "header", name: "x-user" }],
    ["cookie:user", { kind: "cookie", name: "user" }],
    ["cookie:user;Path=/;Max-Age=3600", { kind: "cookie", name: "user", attributes: "Path=/;Max-Age=3600" }],
    ["cookie:user; Path=/; HttpOnly", { kind: "cookie", name: "user", attributes: "Path=/;HttpOnly" }],
    ["header:a;b", { kind: "none" }],
    ["header:", { kind: "none" }],
    ["ip:1", { kind: "none" }],
    [undefined, { kind: "none" }],
  ])("%s", (text, key) => {
    expect(stickyKeyOf(text === undefined ? {} : { "weft.mesh/sticky": text })).toEqual(key);
  });

  it("may be shared by a named group", () => {
    expect(stickyGroupOf({ "weft.mesh/sticky-group": "checkout" })).toBe("checkout");
    expect(stickyGroupOf({ "weft.mesh/sticky-group": " " })).toBeUndefined();
  });
});
