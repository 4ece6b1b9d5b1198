// Istio's RBAC filters and ours side by side in a real Envoy: the same requests, made from the policies' own values, are let through or refused by both alike.
// Identities are real client certificates, tokens are signed, addresses come from the sockets and from PROXY protocol headers.
import { create, createRegistry, toJson } from "@bufbuild/protobuf";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AuthorizationCase, authorizationCases, filtersOf, hasAuthorizationData } from "../../control-plane/conformance/authorization.ts";
import { FilterSchema } from "../../control-plane/gen/envoy/config/listener/v3/listener_components_pb.js";
import { ExtAuthzSchema as HttpExtAuthzSchema } from "../../control-plane/gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import { RBACSchema as HttpRbacSchema } from "../../control-plane/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { ExtAuthzSchema as NetworkExtAuthzSchema } from "../../control-plane/gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.js";
import { HttpFilterSchema } from "../../control-plane/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { RBACSchema as NetworkRbacSchema } from "../../control-plane/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
import { UriTemplateMatchConfigSchema } from "../../control-plane/gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";
import { type Probe, probesOf, type VariedProbe } from "./authorization-probes.ts";
import { createSimulation } from "./authorization-simulated.ts";
import { type Side, type Target, targetsOf } from "./authorization-targets.ts";
import { createTestAuthority, isEchoed, openPeer, type PeerConnection, proxyHeader, requestOn, type TestAuthority } from "./peers.ts";
import { type StaticEnvoy, startStaticEnvoy } from "./static-envoy.ts";

const SIDES: readonly Side[] = ["istio", "weft"];
/** The most filters that a case has in a row. */
const CHAIN_LENGTH = 4;
/** The PROXY protocol's type of a value that is nobody's. */
const METADATA_TYPE = 0xe0;
const registry = createRegistry(HttpRbacSchema, NetworkRbacSchema, HttpExtAuthzSchema, NetworkExtAuthzSchema, UriTemplateMatchConfigSchema);

/**
 * The values of Istio's tests, made such that requests can have them: addresses that a client of this machine can come from, and no brackets, which neither methods
 * nor hosts may hold. Input and output are rewritten alike.
 */
function sendable(text: string): string {
  return text
    .replaceAll(/\\?\[(\d)\\?\]/g, "$1")
    .replaceAll(/(["\s])(rule\d-to\d-path\d)/g, "$1/$2")
    .replaceAll(/\b\d{1,3}\.(\d{1,3}\.\d{1,3}\.\d{1,3})\b/g, "127.$1");
}

const cases = authorizationCases(sendable).map((given) => ({
  given,
  targets: targetsOfCase(given),
  probes: probesOf(given.policies),
  simulated: createSimulation(given),
  hardened: createSimulation(given, "weft"),
}));
const signing = await generateKeyPair("ES256");
const tokens = new Map<string, Promise<string>>();
let authority: TestAuthority;
let envoy: StaticEnvoy;

beforeAll(async () => {
  if (!hasAuthorizationData) return;
  authority = await createTestAuthority();
  envoy = await startStaticEnvoy({ listeners: [await httpListener(), await tcpListener()] }, { id: "test", cluster: "test" });
});

afterAll(() => envoy?.close());

describe("authorization on a real Envoy (needs conformance data)", () => {
  const counts = { decisions: 0, allowed: 0, refused: 0, simulated: 0, unknown: 0, hardened: 0 };

  it.skipIf(!hasAuthorizationData).each(cases)(
    "decides as Istio's filters do: $given.name",
    async ({ given, targets, probes, simulated, hardened }) => {
      const disagreements: object[] = [];
      const wholeCase = targets.find(({ facets }) => facets.size === 0)?.id;
      for (const group of byConnection(given, probes)) {
        for (const { target, probe, istio, weft } of await decisionsOf(given, targets, group)) {
          counts.decisions += 1;
          if (istio === "allowed") counts.allowed += 1;
          if (istio === "refused") counts.refused += 1;
          if (istio !== weft) disagreements.push({ target, probe, istio, weft });
          if (target !== wholeCase || (weft !== "allowed" && weft !== "refused")) continue;
          const [said, strict] = [simulated(probe), hardened(probe)];
          counts[said === undefined ? "unknown" : "simulated"] += 1;
          if (said !== undefined && said !== weft) disagreements.push({ target, probe, weft, simulated: said });
          // Weft's own defaults refuse more, and for the spelling of a path alone.
          if (strict !== said) counts.hardened += 1;
          if (strict !== said && strict !== "refused") disagreements.push({ target, probe, weft, hardened: strict });
        }
      }
      expect(disagreements).toEqual([]);
    },
    300_000,
  );

  it.skipIf(!hasAuthorizationData)("has simulated hundreds of decisions about whole cases as Envoy makes them", () => {
    const { simulated, unknown, hardened } = counts;
    process.stdout.write(`authorization: ${simulated} decisions simulated, ${unknown} not known, ${hardened} refused by Weft's own defaults alone\n`);
    expect(simulated).toBeGreaterThan(500);
    expect(unknown).toBeLessThan(simulated / 10);
  });

  it.skipIf(!hasAuthorizationData)("has compared thousands of decisions of both kinds", () => {
    process.stdout.write(`authorization: ${counts.decisions} decisions compared, ${counts.allowed} to allow and ${counts.refused} to refuse\n`);
    expect(counts.decisions).toBeGreaterThan(2_000);
    expect(counts.allowed).toBeGreaterThan(400);
    expect(counts.refused).toBeGreaterThan(400);
    // What Envoy itself does not take, before any policy is asked.
    expect(counts.decisions - counts.allowed - counts.refused).toBeLessThan(counts.decisions / 20);
  });
});

interface Decision extends Readonly<Record<Side, string>> {
  readonly target: string;
  readonly probe: Probe;
}

/** All decisions of both sides about requests of one connection. */
async function decisionsOf(given: AuthorizationCase, targets: readonly Target[], group: readonly VariedProbe[]): Promise<readonly Decision[]> {
  const decisions: Decision[] = [];
  const asked = group.flatMap(({ probe, varies }) =>
    targets.filter(({ facets }) => varies === undefined || facets.size === 0 || facets.has(varies)).map((target) => ({ probe, target })),
  );
  const [first] = group;
  if (first === undefined) return [];
  if (given.transport === "tcp") {
    for (const { probe, target } of asked) {
      const decided = async (side: Side): Promise<string> => {
        const socket = await openPeer({ ...(await connectionOf("tcp", probe)), applicationProtocols: [chainId(side, target)] });
        const echoed = await isEchoed(socket);
        socket.destroy();
        return echoed ? "allowed" : "refused";
      };
      decisions.push({ target: target.id, probe, istio: await decided("istio"), weft: await decided("weft") });
    }
    return decisions;
  }
  const socket = await openPeer(await connectionOf("http", first.probe));
  for (const { probe, target } of asked) {
    const decided = async (side: Side): Promise<string> => {
      const { status } = await requestOn(socket, await headOf(probe, chainId(side, target)));
      return status === 200 ? "allowed" : status === 403 ? "refused" : `status ${status}`;
    };
    decisions.push({ target: target.id, probe, istio: await decided("istio"), weft: await decided("weft") });
  }
  socket.destroy();
  return decisions;
}

function targetsOfCase(given: AuthorizationCase): readonly Target[] {
  const schema = given.transport === "http" ? HttpFilterSchema : FilterSchema;
  const ours = filtersOf(given).map((filter) => toJson(schema, create(schema, filter), { registry }));
  return targetsOf(given.name, given.transport, given.expected, ours);
}

function chainId(side: Side, { id }: Target): string {
  return `${side} ${id}`;
}

function byConnection(given: AuthorizationCase, probes: readonly VariedProbe[]): readonly (readonly VariedProbe[])[] {
  const groups = new Map<string, VariedProbe[]>();
  for (const varied of probes) {
    const key = connectionKey(given, varied.probe);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [varied]);
    else group.push(varied);
  }
  return [...groups.values()];
}

/** Equal for probes that can share a connection. */
function connectionKey({ transport }: AuthorizationCase, { principal, source, remote, destination, port, sni, metadata }: Probe): string {
  return JSON.stringify([principal, source, remote, destination, port, sni, transport === "tcp" ? metadata : ""]);
}

async function connectionOf(listener: string, probe: Probe): Promise<PeerConnection> {
  const { principal, sni, source, remote, destination, port, metadata } = probe;
  return {
    port: Number(new URL(envoy.url(listener)).port),
    identity: principal === undefined ? undefined : await authority.identityOf(principal),
    serverName: sni,
    source,
    proxyHeader: proxyHeader({
      source: remote,
      destination,
      destinationPort: port,
      values: metadata === undefined ? [] : [{ type: METADATA_TYPE, value: metadata }],
    }),
  };
}

async function headOf({ method, path, host, headers, token, metadata }: Probe, target: string): Promise<readonly string[]> {
  return [
    `${method} ${path} HTTP/1.1`,
    `host: ${host}`,
    `x-target: ${target}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(token === undefined ? [] : [`authorization: Bearer ${await signed(token)}`]),
    ...(metadata === undefined ? [] : [`x-metadata: ${metadata}`]),
  ];
}

function signed(claims: Readonly<Record<string, unknown>>): Promise<string> {
  const key = JSON.stringify(claims);
  const known = tokens.get(key) ?? new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "test" }).setExpirationTime("1h").sign(signing.privateKey);
  tokens.set(key, known);
  return known;
}

const ADDRESS = { socket_address: { address: "127.0.0.1", port_value: 0 } };
const TLS_INSPECTOR = {
  name: "tls_inspector",
  typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" },
};
const PROXY_PROTOCOL = {
  name: "proxy_protocol",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    rules: [{ tlv_type: METADATA_TYPE, on_tlv_present: { metadata_namespace: "envoy.filters.a.b", key: "c" } }],
  },
};

/** TLS as a sidecar has it, but that a client may have no certificate. */
async function transportSocket(applicationProtocols: readonly string[] = []): Promise<object> {
  const { cert, key } = await authority.identityOf("spiffe://cluster.local/ns/foo/sa/httpbin");
  return {
    name: "tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
      common_tls_context: {
        alpn_protocols: applicationProtocols,
        tls_certificates: [{ certificate_chain: { inline_string: cert }, private_key: { inline_string: key } }],
        validation_context: { trusted_ca: { inline_string: authority.rootsPem } },
      },
    },
  };
}

/** One listener with a route for each target, which sets the target's chain of filters. */
async function httpListener(): Promise<object> {
  const chains = cases
    .filter(({ given }) => given.transport === "http")
    .flatMap(({ targets }) => targets.flatMap((target) => SIDES.map((side) => ({ side, target }))));
  const routes = chains.map(({ side, target }) => ({
    match: { prefix: "/", headers: [{ name: "x-target", string_match: { exact: chainId(side, target) } }] },
    direct_response: { status: 200 },
    typed_per_filter_config: Object.fromEntries(
      target.chains[side].map((rbac, index) => [
        `rbac.${index}`,
        { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute", rbac: withoutType(rbac) },
      ]),
    ),
  }));
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "http",
    http_protocol_options: { allow_custom_methods: true },
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
    http_filters: [
      { name: "metadata", typed_config: HEADER_TO_METADATA },
      { name: "jwt", typed_config: await jwtAuthentication() },
      ...Array.from({ length: CHAIN_LENGTH }, (_, index) => ({
        name: `rbac.${index}`,
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC" },
      })),
      { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } },
    ],
  };
  const filters = [{ name: "http", typed_config: manager }];
  return {
    name: "http",
    address: ADDRESS,
    listener_filters: [PROXY_PROTOCOL, TLS_INSPECTOR],
    filter_chains: [{ filters, transport_socket: await transportSocket() }],
  };
}

function withoutType(rbac: object): object {
  return Object.fromEntries(Object.entries(rbac).filter(([name]) => name !== "@type"));
}

const HEADER_TO_METADATA = {
  "@type": "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config",
  request_rules: [{ header: "x-metadata", on_header_present: { metadata_namespace: "envoy.filters.a.b", key: "c" } }],
};

/** Any issuer's token holds, so that a policy alone decides about issuers. */
async function jwtAuthentication(): Promise<object> {
  const key = { ...(await exportJWK(signing.publicKey)), kid: "test", alg: "ES256" };
  return {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
    providers: { any: { local_jwks: { inline_string: JSON.stringify({ keys: [key] }) }, payload_in_metadata: "payload", forward: true } },
    rules: [{ match: { prefix: "/" }, requires: { requires_any: { requirements: [{ provider_name: "any" }, { allow_missing: {} }] } } }],
  };
}

/** One listener with a chain of filters for each target, which the client names by ALPN. */
async function tcpListener(): Promise<object> {
  const chains = cases
    .filter(({ given }) => given.transport === "tcp")
    .flatMap(({ targets }) => targets.flatMap((target) => SIDES.map((side) => ({ side, target }))));
  const filterChains = chains.map(async ({ side, target }) => ({
    name: chainId(side, target),
    filter_chain_match: { application_protocols: [chainId(side, target)] },
    transport_socket: await transportSocket([chainId(side, target)]),
    filters: [
      ...target.chains[side].map((rbac) => ({ name: "rbac", typed_config: rbac })),
      { name: "echo", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo" } },
    ],
  }));
  return { name: "tcp", address: ADDRESS, listener_filters: [PROXY_PROTOCOL, TLS_INSPECTOR], filter_chains: await Promise.all(filterChains) };
}
