// Resources made by hand for tests of the xDS server on a real Envoy: just enough to serve a request, each with what it needs.
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Cluster_DiscoveryType, ClusterSchema } from "../../control-plane/gen/envoy/config/cluster/v3/cluster_pb.js";
import { ConfigSourceSchema } from "../../control-plane/gen/envoy/config/core/v3/config_source_pb.js";
import { TypedExtensionConfigSchema } from "../../control-plane/gen/envoy/config/core/v3/extension_pb.js";
import { ClusterLoadAssignmentSchema } from "../../control-plane/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { ListenerSchema } from "../../control-plane/gen/envoy/config/listener/v3/listener_pb.js";
import { VirtualHostSchema } from "../../control-plane/gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "../../control-plane/gen/envoy/config/route/v3/route_pb.js";
import { RouterSchema } from "../../control-plane/gen/envoy/extensions/filters/http/router/v3/router_pb.js";
import { WasmSchema } from "../../control-plane/gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.js";
import {
  HttpConnectionManagerSchema,
  type HttpFilter,
  HttpFilterSchema,
} from "../../control-plane/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { FailurePolicy } from "../../control-plane/gen/envoy/extensions/wasm/v3/wasm_pb.js";
import { packAny } from "../../control-plane/translate/any.ts";
import { type DecisionRecord, encodeDecisionRecord } from "../../control-plane/translate/decision-record.ts";
import { filterDeathLog } from "../../control-plane/translate/filter-deaths.ts";
import type { TranslatedResource, XdsType } from "../../control-plane/translate/resource.ts";

const FILTER = "weft";

function resource<Desc extends DescMessage>(
  type: XdsType,
  name: string,
  schema: Desc,
  init: MessageInitShape<Desc>,
  needs: readonly string[] = [],
): TranslatedResource {
  const origins = [{ origin: { file: "mesh.yaml", line: 1, column: 1 }, resource: `Test default/${name}` }];
  return { type, name, body: toBinary(schema, create(schema, init)), origins, needs };
}

function byAds() {
  return create(ConfigSourceSchema, { resourceApiVersion: 2, configSourceSpecifier: { case: "ads", value: {} } });
}

function socketAddress(port: number) {
  return { address: { case: "socketAddress", value: { address: "127.0.0.1", portSpecifier: { case: "portValue", value: port } } } } as const;
}

/** A cluster by EDS. Another connect timeout makes another version of it. */
export function cluster(name: string, connectTimeoutS = 1): TranslatedResource {
  return resource(
    "cluster",
    name,
    ClusterSchema,
    {
      name,
      connectTimeout: { seconds: BigInt(connectTimeoutS) },
      clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
      edsClusterConfig: { edsConfig: byAds() },
    },
    [`endpoint/${name}`],
  );
}

/** The endpoints of the cluster of the same name. */
export function endpoints(name: string, port: number): TranslatedResource {
  const endpoint = { hostIdentifier: { case: "endpoint", value: { address: socketAddress(port) } } } as const;
  return resource("endpoint", name, ClusterLoadAssignmentSchema, { clusterName: name, endpoints: [{ lbEndpoints: [endpoint] }] });
}

/** A listener that takes the route configuration `<name>-routes`, and the filter where it is asked for. */
export function listener(name: string, port: number, options: { readonly filter?: boolean } = {}): TranslatedResource {
  const router = create(HttpFilterSchema, { name: "router", configType: { case: "typedConfig", value: packAny(RouterSchema) } });
  const manager = packAny(HttpConnectionManagerSchema, {
    statPrefix: name,
    routeSpecifier: { case: "rds", value: { routeConfigName: `${name}-routes`, configSource: byAds() } },
    httpFilters: [...(options.filter === true ? [filterByEcds()] : []), router],
    accessLog: [filterDeathLog()],
  });
  const filterChains = [{ filters: [{ name: "http", configType: { case: "typedConfig", value: manager } as const }] }];
  const needs = [`route/${name}-routes`, ...(options.filter === true ? [`extension/${FILTER}`] : [])];
  return resource("listener", name, ListenerSchema, { name, address: socketAddress(port), filterChains, drainType: 0 }, needs);
}

function filterByEcds(): HttpFilter {
  const typeUrls = [packAny(WasmSchema).typeUrl];
  return create(HttpFilterSchema, { name: FILTER, configType: { case: "configDiscovery", value: { configSource: byAds(), typeUrls } } });
}

/** A route configuration whose virtual hosts come by VHDS. */
export function vhdsRoutes(listenerName: string): TranslatedResource {
  const name = `${listenerName}-routes`;
  return resource("route", name, RouteConfigurationSchema, { name, vhds: { configSource: byAds() } });
}

/** A route of two clusters, half each, of which the filter sends every user to the same one. */
export function decidedHost(listenerName: string, host: string, clusters: readonly [string, string]): TranslatedResource {
  const name = `${listenerName}-routes/${host}`;
  const record: DecisionRecord = {
    key: { kind: "header", name: "x-user" },
    salt: "default/test/primary",
    candidates: clusters.map((identity) => ({ weight: 50, identity, entries: [{ width: 50, cluster: identity }] })),
  };
  const weighted = {
    clusters: clusters.map((to) => ({ name: to, weight: 50 })),
    randomValueSpecifier: { case: "headerName", value: "x-weft-pick" },
  } as const;
  return resource(
    "virtualHost",
    name,
    VirtualHostSchema,
    {
      name,
      domains: ["*"],
      routes: [
        {
          name: "primary",
          match: { pathSpecifier: { case: "prefix", value: "/" } },
          metadata: { filterMetadata: { [FILTER]: { ...encodeDecisionRecord(record) } } },
          requestHeadersToRemove: ["x-weft-pick"],
          action: { case: "route", value: { clusterSpecifier: { case: "weightedClusters", value: weighted } } },
        },
      ],
    },
    clusters.map((to) => `cluster/${to}`),
  );
}

/** A virtual host. `regex`: a path match that Envoy may refuse. `mark`: goes into a response header. */
export function virtualHost(
  listenerName: string,
  host: string,
  to: string,
  options: { readonly domains?: readonly string[]; readonly regex?: string; readonly mark?: string } = {},
): TranslatedResource {
  const name = `${listenerName}-routes/${host}`;
  const pathSpecifier =
    options.regex === undefined ? ({ case: "prefix", value: "/" } as const) : ({ case: "safeRegex", value: { regex: options.regex } } as const);
  return resource(
    "virtualHost",
    name,
    VirtualHostSchema,
    {
      name,
      domains: [...(options.domains ?? [host])],
      responseHeadersToAdd: [{ header: { key: "x-mark", value: options.mark ?? "1" } }],
      routes: [{ match: { pathSpecifier }, action: { case: "route", value: { clusterSpecifier: { case: "cluster", value: to } } } }],
    },
    [`cluster/${to}`],
  );
}

/** The filter, able to trap, as ECDS delivers it. Another generation is another VM. */
export function trappingFilter(wasm: Uint8Array, generation: number): TranslatedResource {
  const config = packAny(WasmSchema, {
    config: {
      name: FILTER,
      failurePolicy: FailurePolicy.FAIL_OPEN,
      configuration: packAny(StringValueSchema, { value: "trap" }),
      vm: {
        case: "vmConfig",
        value: {
          vmId: `weft-${generation}`,
          runtime: "envoy.wasm.runtime.v8",
          code: { specifier: { case: "local", value: { specifier: { case: "inlineBytes", value: wasm } } } },
        },
      },
    },
  });
  return resource("extension", FILTER, TypedExtensionConfigSchema, { name: FILTER, typedConfig: config });
}
