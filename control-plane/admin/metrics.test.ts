import { describe, expect, it } from "vitest";
import type { Diagnostic } from "../model/diagnostic.ts";
import type { ProxyReport } from "../xds/proxy-state.ts";
import { createCounters, type MetricsState, metricsText } from "./metrics.ts";

function proxy(proxyId: string, connected: boolean, upToDate: boolean): ProxyReport {
  return { proxyId, connected, upToDate, ackedRevision: 1, nacks: 0, targetRevision: 1, responsesSent: 2, resourcesSent: 3, removalsSent: 0, bytesSent: 100 };
}

const NOTHING: MetricsState = {
  counters: createCounters().read(),
  proxies: [],
  diagnostics: [],
  quarantined: 0,
  certificates: [],
  residentBytes: 1,
  cpuSeconds: 1,
};

function linesOf(state: Partial<MetricsState>, name: string): readonly string[] {
  return metricsText({ ...NOTHING, ...state })
    .split("\n")
    .filter((line) => line.startsWith(name));
}

describe("metrics of the control plane", () => {
  it("counts proxies by how far they are", () => {
    const proxies = [proxy("a", true, true), proxy("b", true, false), proxy("c", false, false), proxy("d", true, true)];
    expect(linesOf({ proxies }, "weft_proxies")).toEqual([
      'weft_proxies{state="up_to_date"} 2',
      'weft_proxies{state="behind"} 1',
      'weft_proxies{state="disconnected"} 1',
    ]);
    expect(linesOf({ proxies }, "weft_stream_bytes")).toEqual(["weft_stream_bytes 400"]);
  });

  it("puts publications into the buckets that hold them", () => {
    const counters = createCounters();
    for (const elapsedMs of [10, 200, 20_000]) counters.published(elapsedMs);
    const lines = linesOf({ counters: counters.read() }, "weft_publication_duration_seconds");
    expect(lines[0]).toBe('weft_publication_duration_seconds_bucket{le="0.01"} 1');
    expect(lines.find((line) => line.includes('le="0.25"'))).toMatch(/ 2$/);
    expect(lines.slice(-4)).toEqual([
      'weft_publication_duration_seconds_bucket{le="10"} 2',
      'weft_publication_duration_seconds_bucket{le="+Inf"} 3',
      "weft_publication_duration_seconds_sum 20.21",
      "weft_publication_duration_seconds_count 3",
    ]);
  });

  it("counts refusals and filters that died", () => {
    const counters = createCounters();
    counters.refused();
    counters.filterDied();
    expect(linesOf({ counters: counters.read() }, "weft_refusals_total")).toEqual(["weft_refusals_total 1"]);
    expect(linesOf({ counters: counters.read() }, "weft_filter_deaths_total")).toEqual(["weft_filter_deaths_total 1"]);
  });

  it("says of each kind of certificate when the first ends, and nothing where there is none", () => {
    const certificates = [
      { kind: "proxy", notAfter: "1970-01-01T00:02:00.000Z" },
      { kind: "proxy", notAfter: "1970-01-01T00:01:00.000Z" },
      { kind: "root", notAfter: "1970-01-02T00:00:00.000Z" },
    ] as const;
    expect(linesOf({ certificates }, "weft_certificate_expiry")).toEqual([
      'weft_certificate_expiry_timestamp_seconds{kind="root"} 86400',
      'weft_certificate_expiry_timestamp_seconds{kind="proxy"} 60',
    ]);
    expect(metricsText(NOTHING)).not.toContain("certificate");
  });

  it("counts diagnostics by severity", () => {
    const found = (severity: Diagnostic["severity"]): Diagnostic => ({
      code: "WEFT0000",
      severity,
      what: "",
      fix: "",
      origin: { file: "", line: 1, column: 1 },
    });
    expect(linesOf({ diagnostics: [found("error"), found("warning"), found("warning")] }, "weft_diagnostics")).toEqual([
      'weft_diagnostics{severity="error"} 1',
      'weft_diagnostics{severity="warning"} 2',
    ]);
  });
});
