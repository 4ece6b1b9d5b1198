// What the control plane tells Prometheus about itself: counts that it keeps, and what stands now, in; the text of `/metrics` out. Pure but for the counters.
// Source: Prometheus, "Exposition formats", text format 0.0.4.
import type { CertificateRow } from "../local/protocol.ts";
import type { Diagnostic } from "../model/diagnostic.ts";
import type { ProxyReport } from "../xds/proxy-state.ts";

/** Counts since the process started. */
export interface ControlPlaneCounters {
  /** A snapshot was made and given to the proxies. */
  readonly published: (elapsedMs: number) => void;
  /** A proxy refused a resource that was sent alone. */
  readonly refused: () => void;
  /** A proxy's filter has failed, and it got a fresh one. */
  readonly filterDied: () => void;
  readonly read: () => CountersRead;
}

interface CountersRead {
  readonly publications: number;
  readonly publicationMs: number;
  /** Publications that took no longer than each of {@link BOUNDS_SECONDS}. */
  readonly within: readonly number[];
  readonly refusals: number;
  readonly filterDeaths: number;
}

/** Of the time that a publication takes. */
const BOUNDS_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** Starts at nothing. */
export function createCounters(): ControlPlaneCounters {
  let [publications, publicationMs, refusals, filterDeaths] = [0, 0, 0, 0];
  const within = BOUNDS_SECONDS.map(() => 0);
  return {
    published: (elapsedMs) => {
      publications += 1;
      publicationMs += elapsedMs;
      for (const [index, bound] of BOUNDS_SECONDS.entries()) if (elapsedMs <= bound * 1_000) within[index] = (within[index] ?? 0) + 1;
    },
    refused: () => {
      refusals += 1;
    },
    filterDied: () => {
      filterDeaths += 1;
    },
    read: () => ({ publications, publicationMs, within: [...within], refusals, filterDeaths }),
  };
}

/** What stands when it is asked. */
export interface MetricsState {
  readonly counters: CountersRead;
  readonly proxies: readonly ProxyReport[];
  readonly diagnostics: readonly Diagnostic[];
  /** Resources that proxies refused, and that stay back until what they are made of changes. */
  readonly quarantined: number;
  /** Empty in a mesh without certificates. */
  readonly certificates: readonly Pick<CertificateRow, "kind" | "notAfter">[];
  readonly residentBytes: number;
  readonly cpuSeconds: number;
}

type Labels = Readonly<Record<string, string>>;
interface Sample {
  readonly suffix?: string;
  readonly labels?: Labels;
  readonly value: number;
}

/** The whole text. Labels have few values whatever the size of the mesh: which proxy is behind stands in `weft proxy-status`. */
export function metricsText({ counters, proxies, diagnostics, quarantined, certificates, residentBytes, cpuSeconds }: MetricsState): string {
  const count = (holds: (proxy: ProxyReport) => boolean): number => proxies.filter(holds).length;
  const sum = (field: "responsesSent" | "resourcesSent" | "bytesSent"): number => proxies.reduce((total, proxy) => total + proxy[field], 0);
  return [
    metric("weft_proxies", "gauge", "Proxies of the mesh, by how far they are.", [
      { labels: { state: "up_to_date" }, value: count(({ upToDate }) => upToDate) },
      { labels: { state: "behind" }, value: count(({ upToDate, connected }) => connected && !upToDate) },
      { labels: { state: "disconnected" }, value: count(({ connected }) => !connected) },
    ]),
    metric("weft_publication_duration_seconds", "histogram", "From a change to what proxies are sent of it.", durationSamples(counters)),
    metric("weft_stream_responses", "gauge", "Responses sent on the streams that are open.", [{ value: sum("responsesSent") }]),
    metric("weft_stream_resources", "gauge", "Resources sent on the streams that are open.", [{ value: sum("resourcesSent") }]),
    metric("weft_stream_bytes", "gauge", "Bytes sent on the streams that are open.", [{ value: sum("bytesSent") }]),
    metric("weft_refusals_total", "counter", "Resources that a proxy refused when they were sent alone.", [{ value: counters.refusals }]),
    metric("weft_quarantined_resources", "gauge", "Refused resources that are held back.", [{ value: quarantined }]),
    metric("weft_filter_deaths_total", "counter", "Filters that failed in a proxy and were replaced.", [{ value: counters.filterDeaths }]),
    metric(
      "weft_diagnostics",
      "gauge",
      "What is said about the resources now.",
      (["error", "warning"] as const).map((severity) => ({ labels: { severity }, value: diagnostics.filter((found) => found.severity === severity).length })),
    ),
    metric("weft_certificate_expiry_timestamp_seconds", "gauge", "When the first certificate of each kind ends.", expirySamples(certificates)),
    metric("process_resident_memory_bytes", "gauge", "Resident memory.", [{ value: residentBytes }]),
    metric("process_cpu_seconds_total", "counter", "CPU, user and system.", [{ value: cpuSeconds }]),
  ].join("");
}

function durationSamples({ publications, publicationMs, within }: CountersRead): readonly Sample[] {
  return [
    ...BOUNDS_SECONDS.map((bound, index) => ({ suffix: "_bucket", labels: { le: String(bound) }, value: within[index] ?? 0 })),
    { suffix: "_bucket", labels: { le: "+Inf" }, value: publications },
    { suffix: "_sum", value: publicationMs / 1_000 },
    { suffix: "_count", value: publications },
  ];
}

function expirySamples(certificates: MetricsState["certificates"]): readonly Sample[] {
  return (["root", "control-plane", "proxy"] as const).flatMap((kind) => {
    const ends = certificates.filter((row) => row.kind === kind).map(({ notAfter }) => Date.parse(notAfter) / 1_000);
    return ends.length === 0 ? [] : [{ labels: { kind }, value: Math.min(...ends) }];
  });
}

function metric(name: string, type: "gauge" | "counter" | "histogram", help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return "";
  const lines = samples.map(({ suffix = "", labels = {}, value }) => {
    const text = Object.entries(labels).map(([label, is]) => `${label}="${is}"`);
    return `${name}${suffix}${text.length === 0 ? "" : `{${text.join(",")}}`} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}
