// What proxies count, as the MeshConfig says.
import type { MeshConfigSpec } from "../model/mesh-config.ts";
import type { Proxy } from "./instance.ts";

const CHANGED = new WeakMap<Proxy, Map<MeshConfigSpec["metrics"], Proxy>>();

/** The proxies, none of which counts more than `metrics` says. A proxy that is as it is to be stays the same object, and a changed one is always the same. */
export function countingProxies(proxies: readonly Proxy[], metrics: MeshConfigSpec["metrics"]): Proxy[] {
  return proxies.map((proxy) => {
    if (proxy.metrics === undefined || metrics === "all" || metrics === proxy.metrics) return proxy;
    const variants = CHANGED.get(proxy) ?? new Map<MeshConfigSpec["metrics"], Proxy>();
    CHANGED.set(proxy, variants);
    const changed = variants.get(metrics) ?? counting(proxy, metrics);
    variants.set(metrics, changed);
    return changed;
  });
}

function counting({ metrics: _, ...proxy }: Proxy, metrics: "requests" | "none"): Proxy {
  return metrics === "none" ? proxy : { ...proxy, metrics };
}
