// The bootstrap of a pod's Envoy: what is particular to the pod comes in, the text behind `--config-yaml` goes out. All replicas have the same; who they are
// stands in the arguments. Pure.
import { type BootstrapOptions, namelessBootstrap } from "../../../envoy/bootstrap.ts";
import { CONTROL_PLANE_NAME } from "../../ca/control-plane-name.ts";
import { POD_PORTS, ROOTS_FOLDER, ROOTS_SOURCE_KEY, TOKEN_SOURCE_KEY } from "../pod-contract.ts";
import { ownListeners } from "./own-listeners.ts";
import type { RewrittenProbes } from "./probes.ts";
import type { InjectionSettings } from "./settings.ts";

/** JSON in one line. `rootsFolder` is another one in tests only. */
export function podBootstrap(
  settings: Pick<InjectionSettings, "controlPlane" | "metricsEveryMs">,
  probes: Pick<RewrittenProbes, "listeners" | "clusters">,
  rootsFolder = ROOTS_FOLDER,
): string {
  const own = ownListeners();
  const options: BootstrapOptions = {
    admin: { address: "127.0.0.1", port: POD_PORTS.admin },
    xds: { address: settings.controlPlane.host, port: settings.controlPlane.port },
    identity: {
      rootsPath: `${rootsFolder}/${ROOTS_SOURCE_KEY}`,
      serverName: CONTROL_PLANE_NAME,
      tokenPath: `${rootsFolder}/${TOKEN_SOURCE_KEY}`,
      tokenPrefix: "Bearer ",
    },
    metricsEveryMs: settings.metricsEveryMs,
    own: { listeners: [...own.listeners, ...probes.listeners], clusters: [...own.clusters, ...probes.clusters] },
  };
  return JSON.stringify(namelessBootstrap(options));
}
