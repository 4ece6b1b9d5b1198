import { describe, expect, it } from "vitest";
import { unknownDomains } from "./unknown-names.ts";

const everything = (): boolean => true;
const many = (parent: string, count: number): readonly string[] => Array.from({ length: count }, (_, index) => `b${100 + index}.${parent}`);

describe("domains of names that nobody knows", () => {
  it("are the names themselves", () => {
    expect([...unknownDomains(["a.example.com", "b.example.com:80", "com"], everything)]).toEqual([
      ["a.example.com", "a.example.com"],
      ["b.example.com:80", "b.example.com:80"],
      ["com", "com"],
    ]);
  });

  it.each([
    ["the largest network that is free", everything, ["10.1.*", "10.2.*"]],
    ["a smaller one, where a service has an address in the larger", (domain: string) => domain !== "10.1.*", ["10.1.0.*", "10.1.9.*", "10.2.*"]],
    ["the addresses, where none is free", () => false, ["10.1.0.1", "10.1.0.2:80", "10.1.9.1", "10.2.0.1"]],
  ])("of addresses are %s", (_, isFree, domains) => {
    expect([...unknownDomains(["10.1.0.1", "10.1.0.2:80", "10.1.9.1", "10.2.0.1"], isFree).values()]).toEqual(domains);
  });

  it("of many below one parent are one, at each port, where that is free", () => {
    const [few, enough] = [many("s3.example.com", 49), many("s3.example.com", 50)];
    expect(unknownDomains(few, everything).size).toBe(49);
    expect([...unknownDomains(enough, everything)]).toEqual([["b100.s3.example.com", "*.s3.example.com"]]);
    expect([...unknownDomains(many("s3.example.com:443", 50), everything).values()]).toEqual(["*.s3.example.com:443"]);
    expect(unknownDomains(enough, () => false).size).toBe(50);
  });

  it("of many directly below a top-level domain stay their own", () => {
    expect(unknownDomains(many("com", 60), everything).size).toBe(60);
  });
});
