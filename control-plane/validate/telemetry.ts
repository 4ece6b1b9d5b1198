// A Telemetry as a whole. Source: Istio ValidateTelemetry.
import type { FieldPath, Telemetry } from "../model/resource.ts";
import { celFault } from "./cel.ts";
import { error, type Problem, warning } from "./problem.ts";
import { checkTarget } from "./selectors.ts";
import { checkDuration } from "./values.ts";

const CODE = "WEFT0379";
const SPEC: FieldPath = ["spec"];

/** Everything that a Telemetry by itself can get wrong. */
export function checkTelemetry({ spec }: Pick<Telemetry, "spec">): readonly Problem[] {
  return [
    ...checkTarget(spec),
    ...spec.metrics.flatMap((metrics, index) => checkMetrics(metrics, [...SPEC, "metrics", index])),
    ...(spec.tracing.length > 1 ? [warning(CODE, [...SPEC, "tracing"], "the first entry of tracing alone counts", "keep one")] : []),
    ...spec.tracing.flatMap((tracing, index) => checkTracing(tracing, [...SPEC, "tracing", index])),
    ...spec.accessLogging.flatMap(({ providers, filter }, index) => [
      ...checkProviders(providers, [...SPEC, "accessLogging", index]),
      ...checkFilter(filter, [...SPEC, "accessLogging", index, "filter", "expression"]),
    ]),
  ];
}

function checkProviders(providers: readonly { readonly name: string }[], path: FieldPath): readonly Problem[] {
  return providers.flatMap(({ name }, index) =>
    name === "" ? [error(CODE, [...path, "providers", index], "the provider has no name", "name it as the MeshConfig does")] : [],
  );
}

function checkMetrics({ providers, overrides, reportingInterval }: Telemetry["spec"]["metrics"][number], path: FieldPath): readonly Problem[] {
  return [
    ...checkProviders(providers, path),
    ...checkDuration(reportingInterval, [...path, "reportingInterval"]),
    ...overrides.flatMap(({ match, tagOverrides }, index) => {
      const at = [...path, "overrides", index];
      const problems: Problem[] = [];
      if (match?.customMetric === "") problems.push(error(CODE, [...at, "match", "customMetric"], "customMetric has no name", "write the metric's name"));
      if (match?.customMetric !== undefined && match.metric !== undefined)
        problems.push(error(CODE, [...at, "match"], "a match has either metric or customMetric", "remove one of them"));
      for (const [tag, { operation = "UPSERT", value = "" }] of Object.entries(tagOverrides)) {
        const tagPath = [...at, "tagOverrides", tag];
        if (tag === "") problems.push(warning(CODE, tagPath, "the tag has no name", "name it"));
        if (operation === "UPSERT" && value === "")
          problems.push(error(CODE, tagPath, `the tag ${tag} has no value`, "add `value:`, or write `operation: REMOVE`"));
        if (operation === "REMOVE" && value !== "") problems.push(error(CODE, tagPath, "a tag that is removed has no value", "remove the value"));
      }
      return problems;
    }),
  ];
}

const TAG_KINDS = ["literal", "environment", "header", "formatter"] as const;

function checkTracing({ providers, randomSamplingPercentage, customTags }: Telemetry["spec"]["tracing"][number], path: FieldPath): readonly Problem[] {
  const problems: Problem[] = [...checkProviders(providers, path)];
  if (providers.length > 1) problems.push(warning(CODE, [...path, "providers"], "the first provider alone counts", "keep one"));
  const share = randomSamplingPercentage ?? 0;
  if (share < 0 || share > 100) problems.push(error(CODE, [...path, "randomSamplingPercentage"], `a share is from 0 to 100, not ${share}`, "use a percentage"));
  for (const [name, tag] of Object.entries(customTags)) {
    const at = [...path, "customTags", name];
    const set = TAG_KINDS.filter((kind) => tag[kind] !== undefined);
    if (name === "") problems.push(error(CODE, at, "the tag has no name", "name it"));
    if (set.length !== 1)
      problems.push(
        error(CODE, at, set.length === 0 ? `the tag ${name} has no value` : `the tag ${name} has ${set.join(" and ")}`, `keep one of ${TAG_KINDS.join(", ")}`),
      );
    const { literal, environment, header } = tag;
    if (literal?.value === "" || environment?.name === "" || header?.name === "")
      problems.push(error(CODE, at, `the tag ${name} says not where its value comes from`, "add value or name"));
  }
  return problems;
}

function checkFilter(filter: { readonly expression?: string | undefined } | undefined, path: FieldPath): readonly Problem[] {
  const fault = filter === undefined ? undefined : celFault(filter.expression ?? "");
  return fault === undefined
    ? []
    : [error(CODE, path, `the filter is not CEL: ${fault}`, "write a condition such as `response.code >= 400`; see https://cel.dev")];
}
