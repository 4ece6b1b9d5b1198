import { describe, expect, it } from "vitest";
import { coversAddress } from "./subnets.ts";

describe("coversAddress", () => {
  it.each([
    ["10.0.0.0/8", "10.1.2.3", true],
    ["10.0.0.0/8", "11.1.2.3", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3", "10.1.2.4", false],
    ["0.0.0.0/0", "203.0.113.9", true],
    ["10.0.0.0/8", "10.4.0.0/16", true],
    ["fd00::/8", "fd12::1", true],
    ["fd00::/8", "fe80::1", false],
    ["::1", "0:0:0:0:0:0:0:1", true],
    ["10.0.0.0/8", "fd00::1", false],
    ["10.0.0.0/8", "api.example.com", false],
  ])("%s and %s: %s", (subnet, address, expected) => {
    expect(coversAddress(subnet, address)).toBe(expected);
  });
});
