// Files of routing tests: the text comes in, typed tests with their places go out, in Weft's format and in that of istio-config-validator. Pure.
import { z } from "zod";
import type { Diagnostic, Origin } from "../model/diagnostic.ts";
import { durationMs, headers } from "../model/fields.ts";
import { httpFault, httpRouteDestination } from "../model/virtual-service.ts";
import { checkDocument } from "../source/check-document.ts";
import { type Tree, treeAt } from "../source/tree.ts";
import { yamlDocuments } from "../source/yaml-documents.ts";

/** A header's value as it must arrive; null: the header must be absent. */
const headerValues = z.record(z.string(), z.string().nullable());
const sharePercent = z.number().min(0).max(100);

const expectedDestination = z.strictObject({
  host: z.string(),
  port: z.int().optional(),
  subset: z.string().optional(),
  zone: z.string().optional(),
});

const expectation = z.strictObject({
  /** `primary`, `NAMESPACE/NAME/primary`; null: none takes the request. */
  route: z.string().nullable().optional(),
  /** Where this very request goes. */
  destination: expectedDestination.optional(),
  /** Every destination of the route, with its share in percent; the order does not count. */
  destinations: z.array(expectedDestination.extend({ share: sharePercent.optional(), requestHeaders: headerValues.optional() })).optional(),
  path: z.string().optional(),
  authority: z.string().optional(),
  requestHeaders: headerValues.optional(),
  responseHeaders: headerValues.optional(),
  redirect: z.strictObject({ status: z.int().optional(), location: z.string().optional() }).optional(),
  directResponse: z.strictObject({ status: z.int().optional(), body: z.string().optional() }).optional(),
  fault: z
    .strictObject({
      delay: z.strictObject({ duration: durationMs.optional(), share: sharePercent.optional() }).optional(),
      abort: z.strictObject({ status: z.int().optional(), grpcStatus: z.int().optional(), share: sharePercent.optional() }).optional(),
    })
    .nullable()
    .optional(),
  mirrors: z.array(expectedDestination.extend({ share: sharePercent.optional() })).optional(),
  /** null: none. */
  timeout: durationMs.nullable().optional(),
  retries: z.int().optional(),
  /** Whether the policies on its way let it in; `unknown` where that depends on what is not in the YAML. */
  authorization: z.enum(["allowed", "denied", "unknown"]).optional(),
  /** `NAMESPACE/NAME` of the AuthorizationPolicy whose rule decides; null: none does. */
  policy: z.string().nullable().optional(),
  /** What the proxy answers by itself: a redirect, a direct response, 404 where no route matches. */
  status: z.int().optional(),
});

const test = z.strictObject({
  name: z.string(),
  request: z.strictObject({
    from: z.string().optional(),
    namespace: z.string().optional(),
    method: z.string().default("GET"),
    url: z.string(),
    headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])).default({}),
    /** Of a token that holds and comes with the request. */
    claims: z.record(z.string(), z.unknown()).optional(),
  }),
  expect: expectation,
});

const weftFile = z.strictObject({
  /** Folders and files of the mesh's YAML, relative to this file. */
  mesh: z.union([z.string(), z.array(z.string())]).optional(),
  tests: z.array(test),
});

const delegate = z.strictObject({ name: z.string().optional(), namespace: z.string().optional() });
const redirect = z.looseObject({ uri: z.string().optional(), authority: z.string().optional() });
const rewrite = z.looseObject({ uri: z.string().optional(), authority: z.string().optional() });

/** Source: getyourguide/istio-config-validator, internal/pkg/parser/testcase.go. */
const validatorFile = z.strictObject({
  testCases: z.array(
    z.strictObject({
      description: z.string().default(""),
      wantMatch: z.boolean().default(false),
      request: z.strictObject({
        authority: z.array(z.string()).min(1),
        method: z.array(z.string()).min(1),
        uri: z.array(z.string()).min(1),
        headers: z.record(z.string(), z.string()).default({}),
      }),
      route: z.array(httpRouteDestination).optional(),
      redirect: redirect.optional(),
      rewrite: rewrite.optional(),
      fault: httpFault.optional(),
      headers: headers.optional(),
      delegate: delegate.optional(),
    }),
  ),
});

export type RoutingTest = z.output<typeof test> & { readonly origin: Origin };
export type Expectation = z.output<typeof expectation>;
export type ExpectedDestination = NonNullable<Expectation["destinations"]>[number];
export type ValidatorCase = z.output<typeof validatorFile>["testCases"][number] & { readonly origin: Origin };

/** What one file asks for. */
export interface RoutingTestFile {
  readonly file: string;
  /** As written; undefined where the file does not say. */
  readonly mesh: readonly string[] | undefined;
  readonly tests: readonly RoutingTest[];
  readonly cases: readonly ValidatorCase[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Reads a file of tests. Every mistake is a diagnostic with its line; a document with one has no tests. */
export function parseRoutingTests(file: string, text: string): RoutingTestFile {
  const yaml = yamlDocuments(text);
  const diagnostics: Diagnostic[] = yaml.errors.map(({ code, place, what, fix }) => ({ code, severity: "error", origin: { file, ...place }, what, fix }));
  const tests: RoutingTest[] = [];
  const cases: ValidatorCase[] = [];
  const mesh: string[] = [];
  for (const tree of yaml.documents) {
    const check = <Value>(schema: z.ZodType<Value>): Value | undefined => {
      const { value, findings } = checkDocument(tree, schema);
      diagnostics.push(...findings.map(({ code, place, what, fix }): Diagnostic => ({ code, severity: "error", origin: { file, ...place }, what, fix })));
      return findings.length === 0 ? value : undefined;
    };
    if (treeAt(tree, ["testCases"]) !== undefined) {
      cases.push(...(check(validatorFile)?.testCases ?? []).map((each, index) => ({ ...each, origin: originOf(file, tree, ["testCases", index]) })));
      continue;
    }
    const read = check(weftFile);
    mesh.push(...[read?.mesh ?? []].flat());
    tests.push(...(read?.tests ?? []).map((each, index) => ({ ...each, origin: originOf(file, tree, ["tests", index]) })));
  }
  return { file, mesh: mesh.length === 0 ? undefined : mesh, tests, cases, diagnostics };
}

function originOf(file: string, tree: Tree, path: readonly (string | number)[]): Origin {
  return { file, ...(treeAt(tree, path) ?? tree).place };
}
