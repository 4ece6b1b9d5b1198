// Golden cases: a folder with `in.yaml`, and what Envoy gets for it. A comment in in.yaml names the proxies that are shown, and whether they have the HTTP proxy port.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRegistry, fromBinary, type JsonValue, toJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.js";
import { FilterConfigSchema, VirtualHostSchema } from "../gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.js";
import { FileAccessLogSchema } from "../gen/envoy/extensions/access_loggers/file/v3/file_pb.js";
import { ExpressionFilterSchema } from "../gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.js";
import { ConfigSchema as StatsLogSchema } from "../gen/envoy/extensions/access_loggers/stats/v3/stats_pb.js";
import { DnsClusterSchema } from "../gen/envoy/extensions/clusters/dns/v3/dns_cluster_pb.js";
import { ClusterConfigSchema } from "../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.js";
import { CorsPolicySchema, CorsSchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.js";
import { FilterConfigSchema as ForwardProxyFilterSchema } from "../gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.js";
import { ExtAuthzSchema as HttpExtAuthzSchema } from "../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.js";
import { HeaderMutationSchema as HeaderMutationFilterSchema } from "../gen/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.js";
import { JwtAuthenticationSchema } from "../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import { RBACSchema as HttpRbacSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.js";
import { TlsInspectorSchema } from "../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js";
import { ExtAuthzSchema as NetworkExtAuthzSchema } from "../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import { HttpConnectionManagerSchema } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { RBACSchema as NetworkRbacSchema } from "../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
import { TcpProxySchema } from "../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js";
import { HeaderMutationSchema } from "../gen/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation_pb.js";
import { ClientSideWeightedRoundRobinSchema } from "../gen/envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin_pb.js";
import { LeastRequestSchema } from "../gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.js";
import { MaglevSchema } from "../gen/envoy/extensions/load_balancing_policies/maglev/v3/maglev_pb.js";
import { RandomSchema } from "../gen/envoy/extensions/load_balancing_policies/random/v3/random_pb.js";
import { RingHashSchema } from "../gen/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash_pb.js";
import { RoundRobinSchema } from "../gen/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin_pb.js";
import { UriTemplateMatchConfigSchema } from "../gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";
import { PreviousHostsPredicateSchema } from "../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.js";
import { PreviousPrioritiesConfigSchema } from "../gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.js";
import { ProxyProtocolUpstreamTransportSchema } from "../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.js";
import { RawBufferSchema } from "../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js";
import { DownstreamTlsContextSchema, UpstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js";
import { compareDiagnostics, compareText, formatDiagnostic } from "../model/diagnostic.ts";
import { EMPTY_LAST_GOOD } from "../model/last-good.ts";
import { buildSnapshot } from "../snapshot/snapshot.ts";
import { parseFile } from "../source/parse-file.ts";
import type { TranslatedResource, Translation, XdsType } from "../translate/resource.ts";
import { translate } from "../translate/translate.ts";
import { effectiveResources } from "../validate/effective.ts";
import { wiredMesh } from "./wired-mesh.ts";

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "golden");
const UPDATE = process.env.WEFT_UPDATE_GOLDEN === "1";

/** What may stand inside an Any. */
const registry = createRegistry(
  ...[
    CorsPolicySchema,
    CorsSchema,
    DnsClusterSchema,
    DownstreamTlsContextSchema,
    ProxyProtocolUpstreamTransportSchema,
    TlsInspectorSchema,
    UpstreamTlsContextSchema,
    RawBufferSchema,
  ],
  ...[HttpExtAuthzSchema, HttpRbacSchema, JwtAuthenticationSchema, NetworkExtAuthzSchema, NetworkRbacSchema, UriTemplateMatchConfigSchema],
  ...[
    ExpressionFilterSchema,
    StatsLogSchema,
    ClientSideWeightedRoundRobinSchema,
    ClusterConfigSchema,
    FileAccessLogSchema,
    FilterConfigSchema,
    ForwardProxyFilterSchema,
    HTTPFaultSchema,
  ],
  ...[HeaderMutationFilterSchema, HeaderMutationSchema, HttpConnectionManagerSchema, HttpProtocolOptionsSchema, LeastRequestSchema, MaglevSchema],
  ...[PreviousHostsPredicateSchema, PreviousPrioritiesConfigSchema, RandomSchema, RingHashSchema, RoundRobinSchema, RouterSchema, TcpProxySchema],
);

const FILES: Readonly<Record<string, readonly XdsType[]>> = {
  "listeners.yaml": ["listener"],
  "routes.yaml": ["route", "virtualHost"],
  "clusters.yaml": ["cluster"],
  "endpoints.yaml": ["endpoint"],
};

function bodyOf({ type, body }: TranslatedResource): JsonValue {
  switch (type) {
    case "listener":
      return toJson(ListenerSchema, fromBinary(ListenerSchema, body), { registry });
    case "route":
      return toJson(RouteConfigurationSchema, fromBinary(RouteConfigurationSchema, body), { registry });
    case "virtualHost":
      return toJson(VirtualHostSchema, fromBinary(VirtualHostSchema, body), { registry });
    case "cluster":
      return toJson(ClusterSchema, fromBinary(ClusterSchema, body), { registry });
    case "endpoint":
      return toJson(ClusterLoadAssignmentSchema, fromBinary(ClusterLoadAssignmentSchema, body), { registry });
    case "secret":
    case "extension":
      throw new Error(`no golden file shows resources of type ${type}`);
  }
}

/** Each distinct resource once, with the proxies that get it. */
function shownResources(translation: Translation, proxies: readonly string[], types: readonly XdsType[]): string {
  const shown = new Map<string, { readonly resource: TranslatedResource; readonly proxies: string[] }>();
  for (const proxy of proxies) {
    const held = translation.proxies.get(proxy);
    if (held === undefined) throw new Error(`there is no proxy ${proxy}; there are ${[...translation.proxies.keys()].join(", ")}`);
    for (const resource of held.resources.filter(({ type }) => types.includes(type))) {
      const key = `${types.indexOf(resource.type)} ${resource.name} ${Buffer.from(resource.body).toString("base64")}`;
      const known = shown.get(key);
      if (known === undefined) shown.set(key, { resource, proxies: [proxy] });
      else known.proxies.push(proxy);
    }
  }
  const entries = [...shown].sort(([a], [b]) => compareText(a, b)).map(([, entry]) => entry);
  return stringify(
    entries.map(({ resource, proxies: holders }) => ({
      [resource.type]: bodyOf(resource),
      proxies: holders,
      origins: resource.origins.map(({ resource: name, origin }) => `${name} ${origin.file}:${origin.line}`),
      needs: [...resource.needs].sort(compareText),
    })),
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
}

function translated(text: string): ReadonlyMap<string, string> {
  const parsed = parseFile("in.yaml", text);
  const effective = effectiveResources(new Map([["in.yaml", parsed]]), EMPTY_LAST_GOOD);
  const mesh = wiredMesh(text, { httpProxy: /^# http-proxy: yes$/m.test(text), accessLogPath: "/logs/access.log" });
  const translation = translate(mesh, { filter: { wasm: Uint8Array.of(0), generationOf: () => 0 } });
  const snapshot = buildSnapshot({ translation, quarantine: new Map(), accepted: new Map(), revision: 1 });
  const diagnostics = [...effective.diagnostics, ...mesh.diagnostics, ...snapshot.diagnostics].sort(compareDiagnostics).map(formatDiagnostic);
  const proxies = /^# proxies: (.*)$/m.exec(text)?.[1]?.split(", ") ?? [...translation.proxies.keys()];
  const files = Object.entries(FILES).map(([file, types]): [string, string] => [file, shownResources(translation, proxies, types)]);
  return new Map([...files, ["diagnostics.txt", diagnostics.map((line) => `${line}\n`).join("")]]);
}

describe("golden", () => {
  for (const name of readdirSync(FOLDER).sort()) {
    it(name, () => {
      for (const [file, now] of translated(readFileSync(join(FOLDER, name, "in.yaml"), "utf8"))) {
        const path = join(FOLDER, name, file);
        if (UPDATE) writeFileSync(path, now);
        const before = existsSync(path) ? readFileSync(path, "utf8") : "";
        expect(now, `${name}/${file} is not what it was. Where that is right: npm run golden, and read the diff`).toBe(before);
      }
    });
  }

  it("gives the same bytes for the same input", () => {
    const text = readFileSync(join(FOLDER, "two-namespaces", "in.yaml"), "utf8");
    expect(translated(text)).toEqual(translated(text));
  });
});
