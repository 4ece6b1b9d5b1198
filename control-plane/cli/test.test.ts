import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseRoutingTests } from "./routing-test-file.ts";
import { PLAIN } from "./style.ts";
import { runTests } from "./test.ts";
import { testJunit, testText } from "./test-report.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const GYG = join(process.env.WEFT_SHARED ?? join(ROOT, "..", "shared"), "conformance/data/gyg/examples");

const MESH = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, annotations: {weft.mesh/sticky: "header:x-user"}}
spec:
  hosts: [reviews]
  http:
    - name: moved
      match: [{uri: {prefix: /old}}]
      redirect: {uri: /new, redirectCode: 308}
    - name: said
      match: [{uri: {exact: /said}}]
      directResponse: {status: 418, body: {string: tea}}
    - name: broken
      match: [{headers: {x-fault: {exact: "yes"}}}]
      fault:
        delay: {fixedDelay: 1.5s, percentage: {value: 10}}
        abort: {httpStatus: 503, percentage: {value: 25}}
      route: [{destination: {host: reviews, subset: v1}}]
    - name: primary
      timeout: 2s
      retries: {attempts: 3}
      rewrite: {uri: /api}
      headers: {request: {set: {x-mesh: weft}, remove: [x-secret]}, response: {set: {x-served-by: mesh}}}
      mirrors: [{destination: {host: audit}, percentage: {value: 50}}]
      route:
        - {destination: {host: reviews, subset: v1}, weight: 75}
        - {destination: {host: reviews, subset: v2}, weight: 25, headers: {request: {set: {x-canary: "yes"}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: audit}
spec: {selector: {app: caller}, ports: [{name: http, port: 9080}]}
${["reviews,v1", "reviews,v2", "caller,v1"]
  .map((names) => names.split(","))
  .map(
    ([app, version]) => `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${app === "caller" ? app : `${app}-${version}`}}
spec:
  selector: {matchLabels: {app: ${app}}}
  template:
    metadata: {labels: {app: ${app}, version: ${version}}}
    spec: {containers: [{name: main, image: "main:1", ports: [{containerPort: 9080}]}]}
`,
  )
  .join("")}`;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weft-test-"));
  await writeFile(join(folder, "mesh.yaml"), MESH);
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Runs one expectation of a GET by `caller`, and gives what differs. */
async function differencesOf(expectation: string, path = "/x", headers = ""): Promise<readonly string[]> {
  const text = `tests: [{name: one, request: {from: caller, url: "http://reviews:9080${path}", headers: {${headers}}}, expect: {${expectation}}}]`;
  const file = parseRoutingTests(join(folder, "one.test.yaml"), text);
  expect(file.diagnostics).toEqual([]);
  const { results } = await runTests([file], undefined);
  return results.flatMap(({ differences }) => differences.map(({ field, expected, actual }) => `${field}: ${expected} / ${actual}`));
}

describe("a routing test", () => {
  it.each([
    { expectation: "route: primary, path: /apix, timeout: 2s, retries: 3, fault: null" },
    { expectation: "route: default/reviews/primary" },
    { expectation: "destinations: [{host: reviews, subset: v2, share: 25, requestHeaders: {x-canary: 'yes'}}, {host: reviews, subset: v1, share: 75}]" },
    { expectation: "requestHeaders: {x-mesh: weft, x-secret: null}, responseHeaders: {x-served-by: mesh}", headers: "x-secret: s" },
    { expectation: "mirrors: [{host: audit, share: 50}]" },
    { expectation: "redirect: {status: 308, location: 'http://reviews:9080/new'}, status: 308", path: "/old/x" },
    { expectation: "directResponse: {status: 418, body: tea}", path: "/said" },
    {
      expectation: "fault: {delay: {duration: 1500ms, share: 10}, abort: {status: 503, share: 25}}, destination: {host: reviews, subset: v1, port: 9080}",
      headers: "x-fault: 'yes'",
    },
  ])("passes: $expectation", async ({ expectation, path, headers }) => {
    expect(await differencesOf(expectation, path, headers)).toEqual([]);
  });

  it.each([
    { expectation: "route: moved", says: ["route: moved / default/reviews/primary"] },
    { expectation: "status: 404", says: ["status: 404 / none"] },
    { expectation: "redirect: {status: 301}", says: [expect.stringMatching(/^redirect: {"status":301} \/ reviews.*v1 75 %/)] },
    { expectation: "destination: {host: reviews, subset: v1}", says: [expect.stringContaining("drawn anew for each request")] },
    {
      expectation: "destinations: [{host: reviews, subset: v1, share: 80}]",
      says: [expect.stringContaining("80 % / 75 %"), expect.stringContaining("nothing else / ")],
    },
    { expectation: "requestHeaders: {x-mesh: other}", says: ["requestHeaders.x-mesh: other / weft"] },
    { expectation: "fault: {abort: {status: 500}}", says: ["fault.abort: an abort / none"] },
    { expectation: "timeout: null", says: ["timeout: none / 2000 ms"] },
  ])("fails, with what is instead: $expectation", async ({ expectation, says }) => {
    expect(await differencesOf(expectation)).toEqual(says);
  });

  it("knows where a sticky user goes, as often as it is asked", async () => {
    const subsets = await Promise.all(
      Array.from({ length: 20 }, async (_, user) =>
        (await differencesOf("destination: {host: reviews, subset: v1}", "/", `x-user: u${user}`)).length === 0 ? "v1" : "v2",
      ),
    );
    expect(new Set(subsets)).toEqual(new Set(["v1", "v2"]));
    for (const [user, subset] of subsets.entries())
      expect(await differencesOf(`destination: {host: reviews, subset: ${subset}}`, "/", `x-user: u${user}`)).toEqual([]);
  });

  it("says on failure which route took the request, and why the others did not", async () => {
    const file = parseRoutingTests(
      join(folder, "one.test.yaml"),
      "tests:\n  - name: moved?\n    request: {from: caller, url: 'http://reviews:9080/x'}\n    expect: {route: moved}",
    );
    const run = { ...(await runTests([file], undefined)), elapsedMs: 1 };
    expect(testText(run, PLAIN).replaceAll(`${folder}/`, "")).toBe(`FAIL moved? (one.test.yaml:2)
  route
    expected  moved
    actual    default/reviews/primary
  taken: default/reviews/primary (mesh.yaml:20): reviews.default.svc.cluster.local:9080 subset v1 75 %, reviews.default.svc.cluster.local:9080 subset v2 25 %
  not taken: reviews.default/moved (mesh.yaml:8): :path prefix "/old", it is "/x"
  not taken: reviews.default/said (mesh.yaml:11): :path exact "/said", it is "/x"
  not taken: reviews.default/broken (mesh.yaml:14): x-fault exact "yes", there is none

0 passed, 1 failed in 1 ms`);
    const junit = testJunit(run);
    expect(junit).toContain('<testsuites name="weft test" tests="1" failures="1"');
    expect(junit).toContain('<failure message="route: expected moved, got default/reviews/primary">');
  });

  it("answers thousands of requests in seconds", async () => {
    const tests = Array.from(
      { length: 5_000 },
      (_, user) => `  - {name: t${user}, request: {from: caller, url: "http://reviews:9080/", headers: {x-user: u${user}}}, expect: {path: /api}}`,
    );
    const { results } = await runTests([parseRoutingTests(join(folder, "many.test.yaml"), `tests:\n${tests.join("\n")}`)], undefined);
    expect(results.filter(({ passed }) => passed)).toHaveLength(5_000);
  });

  it.each([
    { text: "tests:\n  - name: x\n    request: {url: http://a/}\n    expect: {destinaton: {host: a}}", says: "one.test.yaml:4" },
    { text: "tests:\n  - name: x\n    request: {}\n    expect: {}", says: "url" },
    { text: "tests: [", says: "one.test.yaml:" },
  ])("refuses a file with a mistake, at its line: $says", ({ text, says }) => {
    const { diagnostics, tests } = parseRoutingTests("one.test.yaml", text);
    expect(tests).toEqual([]);
    expect(diagnostics.map(({ origin, what, fix }) => `${origin.file}:${origin.line} ${what} ${fix}`).join("\n")).toContain(says);
  });
});

describe.skipIf(!existsSync(GYG))("test cases of istio-config-validator (needs conformance data)", () => {
  it("all pass, as in their own tool, and fail where they should not", async () => {
    const names = (await readdir(GYG)).filter((name) => name.endsWith("_test.yml")).sort();
    const texts = await Promise.all(names.map(async (name) => [join(GYG, name), await readFile(join(GYG, name), "utf8")] as const));
    const { results } = await runTests(
      texts.map(([file, text]) => parseRoutingTests(file, text)),
      undefined,
    );
    expect(results.length).toBeGreaterThan(30);
    expect(results.filter(({ passed }) => !passed)).toEqual([]);
    const turned = texts.map(([file, text]) =>
      parseRoutingTests(
        file,
        text.replace(/wantMatch: (true|false)/g, (_, want) => `wantMatch: ${want !== "true"}`),
      ),
    );
    expect((await runTests(turned, undefined)).results.filter(({ passed }) => passed)).toEqual([]);
  });
});
