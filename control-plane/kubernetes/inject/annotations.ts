// What Istio's annotations say of a proxy: read where Weft has the same, named where it has not. Source: istio.io/docs/reference/config/annotations.
import { parse } from "yaml";
import { z } from "zod";
import { annotationFault } from "../../analyze/annotation-values.ts";
import { ISTIO_ANNOTATIONS } from "../../analyze/istio-annotations.ts";
import type { ProxyWishes } from "./proxy-container.ts";
import type { InjectionSettings } from "./settings.ts";

export interface ReadAnnotations {
  readonly wishes: Omit<ProxyWishes, "bootstrap" | "workload">;
  readonly rewriteProbes: boolean;
  readonly warnings: readonly string[];
}

/** Read here or elsewhere in injection, or by translation. */
const READ: ReadonlySet<string> = new Set([
  "sidecar.istio.io/inject",
  "sidecar.istio.io/rewriteAppHTTPProbers",
  "sidecar.istio.io/proxyImage",
  "sidecar.istio.io/proxyCPU",
  "sidecar.istio.io/proxyCPULimit",
  "sidecar.istio.io/proxyMemory",
  "sidecar.istio.io/proxyMemoryLimit",
  "sidecar.istio.io/logLevel",
  "sidecar.istio.io/componentLogLevel",
  "proxy.istio.io/config",
  "inject.istio.io/templates",
  "istio.io/rev",
  "galley.istio.io/analyze-suppress",
  "traffic.sidecar.istio.io/includeInboundPorts",
  "traffic.sidecar.istio.io/excludeInboundPorts",
  "traffic.sidecar.istio.io/includeOutboundIPRanges",
  "traffic.sidecar.istio.io/excludeOutboundIPRanges",
  "traffic.sidecar.istio.io/includeOutboundPorts",
  "traffic.sidecar.istio.io/excludeOutboundPorts",
  "traffic.sidecar.istio.io/excludeInterfaces",
]);
/** Says what is so anyway. */
const ALWAYS_SO: ReadonlyMap<string, string> = new Map([
  ["sidecar.istio.io/nativeSidecar", "true"],
  ["sidecar.istio.io/interceptionMode", "REDIRECT"],
  ["status.sidecar.istio.io/port", "15021"],
]);

const proxyConfig = z.looseObject({ concurrency: z.number().int().min(0).optional() });
/** Fields of `proxy.istio.io/config` that need nothing done: native sidecars hold the application as it is. */
const CONFIG_FIELDS: ReadonlySet<string> = new Set(["concurrency", "holdApplicationUntilProxyStarts"]);

/** What a pod's annotations ask for, over what the settings say. */
export function readAnnotations(annotations: Readonly<Record<string, string>>, settings: InjectionSettings): ReadAnnotations {
  const warnings: string[] = [];
  const read = (name: string): string | undefined => {
    const value = annotations[`sidecar.istio.io/${name}`];
    const fix = value === undefined ? undefined : annotationFault(`sidecar.istio.io/${name}`, value);
    if (fix === undefined) return value;
    warnings.push(`the annotation sidecar.istio.io/${name} says ${JSON.stringify(value)} and counts as not written: ${fix}`);
    return undefined;
  };
  const concurrency = concurrencyOf(annotations["proxy.istio.io/config"], warnings) ?? settings.concurrency;
  const componentLogLevel = read("componentLogLevel");
  const rewrite = annotations["sidecar.istio.io/rewriteAppHTTPProbers"];
  for (const [name, value] of Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const known = ISTIO_ANNOTATIONS.get(name);
    if (known === undefined || READ.has(name) || ALWAYS_SO.get(name) === value || !known.on.some((kind) => kind === "Pod")) continue;
    warnings.push(`the annotation ${name} is not built and does nothing`);
  }
  return {
    wishes: {
      image: read("proxyImage") ?? settings.proxyImage,
      concurrency,
      logLevel: read("logLevel") ?? settings.logLevel,
      ...(componentLogLevel === undefined ? {} : { componentLogLevel }),
      drainSeconds: 45,
      resources: resourcesOf(read, settings),
    },
    rewriteProbes: rewrite === undefined || !/^(?:0|f|F|false|FALSE|False)$/.test(rewrite),
    warnings,
  };
}

/** As Istio has it: once one of a pod's own is written, what the settings say of limits no longer counts. */
function resourcesOf(read: (name: string) => string | undefined, { requests, limits }: InjectionSettings): object {
  const own = { cpu: read("proxyCPU"), memory: read("proxyMemory") };
  const ownLimits = { cpu: read("proxyCPULimit"), memory: read("proxyMemoryLimit") };
  if ([...Object.values(own), ...Object.values(ownLimits)].every((value) => value === undefined)) return { requests, limits };
  const written = (values: Readonly<Record<string, string | undefined>>): object =>
    Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  const resources = { requests: written(own), limits: written(ownLimits) };
  return Object.fromEntries(Object.entries(resources).filter(([, values]) => Object.keys(values).length > 0));
}

function concurrencyOf(text: string | undefined, warnings: string[]): number | undefined {
  if (text === undefined) return undefined;
  try {
    const config = proxyConfig.parse(parse(text) ?? {});
    for (const field of Object.keys(config))
      if (!CONFIG_FIELDS.has(field)) warnings.push(`the field ${field} of the annotation proxy.istio.io/config is not built and does nothing`);
    // 0 means in Istio as many as the pod may use, which Envoy finds out only from the machine.
    return config.concurrency === 0 ? undefined : config.concurrency;
  } catch {
    warnings.push("the annotation proxy.istio.io/config holds no configuration of a proxy and counts as not written");
    return undefined;
  }
}
