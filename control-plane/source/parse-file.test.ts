import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatDiagnostic } from "../model/diagnostic.ts";
import { aliasBomb } from "../test/alias-bomb.ts";
import { parseFile } from "./parse-file.ts";

const linesOf = (text: string): readonly string[] => parseFile("a.yaml", text).diagnostics.map(formatDiagnostic);

/** A VirtualService with this spec, which begins in line 5. */
const virtualService = (spec: string): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
${spec
  .split("\n")
  .map((line) => `  ${line}`)
  .join("\n")}
`;

describe("what people write from memory", () => {
  it("gets one error per mistake, each with its line and the corrected form", () => {
    const snippet = `apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  http:
    route:
    - route:
      - destination:
          host: reviews
          subset: v2
        weight: 10%
      - destination:
          host: reviews
          subset: v1
        weight: 90
`;
    expect(linesOf(snippet)).toEqual([
      'a.yaml:8:3 WEFT0203 error VirtualService default/reviews: http must be a list, and a map stands there. Fix: begin its first field with "- ": `http:` then `- route: …`.',
      "a.yaml:10:7 WEFT0204 error VirtualService default/reviews: route stands inside another route. Fix: remove the inner `route:` and list its entries under the outer one: `route:` then `- destination: …`.",
      'a.yaml:14:9 WEFT0202 error VirtualService default/reviews: weight must be a number without a percent sign, not "10%". Fix: write `weight: 10`.',
    ]);
  });

  it("is understood with the nested route as a map too, and is checked further as it was meant", () => {
    const file = parseFile("a.yaml", virtualService("hosts: [reviews]\nhttp:\n  route:\n    route:\n      - destination: reviews\n        weight: 10%"));
    expect(file.diagnostics.map(({ code, origin }) => `${code} ${origin.line}`)).toEqual(["WEFT0203 6", "WEFT0204 8", "WEFT0203 9", "WEFT0202 10"]);
    expect(file.resources).toEqual([]);
    expect(file.broken).toMatchObject([{ kind: "VirtualService", namespace: "default", name: "reviews" }]);
    expect(file.broken[0]?.meant?.spec).toMatchObject({ http: [{ route: [{ destination: { host: "reviews" }, weight: 10 }] }] });
  });

  it.each([
    ["hosts: reviews", "hosts must be a list, and a single value stands there. Fix: write `hosts: [reviews]`."],
    ["hosts: [reviews]\nhttp: [{match: [{uri: /a}]}]", "uri must be a map, and a single value stands there. Fix: write `uri: {prefix: /a}`."],
    ["http: [{route: [{destination: {host: a, port: 80}}]}]", "port must be a map, and a single value stands there. Fix: write `port: {number: 80}`."],
    ['http: [{match: [{port: "80"}]}]', 'port must be a number, and "80" is a string. Fix: remove the quotes: `port: 80`.'],
    ["http: [{match: [{sourceLabels: {version: 1.10}}]}]", 'version must be a string, and YAML reads `1.10` as a number. Fix: quote it: `version: "1.10"`.'],
    ["http: [{match: [{ignoreUriCase: yes}]}]", 'ignoreUriCase must be true or false, and "yes" is a string. Fix: write `ignoreUriCase: true`.'],
    ["htp: []", 'unknown field "htp" in spec. Fix: did you mean `http`.'],
    ["http: [{timout: 5s}]", 'unknown field "timout" in spec.http[0]. Fix: did you mean `timeout`.'],
    [
      "http: [{route: [{destination: {host: a}, timeout: 5s}]}]",
      'unknown field "timeout" in spec.http[0].route[0]. Fix: `timeout` belongs to spec.http[0]: indent it less.',
    ],
    ["http: [{subset: v1}]", 'unknown field "subset" in spec.http[0]. Fix: the fields here are'],
    ["http: [{route: [{host: a}]}]", 'unknown field "host" in spec.http[0].route[0]. Fix: `host` belongs to `destination`: move it there.'],
    ["http: [{timeout: 5}]", 'timeout must be a string, and YAML reads `5` as a number. Fix: quote it: `timeout: "5"`.'],
    ["http: [{timeout: soon}]", 'timeout is not right: "soon". Fix: expected a duration such as 5s, 100ms or 1h.'],
    ["http: [{route: [{destination: {host: a}, weight: -1}]}]", "weight is out of range: -1. Fix: use at least 0."],
    ["http: [{route: [{weight: 1}]}]", "spec.http[0].route[0].destination is required. Fix: add `destination:` to spec.http[0].route[0]."],
    ["http: [{match: [{uri: {exact: /a, prefix: /b}}]}]", "only one of exact, prefix and regex may be set, not exact and prefix"],
    ["http: [{redirect: {derivePort: FROM_REQUEST}}]", "use one of FROM_PROTOCOL_DEFAULT, FROM_REQUEST_PORT"],
  ])("%s", (spec, expected) => {
    expect(linesOf(virtualService(spec)).join("\n")).toContain(expected);
  });

  it("takes a field without a value as absent, as Kubernetes does", () => {
    const file = parseFile("a.yaml", virtualService("hosts: [a]\nhttp:\ntls: null"));
    expect(file.diagnostics).toEqual([]);
    expect(file.resources).toMatchObject([{ spec: { http: [], tls: [] } }]);
  });
});

describe("mistakes of the text", () => {
  it.each([
    ["indentation", "a: 1\n  b: 2\n", "a.yaml:1:4 WEFT0101"],
    ["tabs", "a:\n\t- 1\n", "a.yaml:2:1 WEFT0101"],
    ["an open bracket", "a: [1, 2\n", "WEFT0101"],
    ["a template", "a: {{ .Values.x }}\n", "WEFT0108"],
    ["a key twice", "kind: A\nkind: B\n", 'a.yaml:2:1 WEFT0106 error the key "kind" stands twice in the same map, first in line 1'],
    ["a NUL byte", "a: 'x\u0000'\n", "a.yaml:1:6 WEFT0103 error the control character U+0000 is not allowed in YAML"],
    ["an alias without an anchor", "a: *b\n", "WEFT0110 error there is no anchor &b before this alias"],
    ["an alias of itself", "a: &x [*x]\n", "WEFT0109 error the alias *x would contain itself"],
    ["an unknown tag", "a: !include b.yaml\n", "WEFT0105 error the tag !include has no meaning"],
    ["a merge of no map", "<<: 5\n", "WEFT0107"],
    ["deep brackets", `a: ${"[".repeat(100_000)}`, "WEFT0104 error values are nested more than 100 deep"],
    ["deep lists", `${"- ".repeat(100_000)}x`, "WEFT0104"],
    ["10 MB", `a: ${"x".repeat(10_000_000)}`, "a.yaml:1:1 WEFT0102 error the file has 9.5 MB"],
  ])("%s: an error of the file", (_, text, expected) => {
    const file = parseFile("a.yaml", text);
    expect(file.syntaxOk).toBe(false);
    expect(file.diagnostics.map(formatDiagnostic).join("\n")).toContain(expected);
  });

  it("refuses an alias bomb without expanding it", () => {
    const file = parseFile("a.yaml", aliasBomb());
    expect(file.diagnostics.map(({ code }) => code)).toContain("WEFT0111");
    expect(file.syntaxOk).toBe(false);
  });

  it("is not slow on many keys, many documents or many errors", () => {
    const started = performance.now();
    parseFile("a.yaml", Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join("\n"));
    parseFile("a.yaml", "---\na: 1\n".repeat(5_000));
    parseFile("a.yaml", virtualService(`http: [{match: [${'{port: "80", prt: 1},'.repeat(500)}]}]`));
    expect(performance.now() - started).toBeLessThan(30_000);
  });

  it("reads anchors, aliases and merge keys, and gives a merged field its own place", () => {
    const text = virtualService(
      "hosts: &hosts [reviews]\nhttp:\n  - &base\n    timeout: 5s\n    route: [{destination: {host: reviews}}]\n  - <<: *base\n    name: second",
    );
    const [resource] = parseFile("a.yaml", text).resources;
    expect(resource?.spec).toMatchObject({ http: [{ timeout: 5000 }, { timeout: 5000, name: "second" }] });
    expect(resource?.locate(["spec", "http", 1, "name"])).toEqual({ file: "a.yaml", line: 11, column: 7 });
    expect(resource?.locate(["spec", "http", 1, "timeout"])).toEqual({ file: "a.yaml", line: 8, column: 7 });
    expect(resource?.locate(["spec", "http", 1, "retries", "attempts"])).toEqual({ file: "a.yaml", line: 10, column: 7 });
  });

  it("never throws, whatever the text", () => {
    const words = fc.constantFrom(
      ..."apiVersion: v1|kind: |Service|VirtualService|networking.istio.io/v1|metadata: |name: |spec: |http: |- |\n|  |{|}|[|]|&a |*a|<<: |!!str |? |: |'|\"|| |---\n|...\n|#|%|10%|~|,|\t|\u0000|__proto__: |List|items: |null".split(
        "|",
      ),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(words, { maxLength: 40 }).map((parts) => parts.join("")),
          fc.string({ maxLength: 200 }),
          fc.string({ unit: "binary", maxLength: 100 }),
        ),
        (text) => {
          const file = parseFile("a.yaml", text);
          for (const { origin, what, fix } of file.diagnostics) {
            expect(origin.line).toBeGreaterThan(0);
            expect(origin.line).toBeLessThanOrEqual(text.split("\n").length);
            expect(origin.column).toBeGreaterThan(0);
            expect(what).not.toMatch(/\.$/);
            expect(fix).not.toMatch(/\.$/);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("documents of a file", () => {
  const service = (name: string, more = ""): string =>
    `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}${more}}\nspec: {ports: [{port: 80}], whatever: 1}\n`;

  it("reads several, skips empty ones, and opens lists", () => {
    const text = `# a comment\n---\n${service("a")}---\n---\napiVersion: v1\nkind: List\nitems:\n  - {apiVersion: v1, kind: Service, metadata: {name: b, namespace: shop}, spec: {ports: [{port: 80}]}}\n`;
    const file = parseFile("a.yaml", text);
    expect(file.diagnostics).toEqual([]);
    expect(file.resources.map(({ namespace, name, origin }) => `${namespace}/${name} ${origin.line}`)).toEqual(["default/a 3", "shop/b 12"]);
  });

  it.each([
    ["just text\n", "WEFT0120 error a document must be a map with apiVersion, kind, metadata and spec, and this is a single value"],
    ["- 1\n", "WEFT0120"],
    ["apiVersion: v1\n", "WEFT0122 error the document has no kind"],
    ["kind: Service\nmetadata: {name: a}\nspec: {ports: []}\n", "WEFT0123 error Service default/a: the document has no apiVersion. Fix: add `apiVersion: v1`"],
    ["apiVersion: v1\nkind: Servce\n", 'a.yaml:2:1 WEFT0124 error there is no kind "Servce". Fix: did you mean `Service`'],
    ["apiVersion: networking.istio.io/v1\nkind: VirtualServices\n", "did you mean `VirtualService`"],
    ["apiVersion: networking.istio.io/v1\nkind: Router\n", 'WEFT0124 error there is no kind "Router" in networking.istio.io'],
    ["apiVersion: networking.istio.io/v1alpha9\nkind: Gateway\nmetadata: {name: a}\nspec: {}\n", "Fix: write `apiVersion: networking.istio.io/v1`"],
    ["apiVersion: networking.istio/v1\nkind: Gateway\nmetadata: {name: a}\nspec: {}\n", "Fix: write `apiVersion: networking.istio.io/v1`"],
    ["apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n", "Fix: write `apiVersion: apps/v1`"],
    ["apiVersion: v1\nkind: Service\nspec: {}\n", "metadata is required"],
    ["apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\n", "WEFT0125 warning StatefulSet (apps) is not implemented yet, ignored"],
    [
      "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\n",
      "WEFT0125 warning Gateway (gateway.networking.k8s.io) is not implemented yet",
    ],
    ["apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "WEFT0126 info ConfigMap has no meaning for the mesh, skipped"],
    ["apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: a}\n", "WEFT0126 info Certificate"],
  ])("%j", (text, expected) => {
    expect(linesOf(text).join("\n")).toContain(expected);
  });

  it("says once that a kind is skipped", () => {
    const text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n";
    expect(linesOf(text)).toHaveLength(1);
  });

  it("takes a Namespace without a spec, and names cluster-scoped kinds without a namespace", () => {
    expect(parseFile("a.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n").resources).toMatchObject([
      { kind: "Namespace", namespace: "", name: "shop" },
    ]);
  });

  it("gives equal documents equal digests, wherever they stand", () => {
    const digest = (text: string): string | undefined => parseFile("a.yaml", text).resources[0]?.digest;
    expect(digest(service("a"))).toBe(digest(`# moved\n\n${service("a")}`));
    expect(digest(service("a"))).not.toBe(digest(service("a", ", labels: {x: y}")));
  });
});
