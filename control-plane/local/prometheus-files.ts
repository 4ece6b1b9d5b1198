// What a Prometheus needs to scrape the mesh of `weft up`: `prometheus.yml` and the targets that it names, in the state folder, kept as the mesh changes.
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ReadyAnswer } from "./api.ts";

/** In the state folder. */
const CONFIGURATION = "prometheus.yml";
const TARGETS = "prometheus-targets.json";

/** One scrape target. Source: Prometheus, "Configuration", file_sd_config; labels with two underscores say how it is asked. */
export interface PrometheusTarget {
  readonly targets: readonly [hostAndPort: string];
  readonly labels: Readonly<Record<string, string>>;
}

/** Of the answer of `GET /ready`. */
type Scraped = Pick<ReadyAnswer, "workloads" | "gateways" | "controlPlane">;

/** Of an Envoy's statistics those that count traffic by Istio's names: the rest is many times as much. */
const TRAFFIC = { __metrics_path__: "/stats/prometheus", __param_filter: "^istio\\." } as const;

/** The sidecars, the gateways, and the control plane, in this order. */
export function prometheusTargets({ workloads, gateways, controlPlane }: Scraped): readonly PrometheusTarget[] {
  const proxies = [
    ...workloads.map(({ sidecar, namespace }) => ({ ...sidecar, namespace })),
    ...gateways.map(({ id, namespace, admin }) => ({ id, namespace, admin })),
  ];
  return [
    ...proxies.filter(({ admin }) => admin !== "").map(({ id, namespace, admin }) => target(admin, { ...TRAFFIC, instance: id, namespace })),
    target(controlPlane.admin, { __metrics_path__: "/metrics", instance: "weft-control-plane" }),
  ];
}

function target(url: string, labels: PrometheusTarget["labels"]): PrometheusTarget {
  return { targets: [new URL(url).host], labels };
}

/** Prometheus finds the targets beside it, and reads them again when they change. */
export const PROMETHEUS_CONFIGURATION = `# prometheus --config.file=${CONFIGURATION}
# Written by \`weft up\`; the targets change with the mesh and need no reload.
global:
  scrape_interval: 15s
scrape_configs:
  - job_name: weft
    file_sd_configs:
      - files: [${TARGETS}]
    metric_relabel_configs:
      # Envoy's own beginning of every name.
      - source_labels: [__name__]
        regex: envoy_(istio_.*)
        target_label: __name__
`;

export interface PrometheusFiles {
  /** Writes what has changed. Calls that come while it writes are one more write. */
  readonly update: () => void;
}

/** Keeps the files of a state folder as `ready` says. A file that cannot be written is told, and nothing else. */
export function createPrometheusFiles(stateFolder: string, ready: () => Scraped, onError: (error: Error) => void): PrometheusFiles {
  let written = "";
  let [writing, again] = [false, false];
  const write = async (): Promise<void> => {
    const text = `${JSON.stringify(prometheusTargets(ready()), undefined, 2)}\n`;
    if (text === written) return;
    if (written === "") await replace(join(stateFolder, CONFIGURATION), PROMETHEUS_CONFIGURATION);
    await replace(join(stateFolder, TARGETS), text);
    written = text;
  };
  const update = (): void => {
    again = writing;
    if (writing) return;
    writing = true;
    write()
      .catch(onError)
      .finally(() => {
        writing = false;
        if (again) update();
      });
  };
  return { update };
}

/** Prometheus never sees half of a file. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
