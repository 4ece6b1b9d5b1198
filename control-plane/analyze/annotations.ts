// Istio's annotations on Kubernetes' kinds: unknown, misplaced, invalid, deprecated (IST0107, IST0108, IST0125, IST0135) or alpha (IST0136).
// Source: Istio analyzers/annotations and analyzers/maturity.
import type { Severity } from "../model/diagnostic.ts";
import { nearest } from "../model/nearest.ts";
import { annotationFault } from "./annotation-values.ts";
import type { Finding } from "./finding.ts";
import { type AnalysisInput, documentsOf, type Subject } from "./input.ts";
import { ISTIO_ANNOTATIONS, isIstioAnnotation } from "./istio-annotations.ts";

/** Istio sets these itself. */
const SET_BY_ISTIO: ReadonlySet<string> = new Set(["sidecar.istio.io/status", "gateway.istio.io/controller-version", "istio.io/rev"]);
/** Istio's network plugin sets these on pods that have no `istio-init` container. */
const SET_BY_PLUGIN: ReadonlySet<string> = new Set([
  "sidecar.istio.io/interceptionMode",
  "traffic.sidecar.istio.io/includeInboundPorts",
  "traffic.sidecar.istio.io/excludeInboundPorts",
  "traffic.sidecar.istio.io/includeOutboundIPRanges",
]);
const INJECT = "sidecar.istio.io/inject";

/** What has the annotations that Istio looks at. */
function annotated(input: AnalysisInput): readonly (Subject & { readonly labels: Readonly<Record<string, string>> })[] {
  const pods = documentsOf(input, "", "Pod");
  return [...documentsOf(input, "", "Namespace"), ...input.services, ...pods, ...input.deployments];
}

/** Annotations that are wrong where they stand. */
export function annotations(input: AnalysisInput): readonly Finding[] {
  return annotated(input).flatMap((subject) =>
    Object.entries(subject.annotations)
      .filter(([name]) => isIstioAnnotation(name) && !SET_BY_ISTIO.has(name))
      .flatMap(([name, value]) => check(subject, name, value)),
  );
}

function check(subject: Subject & { readonly labels: Readonly<Record<string, string>> }, name: string, value: string): readonly Finding[] {
  const at = (code: string, severity: Severity, what: string, fix: string): Finding => ({
    code,
    severity,
    subject,
    path: ["metadata", "annotations", name],
    what,
    fix,
  });
  const known = ISTIO_ANNOTATIONS.get(name);
  if (known === undefined) {
    const meant = nearest(name, ISTIO_ANNOTATIONS.keys());
    return [at("IST0108", "warning", `Istio has no annotation "${name}"`, meant === undefined ? "remove it" : `did you mean \`${meant}\``)];
  }
  const isKept = name === INJECT && subject.labels[INJECT] !== undefined;
  const deprecated =
    known.isDeprecated !== true || isKept
      ? []
      : [at("IST0135", "info", `the annotation ${name} is deprecated`, name === INJECT ? `use the label ${INJECT}` : "remove it")];
  if (known.on.includes("Any")) return deprecated;
  if (!known.on.includes(subject.kind))
    return [...deprecated, at("IST0107", "warning", `${name} means nothing on a ${subject.kind}`, `put it on a ${known.on.join(" or ")}`)];
  const fault = annotationFault(name, value);
  return fault === undefined ? deprecated : [...deprecated, at("IST0125", "warning", `the annotation ${name} cannot be "${value}"`, fault)];
}

/** Annotations of features that may still change. */
export function alphaAnnotations(input: AnalysisInput): readonly Finding[] {
  const byPlugin = new Set(
    input.pods.filter(({ kind, spec }) => kind === "Pod" && !spec.initContainers.some(({ name }) => name === "istio-init")).map(({ locate }) => locate),
  );
  return annotated(input).flatMap((subject) =>
    Object.keys(subject.annotations)
      .filter((name) => ISTIO_ANNOTATIONS.get(name)?.isAlpha === true && isIstioAnnotation(name) && !SET_BY_ISTIO.has(name))
      .filter((name) => !(SET_BY_PLUGIN.has(name) && byPlugin.has(subject.locate)))
      .map(
        (name): Finding => ({
          code: "IST0136",
          severity: "info",
          subject,
          path: ["metadata", "annotations", name],
          what: `the annotation ${name} belongs to an alpha feature`,
          fix: "expect that it may change; nothing to do now",
        }),
      ),
  );
}
