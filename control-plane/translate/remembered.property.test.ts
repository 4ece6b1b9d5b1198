// A translation that takes over what has not changed gives the bytes of one that makes everything, whatever is changed in between.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildMesh } from "../mesh/build.ts";
import type { Instance } from "../mesh/instance.ts";
import type { Mesh, MeshInput } from "../mesh/mesh.ts";
import { shareMembers } from "../mesh/share-structure.ts";
import { type ParsedFile, parseFile } from "../source/parse-file.ts";
import { deployment } from "../test/mesh-of.ts";
import { wiredMesh } from "../test/wired-mesh.ts";
import { effectiveResources } from "../validate/effective.ts";
import type { Translation } from "./resource.ts";
import { type TranslationMemory, translate } from "./translate.ts";

/** What a mesh is written from; each member is a thing that somebody may edit. */
interface Written {
  readonly weight: number;
  readonly host: "a" | "b" | "c.elsewhere" | "*.default.svc.cluster.local";
  readonly leadsTo: "a" | "b" | "missing" | "c.elsewhere";
  readonly delegates: boolean;
  /** What the delegate leads to. */
  readonly delegated: "a" | "b" | "c.elsewhere";
  readonly sourceLabel: string;
  readonly rule: "none" | "subsets" | "balanced" | "distribute" | "wildcard";
  /** Whom the rule is for, where it is for one host. */
  readonly ruled: "a" | "b";
  readonly exportTo: "." | "*";
  readonly sidecar: boolean;
  readonly mode: "ALLOW_ANY" | "REGISTRY_ONLY";
  readonly protocol: "http" | "tcp";
  readonly unready: readonly string[];
  /** Whether b has no sidecars, so that it calls nobody. */
  readonly bare: boolean;
}

const written: fc.Arbitrary<Written> = fc.record({
  weight: fc.constantFrom(0, 10, 50),
  host: fc.constantFrom("a", "b", "c.elsewhere", "*.default.svc.cluster.local"),
  leadsTo: fc.constantFrom("a", "b", "missing", "c.elsewhere"),
  delegates: fc.boolean(),
  delegated: fc.constantFrom("a", "b", "c.elsewhere"),
  sourceLabel: fc.constantFrom("a", "b"),
  rule: fc.constantFrom("none", "subsets", "balanced", "balanced", "distribute", "wildcard"),
  ruled: fc.constantFrom("a", "b"),
  exportTo: fc.constantFrom(".", "*"),
  sidecar: fc.boolean(),
  mode: fc.constantFrom("ALLOW_ANY", "REGISTRY_ONLY"),
  protocol: fc.constantFrom("http", "tcp"),
  bare: fc.boolean(),
  unready: fc.subarray(["a-x-1", "a-y-1", "b-x-1", "b-y-1", "c-x-1"]),
});

/** One member changes at a time, so that the rest must be taken over. */
const edits = fc.array(
  fc.tuple(
    fc.constantFrom(
      // What is easily missed is edited more often.
      ...(["unready", "unready", "unready", "unready", "weight", "weight", "weight"] as const),
      ...(["host", "leadsTo", "delegates", "delegated", "sourceLabel", "rule", "ruled", "exportTo", "sidecar", "mode", "protocol", "bare"] as const),
    ),
    written,
  ),
  {
    minLength: 3,
    maxLength: 8,
  },
);

/** Each member is a file, so that an edit leaves the resources of the others as they are. */
function filesOf({ weight, host, leadsTo, delegates, delegated, sourceLabel, rule, ruled, exportTo, sidecar, mode, protocol }: Written): readonly string[] {
  const service = (name: string, namespace: string): string => `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${namespace}}
spec: {selector: {app: ${name}}, ports: [{name: ${name === "b" ? protocol : "http"}, port: 80, targetPort: 9090}]}
`;
  const balancer = { balanced: "{enabled: true}", distribute: '{distribute: [{from: "eu-1/*", to: {"eu-1/eu-1x": 70, "eu-1/eu-1y": 30}}]}' };
  const policy = rule === "balanced" || rule === "distribute" ? `trafficPolicy: {loadBalancer: {localityLbSetting: ${balancer[rule]}}}, ` : "";
  return [
    service("a", "default"),
    service("b", "default"),
    service("c", "elsewhere"),
    ...["x", "y"].flatMap((zone) => ["a", "b"].map((app) => deployment(`${app}-${zone}`, `app: ${app}, version: ${zone}`, `eu-1${zone}`, 1))),
    deployment("c-x", "app: c, version: x", "eu-1x", 1).replace("{name: c-x}", "{name: c-x, namespace: elsewhere}"),
    `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root}
spec:
  hosts: ["${host}"]
  exportTo: ["${exportTo}"]
  http:
    - name: mine
      match: [{sourceLabels: {app: ${sourceLabel}}}]
      route: [{destination: {host: ${leadsTo}}, weight: ${weight}}, {destination: {host: a}, weight: ${100 - weight}}]
    - ${delegates ? "delegate: {name: part}" : "route: [{destination: {host: b}}]"}
`,
    `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: part}
spec: {http: [{name: delegated, route: [{destination: {host: ${delegated}}}]}]}
`,
    rule === "none"
      ? ""
      : `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: rule}
spec: {host: "${rule === "wildcard" ? "*.default.svc.cluster.local" : ruled}", ${policy}subsets: [{name: x, labels: {version: x}}]}
`,
    sidecar
      ? `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default}
spec: {egress: [{hosts: ["./a.default.svc.cluster.local", "elsewhere/*"]}]}
`
      : "",
    `
---
apiVersion: weft.mesh/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {outboundTrafficPolicy: {mode: ${mode}}}
`,
  ];
}

const PLAIN: Written = {
  weight: 10,
  host: "a",
  leadsTo: "a",
  delegates: false,
  delegated: "b",
  sourceLabel: "a",
  rule: "subsets",
  ruled: "a",
  exportTo: "*",
  sidecar: false,
  mode: "ALLOW_ANY",
  protocol: "http",
  unready: [],
  bare: false,
};

const PARSED = new Map<string, ParsedFile>();

/** A mesh as the control plane makes it: files that are as they were are not parsed again, instances and proxies are the same objects. */
function meshInputFor(what: Written, former?: Mesh): MeshInput {
  const change = (instance: Instance): Instance => ({
    ...instance,
    ready: !what.unready.includes(instance.name),
    hasSidecar: !(what.bare && instance.labels.app === "b"),
  });
  const texts = filesOf(what);
  const wired = wiredMesh(texts.join(""), { httpProxy: true, change });
  const files = texts.map((text, index): [string, ParsedFile] => {
    const file = `${index}.yaml`;
    const parsed = PARSED.get(`${file} ${text}`) ?? parseFile(file, text);
    PARSED.set(`${file} ${text}`, parsed);
    return [file, parsed];
  });
  const { resources } = effectiveResources(new Map(files), { version: 1, resources: [], settled: [] });
  const instances = shareMembers(former?.instances ?? [], wired.instances, ({ name }) => name);
  const proxies = shareMembers(former?.proxies ?? [], wired.proxies, ({ id }) => id);
  return { resources, instances, proxies, domain: wired.domain };
}

function meshFor(what: Written): Mesh {
  return buildMesh(meshInputFor(what));
}

const FILTER = { wasm: new Uint8Array([1]), generationOf: () => 0 };

/** Everything that proxies get, byte for byte, and what is said. */
function printed({ proxies, diagnostics }: Translation): unknown {
  const byName = [...proxies].map(([id, { resources }]) => [
    id,
    Object.fromEntries(resources.map(({ type, name, body, needs, origins }) => [`${type}/${name}`, [Buffer.from(body).toString("latin1"), needs, origins]])),
  ]);
  return { byName, diagnostics };
}

describe("a translation with the memory of the former one", () => {
  it("gives what one without it gives, after any edits", () => {
    fc.assert(
      fc.property(written, edits, (start, changes) => {
        let what = start;
        let mesh = meshFor(what);
        let memory: TranslationMemory = translate(mesh, { filter: FILTER }).memory;
        for (const [member, other] of changes) {
          what = { ...what, [member]: other[member] };
          const input = meshInputFor(what, mesh);
          const fresh = buildMesh(input);
          mesh = buildMesh(input, mesh);
          expect(mesh.diagnostics).toEqual(fresh.diagnostics);
          const remembered = translate(mesh, { filter: FILTER, former: memory });
          memory = remembered.memory;
          expect(printed(remembered)).toEqual(printed(translate(fresh, { filter: FILTER })));
        }
      }),
      { numRuns: 40 },
    );
  });

  it("makes the routes of a host again when the traffic of what a delegate leads to is divided otherwise", () => {
    // How b is divided over zones is a matter of the delegate, and of nothing that names a; and what becomes of b changes nothing for those who call a.
    const what: Written = { ...PLAIN, delegates: true, delegated: "b", rule: "balanced", ruled: "b", bare: true };
    const before = meshFor(what);
    const input = meshInputFor({ ...what, unready: ["b-y-1"] }, before);
    const first = translate(before, { filter: FILTER });
    const remembered = translate(buildMesh(input, before), { filter: FILTER, former: first.memory });
    expect(printed(remembered)).toEqual(printed(translate(buildMesh(input), { filter: FILTER })));
    const routesToA = (translation: Translation): readonly Uint8Array[] =>
      [...translation.proxies.values()].flatMap(({ resources }) =>
        resources.filter(({ name }) => name.startsWith("http-proxy/a.default.")).map(({ body }) => body),
      );
    expect(routesToA(remembered)).not.toEqual(routesToA(first));
  });

  it("hands on the same objects where nothing has changed", () => {
    const what = PLAIN;
    const mesh = meshFor(what);
    const first = translate(mesh, { filter: FILTER });
    const second = translate(mesh, { filter: FILTER, former: first.memory });
    for (const [id, { shared, own }] of second.proxies) {
      for (const [index, resource] of (own ?? []).entries()) expect(resource).toBe(first.proxies.get(id)?.own?.[index]);
      const before = new Set(first.proxies.get(id)?.shared);
      const fresh = (shared ?? []).filter((resource) => !before.has(resource)).map(({ name }) => name);
      // The mesh's own, which cost nothing to make.
      expect(fresh.filter((name) => !["http-proxy", "http-proxy/*", "PassthroughCluster"].includes(name))).toEqual([]);
    }
  });
});
