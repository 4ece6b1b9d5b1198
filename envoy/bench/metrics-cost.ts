// What counting by labels costs: CPU of Envoy per request, of the access logger that translation makes, with all of it and with parts of it left out.
import { create, createRegistry, fromBinary, toJson } from "@bufbuild/protobuf";
import { AccessLogSchema } from "../../control-plane/gen/envoy/config/accesslog/v3/accesslog_pb.js";
import { type Config, ConfigSchema } from "../../control-plane/gen/envoy/extensions/access_loggers/stats/v3/stats_pb.js";
import { TransformStatSchema } from "../../control-plane/gen/envoy/extensions/matching/actions/transform_stat/v3/transform_stat_pb.js";
import { StatTagValueInputSchema } from "../../control-plane/gen/envoy/extensions/matching/common_inputs/stats/v3/stats_pb.js";
import type { Proxy } from "../../control-plane/mesh/instance.ts";
import { packAny } from "../../control-plane/translate/any.ts";
import { ENDPOINT_LABELS, trafficMetrics } from "../../control-plane/translate/traffic-metrics.ts";
import { httpListener, type ListenerCost, type ListenerCostOptions, measureListeners } from "./listener-cost.ts";

const PROXY: Proxy = {
  id: "product-a-1.default",
  kind: "sidecar",
  namespace: "default",
  labels: { app: "product", version: "v1" },
  workload: "product-a",
  serviceAccount: "default",
  locality: { region: "ap-northeast-2", zone: "ap-northeast-2a", subzone: "" },
  inbound: [],
  outbound: [],
  gatewayPorts: [],
  metrics: "all",
};

const REGISTRY = createRegistry(AccessLogSchema, ConfigSchema, TransformStatSchema, StatTagValueInputSchema);

/** The caller's logger as JSON, with what `change` leaves of it. */
function logs(change: (config: Config) => void): readonly object[] {
  return trafficMetrics("request", "outbound", PROXY).map((init) => {
    const log = create(AccessLogSchema, init);
    if (log.configType.case !== "typedConfig") throw new Error("the logger has no configuration");
    const config = fromBinary(ConfigSchema, log.configType.value.value);
    change(config);
    return Object(toJson(AccessLogSchema, { ...log, configType: { case: "typedConfig", value: packAny(ConfigSchema, config) } }, { registry: REGISTRY }));
  });
}

/** CPU per request without and with metrics. Linux only. */
export function measureMetricsCost(options: Pick<ListenerCostOptions, "rounds" | "seed" | "onProgress">): Promise<readonly ListenerCost[]> {
  const route = { name: "primary", route: { cluster: "order-history" } };
  const variant = (name: string, accessLog: readonly object[]) => ({ name, listener: (listener: string) => httpListener(listener, { route, accessLog }) });
  return measureListeners({
    ...options,
    variants: [
      variant("no metrics", []),
      variant(
        "`istio_requests_total` alone",
        logs((config) => void config.histograms.splice(0)),
      ),
      variant(
        "requests and durations",
        logs((config) => void config.histograms.splice(1)),
      ),
      variant(
        "all of Istio's for HTTP",
        logs(() => undefined),
      ),
    ],
    clusters: (port) => [clusterOf(port)],
    headers: [{ "user-agent": "bench" }],
  });
}

function clusterOf(port: number): object {
  const name = "order-history";
  const { workload, version, zone } = ENDPOINT_LABELS;
  const metadata = { filter_metadata: { weft: { [workload]: "order-history-a", [version]: "v1", [zone]: "ap-northeast-2a" } } };
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  return {
    name,
    type: "STATIC",
    metadata: { filter_metadata: { weft: { service: `${name}.default.svc.cluster.local`, name, namespace: "default", app: name } } },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address }, metadata }] }] },
  };
}
