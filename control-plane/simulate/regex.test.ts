import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RegexMatchAndSubstituteSchema } from "../gen/envoy/type/matcher/v3/regex_pb.js";
import { replaceMatches } from "./regex.ts";

describe("replaceMatches", () => {
  it.each([
    ["every match", "a", "b", "banana", "bbnbnb"],
    ["with groups", "(/[^/]+)(/[^/]+)", "\\2\\1", "/a/b/c", "/b/a/c"],
    ["with the whole match", "a+", "<\\0>", "caat", "c<aa>t"],
    ["with a backslash", "a", "\\\\", "a", "\\"],
    ["empty matches once at each place", "x*", "-", "axb", "-a-b-"],
    ["at the end", "$", "/x", "/a", "/a/x"],
    ["at the start only", "^/", "", "//a", "/a"],
    ["at word boundaries", "\\b", "|", "/a.b", "/|a|.|b|"],
    ["characters beyond the first plane whole", "x*", "-", "😀", "-😀-"],
    ["a group that took no part as nothing", "a(b)?", "[\\1]", "aab", "[][b]"],
  ])("replaces %s", (_, regex, substitution, text, expected) => {
    expect(replaceMatches(create(RegexMatchAndSubstituteSchema, { pattern: { regex }, substitution }), text)).toBe(expected);
  });
});
