// A zod schema of our model as the structural OpenAPI v3 schema of a CustomResourceDefinition: what may be written goes in, not what is read of it. Pure.
// Source: Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions", structural schemas.
import { z } from "zod";
import { durationMs, stringMatch } from "../../model/fields.ts";

/** A schema as JSON, fields in the order in which they are to be printed. */
export interface StructuralSchema {
  readonly description?: string;
  readonly type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  readonly format?: "int32" | "int64" | "double";
  readonly enum?: readonly (string | number)[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly nullable?: true;
  readonly items?: StructuralSchema;
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: StructuralSchema;
  readonly not?: { readonly anyOf: readonly { readonly required: readonly string[] }[] };
  readonly "x-kubernetes-int-or-string"?: true;
  readonly "x-kubernetes-preserve-unknown-fields"?: true;
  readonly "x-kubernetes-validations"?: readonly { readonly rule: string; readonly message: string }[];
}

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Anything: Kubernetes keeps it as it is. */
const ANYTHING: StructuralSchema = { "x-kubernetes-preserve-unknown-fields": true };
/** Kubernetes' regular expressions are RE2. Go's durations, and `0`. */
const DURATION_PATTERN = "^(0|([0-9]+(\\.[0-9]+)?(h|m|s|ms|us|µs|ns))+)$";
/** zod says of each whole number that JavaScript can hold it. */
const INT32 = 2_147_483_647;

/** What may be said of a field besides its schema; `path` has the names of fields, `*` for items and values. */
export interface Said {
  readonly description?: (path: readonly string[]) => string | undefined;
  readonly validations?: (path: readonly string[]) => readonly { readonly rule: string; readonly message: string }[];
}

/** The schema of one field of a document. Throws where the model has something that a CRD cannot say. */
export function structuralSchema(schema: z.core.$ZodType, path: readonly string[], said: Said): StructuralSchema {
  const json = z.toJSONSchema(schema, {
    io: "input",
    target: "openapi-3.0",
    unrepresentable: "any",
    reused: "inline",
    cycles: "ref",
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema === durationMs) jsonSchema.pattern = DURATION_PATTERN;
      if (zodSchema === stringMatch) jsonSchema.not = { anyOf: pairs(Object.keys(jsonSchema.properties ?? {})) };
    },
  });
  return structural(json, path, said);
}

/** Of these fields one may be written at most. */
function pairs(names: readonly string[]): { readonly required: string[] }[] {
  return names.flatMap((name, index) => names.slice(index + 1).map((other) => ({ required: [name, other] })));
}

function structural(json: JsonSchema, path: readonly string[], said: Said): StructuralSchema {
  const description = said.description?.(path);
  const validations = said.validations?.(path) ?? [];
  return {
    ...(description === undefined ? {} : { description }),
    ...shape(json, path, said),
    ...(validations.length === 0 ? {} : { "x-kubernetes-validations": validations }),
  };
}

function shape(json: JsonSchema, path: readonly string[], said: Said): StructuralSchema {
  if (json.$ref !== undefined) return ANYTHING;
  if (json.anyOf !== undefined) return choice(json.anyOf, path, said);
  const nullable = json.nullable === true ? { nullable: true as const } : {};
  switch (json.type) {
    case "object":
      return { ...objectShape(json, path, said), ...nullable };
    case "array": {
      const { items } = json;
      if (items === undefined || Array.isArray(items) || typeof items === "boolean") throw new Error(`${path.join(".")}: a list of what?`);
      return { type: "array", items: shape(items, [...path, "*"], said), ...bounds({ minItems: json.minItems }), ...nullable };
    }
    case "string":
      return {
        type: "string",
        ...(json.enum === undefined ? {} : { enum: json.enum.filter(isText) }),
        ...(typeof json.const === "string" ? { enum: [json.const] } : {}),
        ...(json.pattern === undefined ? {} : { pattern: json.pattern }),
        ...bounds({ minLength: json.minLength, maxLength: json.maxLength }),
        ...nullable,
      };
    case "integer":
      return { type: "integer", ...wholeNumber(json), ...nullable };
    case "number":
      return { type: "number", format: "double", ...bounds({ minimum: json.minimum, maximum: json.maximum }), ...nullable };
    case "boolean":
      return { type: "boolean", ...nullable };
    case undefined:
      return ANYTHING;
    default:
      throw new Error(`${path.join(".")}: a CRD cannot say ${String(json.type)}`);
  }
}

function objectShape(json: JsonSchema, path: readonly string[], said: Said): StructuralSchema {
  const { properties, required = [], additionalProperties, not } = json;
  if (properties === undefined || Object.keys(properties).length === 0) {
    const isMap = typeof additionalProperties === "object" && Object.keys(additionalProperties).length > 0;
    if (isMap) return { type: "object", additionalProperties: shape(additionalProperties, [...path, "*"], said) };
    return additionalProperties === false ? { type: "object" } : { type: "object", ...ANYTHING };
  }
  const entries = Object.entries(properties).flatMap(([name, field]) =>
    typeof field === "boolean" ? [] : [[name, structural(field, [...path, name], said)] as const],
  );
  return {
    type: "object",
    properties: Object.fromEntries(entries),
    ...(required.length === 0 ? {} : { required }),
    ...(isExclusion(not) ? { not } : {}),
    ...(additionalProperties === false || additionalProperties === undefined ? {} : ANYTHING),
  };
}

/** Kubernetes knows one choice of types, and that a value may be null. */
function choice(options: readonly JsonSchema[], path: readonly string[], said: Said): StructuralSchema {
  const isNull = (option: JsonSchema): boolean => option.type === "null" || (Array.isArray(option.enum) && option.enum.length === 1 && option.enum[0] === null);
  const others = options.filter((option) => !isNull(option));
  const types = new Set(others.map(({ type }) => type));
  if (types.size === 2 && types.has("string") && (types.has("integer") || types.has("number"))) return { "x-kubernetes-int-or-string": true };
  const [only] = others;
  if (only === undefined || others.length > 1) return ANYTHING;
  return { ...shape(only, path, said), ...(others.length < options.length ? { nullable: true as const } : {}) };
}

function wholeNumber({ minimum, maximum }: JsonSchema): Pick<StructuralSchema, "format" | "minimum" | "maximum"> {
  const written = { minimum: minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum, maximum: maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum };
  const isInt32 = (written.minimum ?? 0) >= -INT32 - 1 && (written.maximum ?? INT32) <= INT32;
  return { format: isInt32 && maximum !== Number.MAX_SAFE_INTEGER ? "int32" : "int64", ...bounds(written) };
}

/** Those that are set. */
function bounds<Name extends string>(values: Readonly<Record<Name, number | undefined>>): Partial<Record<Name, number>> {
  const set: Partial<Record<Name, number>> = {};
  for (const name of Object.keys(values)) if (isNameOf(values, name) && values[name] !== undefined) set[name] = values[name];
  return set;
}

function isNameOf<Name extends string>(values: Readonly<Record<Name, unknown>>, name: string): name is Name {
  return name in values;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isExclusion(value: unknown): value is NonNullable<StructuralSchema["not"]> {
  return typeof value === "object" && value !== null && "anyOf" in value;
}
