// How the death of the filter comes to light: an access logger that counts the requests whose filter trapped. Nothing in; out comes one entry of `access_log`.
// A VM that has failed open leaves no other trace: the gauges `wasm.*` count it as active, and the filter's own counters merely stand still.
import { create } from "@bufbuild/protobuf";
import { type AccessLog, AccessLogFilterSchema, AccessLogSchema, GrpcStatusFilter_Status } from "../gen/envoy/config/accesslog/v3/accesslog_pb.js";
import { ExpressionFilterSchema } from "../gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.js";
import { ConfigSchema } from "../gen/envoy/extensions/access_loggers/stats/v3/stats_pb.js";
import { packAny } from "./any.ts";

/** The counter, by its full name in Envoy. It counts one per VM, and there is one VM per worker: a dead one sees no more requests. */
export const FILTER_DEATHS = "weft.filter_deaths";

/** What Envoy answers the request with in which a filter traps (503, to gRPC its equal). Source: Envoy, source/extensions/common/wasm/context.cc. */
const TRAPPED = "response.code_details == 'wasm_fail_stream'";

/**
 * Counts the deaths of the filter behind an HTTP connection manager: stands in `access_log` of every listener that has the filter. An ordinary request
 * costs one comparison of its status, since only what failed with "unavailable" is compared by its details.
 */
export function filterDeathLog(): AccessLog {
  const [prefix, name] = FILTER_DEATHS.split(".");
  const unavailable = create(AccessLogFilterSchema, {
    filterSpecifier: { case: "grpcStatusFilter", value: { statuses: [GrpcStatusFilter_Status.UNAVAILABLE] } },
  });
  const trapped = create(AccessLogFilterSchema, {
    filterSpecifier: {
      case: "extensionFilter",
      value: {
        name: "envoy.access_loggers.extension_filters.cel",
        configType: { case: "typedConfig", value: packAny(ExpressionFilterSchema, { expression: TRAPPED }) },
      },
    },
  });
  const counters = [{ stat: { name: name ?? "" }, valueFixed: 1n }];
  return create(AccessLogSchema, {
    name: "envoy.access_loggers.stats",
    filter: { filterSpecifier: { case: "andFilter", value: { filters: [unavailable, trapped] } } },
    configType: { case: "typedConfig", value: packAny(ConfigSchema, { statsScope: { prefix: prefix ?? "" }, counters }) },
  });
}
