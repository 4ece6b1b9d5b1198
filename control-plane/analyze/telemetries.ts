// Telemetries that select nothing (IST0101), the same pod (IST0159), a whole namespace twice (IST0160), or no provider (IST0157, IST0002).
// Source: Istio analyzers/telemetry.
import type { Telemetry } from "../model/resource.ts";
import { type Finding, notFound } from "./finding.ts";
import type { AnalysisInput, Pod } from "./input.ts";
import { selectorText, selects } from "./selection.ts";

export function telemetrySelectors({ telemetries, pods }: AnalysisInput): readonly Finding[] {
  const selecting = telemetries.filter(({ spec }) => Object.keys(spec.selector?.matchLabels ?? {}).length > 0);
  const selected = ({ namespace, spec }: Telemetry): readonly Pod[] =>
    pods.filter((pod) => pod.namespace === namespace && selects(spec.selector?.matchLabels ?? {}, pod.labels));
  return selecting.flatMap((telemetry) => {
    const own = selected(telemetry);
    if (own.length === 0) {
      const what = `no workload of namespace ${telemetry.namespace} has the labels ${selectorText(telemetry.spec.selector?.matchLabels ?? {})}`;
      return [notFound(telemetry, ["spec", "selector", "matchLabels"], what, "correct the labels, or start the workload")];
    }
    return own.flatMap((pod): readonly Finding[] => {
      const others = selecting.filter((other) => other !== telemetry && selected(other).includes(pod)).map(({ name }) => name);
      if (others.length === 0) return [];
      const what = `${pod.kind} ${pod.namespace}/${pod.name} is selected by ${others.sort().join(", ")} as well, and one of them counts`;
      return [
        { code: "IST0159", severity: "error", subject: telemetry, path: ["metadata", "name"], what, fix: "let each workload be selected by one Telemetry" },
      ];
    });
  });
}

/** More than one for a whole namespace. */
export function telemetryDefaults({ telemetries }: AnalysisInput): readonly Finding[] {
  const wide = telemetries.filter(({ spec }) => spec.selector === undefined);
  return wide.flatMap((telemetry): readonly Finding[] => {
    const others = wide.filter((other) => other !== telemetry && other.namespace === telemetry.namespace).map(({ name }) => name);
    if (others.length === 0) return [];
    const what = `${others.sort().join(", ")} is for the whole namespace ${telemetry.namespace} as well, and one of them counts`;
    return [{ code: "IST0160", severity: "error", subject: telemetry, path: ["metadata", "name"], what, fix: "keep one Telemetry without selector" }];
  });
}

/** Access logs that nobody writes, where the mesh names no default. */
export function telemetryProviders({ telemetries, mesh }: AnalysisInput): readonly Finding[] {
  if (mesh.hasDefaultAccessLog) return [];
  return telemetries.flatMap((telemetry) =>
    telemetry.spec.accessLogging
      .map((logging, index) => ({ logging, index }))
      .filter(({ logging }) => logging.disabled !== true && logging.providers.length === 0)
      .map(({ index }): Finding => {
        const what = "the access log has no provider, neither here nor in the MeshConfig, and is not written";
        return {
          code: "IST0157",
          severity: "warning",
          subject: telemetry,
          path: ["spec", "accessLogging", index],
          what,
          fix: "add `providers: [{name: envoy}]`",
        };
      }),
  );
}

/** Tracers that Istio has dropped. */
export function telemetryTracers({ telemetries, mesh }: AnalysisInput): readonly Finding[] {
  const dropped = new Set(mesh.extensionProviders.filter((provider) => provider.lightstep !== undefined).map(({ name }) => name));
  return telemetries.flatMap((telemetry) =>
    telemetry.spec.tracing.flatMap(({ providers }, index) =>
      providers
        .filter(({ name }) => dropped.has(name))
        .map(({ name }): Finding => {
          const path = ["spec", "tracing", index, "providers"];
          return {
            code: "IST0002",
            severity: "warning",
            subject: telemetry,
            path,
            what: `the provider ${name} is of Lightstep, which is deprecated`,
            fix: "use OpenTelemetry",
          };
        }),
    ),
  );
}
