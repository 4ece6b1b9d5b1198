// The CustomResourceDefinitions of the kinds that Weft reads, made of our own model: what `kubectl` completes, explains and refuses is what Weft reads. Pure.
import { stringify } from "yaml";
import { KNOWN_KINDS, type KnownKind } from "../../source/kinds.ts";
import { schemaAt } from "../../source/schema-walk.ts";
import { descriptionOf } from "./descriptions.ts";
import { type Said, type StructuralSchema, structuralSchema } from "./structural-schema.ts";
import { validationsOf } from "./validations.ts";

/** One definition, as it is written to a file of its own. */
export interface ResourceDefinition {
  /** `virtualservices.networking.istio.io.yaml`. */
  readonly file: string;
  readonly document: DefinitionDocument;
}

/** A CustomResourceDefinition, apiextensions.k8s.io/v1. */
export interface DefinitionDocument {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: object;
  readonly spec: {
    readonly group: string;
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
      readonly categories: readonly string[];
    };
    readonly scope: string;
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly additionalPrinterColumns: readonly Column[];
      readonly schema: { readonly openAPIV3Schema: StructuralSchema };
      readonly subresources: object;
    }[];
  };
}

interface Column {
  readonly name: string;
  readonly type: "string" | "date";
  readonly jsonPath: string;
  readonly description?: string;
}

/** As Istio names and shows them. Telemetry is stored in the older version there, and what is stored once cannot be read back in another. */
const NAMES: Readonly<Record<string, { readonly plural: string; readonly short?: string; readonly columns?: readonly (readonly [string, string])[] }>> = {
  VirtualService: {
    plural: "virtualservices",
    short: "vs",
    columns: [
      ["Gateways", ".spec.gateways"],
      ["Hosts", ".spec.hosts"],
    ],
  },
  DestinationRule: { plural: "destinationrules", short: "dr", columns: [["Host", ".spec.host"]] },
  Gateway: { plural: "gateways", short: "gw" },
  ServiceEntry: {
    plural: "serviceentries",
    short: "se",
    columns: [
      ["Hosts", ".spec.hosts"],
      ["Location", ".spec.location"],
      ["Resolution", ".spec.resolution"],
    ],
  },
  WorkloadEntry: { plural: "workloadentries", short: "we", columns: [["Address", ".spec.address"]] },
  WorkloadGroup: { plural: "workloadgroups", short: "wg" },
  Sidecar: { plural: "sidecars" },
  EnvoyFilter: { plural: "envoyfilters" },
  ProxyConfig: { plural: "proxyconfigs" },
  AuthorizationPolicy: { plural: "authorizationpolicies", short: "ap", columns: [["Action", ".spec.action"]] },
  PeerAuthentication: { plural: "peerauthentications", short: "pa", columns: [["Mode", ".spec.mtls.mode"]] },
  RequestAuthentication: { plural: "requestauthentications", short: "ra" },
  Telemetry: { plural: "telemetries", short: "telemetry" },
  WasmPlugin: { plural: "wasmplugins" },
  TrafficExtension: { plural: "trafficextensions" },
  MeshConfig: { plural: "meshconfigs" },
  LocalRun: { plural: "localruns" },
};

/** All definitions, by the name of their file. A new kind without a name here throws. */
export function resourceDefinitions(): readonly ResourceDefinition[] {
  return KNOWN_KINDS.filter(({ group }) => group.includes(".")).map(definitionOf);
}

/** The files, by name. */
export function definitionTexts(): ReadonlyMap<string, string> {
  const head = "# Made of control-plane/model by `npm run crds`; do not edit.\n";
  return new Map(resourceDefinitions().map(({ file, document }) => [file, head + stringify(document, { lineWidth: 0, aliasDuplicateObjects: false })]));
}

function definitionOf(known: KnownKind): ResourceDefinition {
  const { kind, group, versions, namespaced } = known;
  const names = NAMES[kind];
  if (names === undefined) throw new Error(`${kind} has no plural`);
  const columns: Column[] = (names.columns ?? []).map(([name, jsonPath]) => ({ name, type: "string", jsonPath }));
  if (kind !== "LocalRun") columns.push(PROGRAMMED);
  const stored = kind === "Telemetry" ? "v1alpha1" : versions[0];
  return {
    file: `${names.plural}.${group}.yaml`,
    document: {
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: `${names.plural}.${group}`, labels: { "app.kubernetes.io/part-of": "weft" } },
      spec: {
        group,
        names: {
          kind,
          listKind: `${kind}List`,
          plural: names.plural,
          singular: kind.toLowerCase(),
          ...(names.short === undefined ? {} : { shortNames: [names.short] }),
          categories: group.endsWith(".istio.io") ? ["istio-io", `${group.split(".")[0]}-istio-io`] : ["weft"],
        },
        scope: namespaced ? "Namespaced" : "Cluster",
        versions: versions.map((name, index) => ({
          name,
          served: true,
          storage: name === stored,
          additionalPrinterColumns: [...columns, AGE],
          // The others are explained by the first: each description once.
          schema: { openAPIV3Schema: documentSchema(known, index === 0) },
          subresources: { status: {} },
        })),
      },
    },
  };
}

const PROGRAMMED: Column = {
  name: "Programmed",
  type: "string",
  jsonPath: ".status.conditions[?(@.type=='Programmed')].status",
  description: "Whether every proxy that it concerns has it.",
};
const AGE: Column = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };

function documentSchema({ kind, schema }: KnownKind, isExplained: boolean): StructuralSchema {
  const spec = schemaAt(schema, ["spec"]);
  if (spec === undefined) throw new Error(`${kind} has no spec`);
  const said: Said = { description: (path) => (isExplained ? descriptionOf(kind, path) : undefined), validations: (path) => validationsOf(kind, path) };
  const specSchema = structuralSchema(spec, [], said);
  const { description } = specSchema;
  return {
    ...(description === undefined ? {} : { description }),
    type: "object",
    properties: { spec: specSchema, status: STATUS },
    ...(schema.safeParse({ apiVersion: "", kind: "", metadata: { name: "x" } }).success ? {} : { required: ["spec"] }),
  };
}

/** Written by the control plane. Other programs' conditions stay. */
const STATUS: StructuralSchema = {
  description: "What the control plane has made of it.",
  type: "object",
  properties: {
    observedGeneration: { description: "The generation that this status is about.", type: "integer", format: "int64" },
    conditions: {
      description: "`Accepted`: it is right. `Programmed`: every proxy that it concerns has it.",
      type: "array",
      items: {
        type: "object",
        properties: {
          type: { description: "`Accepted`, `Programmed`, or another program's.", type: "string" },
          status: { description: "`True`, `False` or `Unknown`.", type: "string" },
          observedGeneration: { description: "The generation that this condition is about.", type: "integer", format: "int64" },
          lastTransitionTime: { description: "When the status last changed.", type: "string" },
          reason: { description: "One word.", type: "string" },
          message: { description: "A sentence for people.", type: "string" },
        },
        "x-kubernetes-preserve-unknown-fields": true,
      },
    },
  },
  "x-kubernetes-preserve-unknown-fields": true,
};
