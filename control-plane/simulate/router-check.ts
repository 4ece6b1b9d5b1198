// Envoy's own route tests (router_check_tool): reads the pairs of a route configuration and its expectations from the conformance data. For tests only.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { parse } from "yaml";
import { z } from "zod";
import { type HeaderMatcher, HeaderMatcherSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import type { SimulatedRequest } from "./request.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const FOLDER = join(process.env.WEFT_SHARED ?? join(ROOT, "..", "shared"), "conformance/data/envoy/test/tools/router_check/test/config");

/** One expectation. */
export interface RouterCheckCase {
  /** `TestRoutes / Test9`. */
  readonly name: string;
  readonly request: SimulatedRequest;
  /** The runtime key that is in force; every other one counts as 0. */
  readonly runtimeKey: string;
  /** Whether the expectation depends on the proxy's random number. */
  readonly random: boolean;
  readonly validate: Validation;
  /** Of the response's headers, and whether the tool is to find them wrong. */
  readonly responseHeaders: readonly HeaderMatcher[];
  readonly requestHeaders: readonly HeaderMatcher[];
  readonly responseHeadersWrong: boolean;
}

/** A route configuration and what is expected of it. */
export interface RouterCheckPair {
  readonly file: string;
  readonly configuration: RouteConfiguration;
  readonly cases: readonly RouterCheckCase[];
}

/** What the tool compares; absent means that the case says nothing of it. */
export type Validation = Omit<z.infer<typeof validation>, "request_header_matches" | "response_header_matches">;

const json = z.custom<JsonValue>(() => true);
const validation = z.strictObject({
  cluster_name: z.string().optional(),
  virtual_cluster_name: z.string().optional(),
  virtual_host_name: z.string().optional(),
  path_rewrite: z.string().optional(),
  host_rewrite: z.string().optional(),
  path_redirect: z.string().optional(),
  code_redirect: z.number().optional(),
  timeout: z.string().optional(),
  request_header_matches: z.array(json).default([]),
  response_header_matches: z.array(json).default([]),
});
const golden = z.object({
  tests: z.array(
    z.strictObject({
      test_name: z.string(),
      input: z.strictObject({
        authority: z.string(),
        path: z.string(),
        method: z.string(),
        ssl: z.boolean().default(false),
        internal: z.boolean().default(false),
        runtime: z.string().default(""),
        random_value: z.number().default(0),
        additional_request_headers: z.array(z.object({ key: z.string(), value: z.string() })).default([]),
        dynamic_metadata: z
          .array(z.object({ metadata_namespace: z.string(), value: z.record(z.string(), z.unknown()), allow_overwrite: z.boolean().default(false) }))
          .default([]),
      }),
      validate: validation,
    }),
  ),
});

/** Whether the conformance data are on this machine. */
export const hasRouterCheckData = existsSync(FOLDER);

/** All pairs, in the order of their names; none where the data are missing. */
export function routerCheckPairs(): readonly RouterCheckPair[] {
  if (!hasRouterCheckData) return [];
  const suffix = ".golden.proto.json";
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(suffix));
  return files.sort().map((name) => {
    const file = name.slice(0, -suffix.length);
    // Expectations that are all to fail are written against another file's configuration.
    const wrong = file.endsWith("Failures");
    const yaml = readFileSync(join(FOLDER, `${wrong ? file.slice(0, -"Failures".length) : file}.yaml`), "utf8");
    return {
      file,
      configuration: fromJson(RouteConfigurationSchema, durationsAsText(parse(yaml))),
      // YAML, since one of these files has a comma too many for JSON.
      cases: golden.parse(parse(readFileSync(join(FOLDER, name), "utf8"))).tests.map((test) => caseOf(file, test, wrong)),
    };
  });
}

type GoldenTest = z.infer<typeof golden>["tests"][number];

function caseOf(file: string, { test_name, input, validate }: GoldenTest, responseHeadersWrong: boolean): RouterCheckCase {
  const { request_header_matches, response_header_matches, ...rest } = validate;
  const headers = new Map<string, string[]>();
  for (const { key, value } of input.additional_request_headers) headers.set(key.toLowerCase(), [...(headers.get(key.toLowerCase()) ?? []), value]);
  const metadata = new Map<string, Readonly<Record<string, unknown>>>();
  for (const { metadata_namespace, value, allow_overwrite } of input.dynamic_metadata) {
    if (allow_overwrite || !metadata.has(metadata_namespace)) metadata.set(metadata_namespace, value);
  }
  return {
    name: `${file} / ${test_name}`,
    request: {
      method: input.method,
      scheme: input.ssl ? "https" : "http",
      authority: input.authority,
      path: input.path,
      headers: Object.fromEntries(headers),
      sourceAddress: "127.0.0.1",
      internal: input.internal,
      dynamicMetadata: Object.fromEntries(metadata),
      random: input.random_value,
    },
    runtimeKey: input.runtime,
    random: input.runtime !== "",
    validate: rest,
    requestHeaders: request_header_matches.map((matcher) => fromJson(HeaderMatcherSchema, matcher)),
    responseHeaders: response_header_matches.map((matcher) => fromJson(HeaderMatcherSchema, matcher)),
    responseHeadersWrong,
  };
}

/** `{seconds: 30}`, which the tool accepts for a duration, as the text that protobuf's JSON wants. */
function durationsAsText(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(durationsAsText);
  if (typeof value !== "object" || value === null) return value;
  const { seconds, ...others } = value;
  if (typeof seconds === "number" && Object.keys(others).length === 0) return `${seconds}s`;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, durationsAsText(member ?? null)]));
}
