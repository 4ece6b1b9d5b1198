// Requests that Istio's simulator sends through the configuration of a proxy, recorded from its unit tests, against the same requests through Weft's
// translation under `defaults: istio`: the cluster that takes them, or why none does. Names of listeners, route configurations and virtual hosts are not compared.
import { create } from "@bufbuild/protobuf";
import { z } from "zod";
import { Cluster_DiscoveryType } from "../gen/envoy/config/cluster/v3/cluster_pb.js";
import { CidrRangeSchema } from "../gen/envoy/config/core/v3/address_pb.js";
import { buildMesh } from "../mesh/build.ts";
import { gatewaysServedBy } from "../mesh/gateways.ts";
import type { GatewayPort, Proxy, ServiceListener } from "../mesh/instance.ts";
import type { Host, Mesh } from "../mesh/mesh.ts";
import type { Resources, ServiceEntry } from "../model/resource.ts";
import { FALLBACK_FILTER } from "../simulate/decide.ts";
import { holds } from "../simulate/match-listener.ts";
import { parseFile } from "../source/parse-file.ts";
import { resourcesByKind } from "../validate/effective.ts";
import { validate } from "../validate/validate.ts";
import { type Answer, ask, type Question } from "../what-if/ask.ts";
import { createConfigurations, type ProxyConfiguration } from "../what-if/configuration.ts";
import { answerInbound, DOMAIN, PROXY_ADDRESS } from "./simulation-inbound.ts";
import type { Verdict } from "./verdict.ts";

const call = z.object({
  address: z.string(),
  port: z.number(),
  path: z.string(),
  protocol: z.string(),
  tls: z.string(),
  alpn: z.string(),
  host: z.string(),
  headers: z.record(z.string(), z.array(z.string())).nullable(),
  mode: z.string(),
  sni: z.string(),
});
const recorded = z.object({
  id: z.string(),
  test: z.string(),
  proxyType: z.string(),
  proxyNamespace: z.string(),
  proxyLabels: z.record(z.string(), z.string()).nullish(),
  config: z.string(),
  kubeConfig: z.string(),
  calls: z.array(z.object({ name: z.string(), call, expect: z.looseObject({ cluster: z.string(), error: z.string(), skip: z.string() }) })),
});
type Recorded = z.output<typeof recorded>;
type Call = z.output<typeof call>;

/** A document that puts Istio's defaults in force. */
const ISTIO_DEFAULTS = "apiVersion: weft.mesh/v1alpha1\nkind: MeshConfig\nmetadata: {name: default, namespace: weft-system}\nspec: {defaults: istio}\n";
/** Ingress is no part of the API. */
const EXCLUDED = /^kind: *(Ingress)$/m;

/** Compares the lines of `simulation.jsonl`: one verdict a line, which agrees where all of its calls do. */
export function compareSimulations(lines: readonly unknown[]): readonly Verdict[] {
  return lines.map((value) => {
    const line = recorded.parse(value);
    const excluded = EXCLUDED.exec(`${line.config}\n${line.kubeConfig}`)?.[1];
    const reasons = excluded === undefined ? disagreements(line) : [];
    return {
      id: `${line.id} ${line.test}`,
      agreed: reasons.length === 0,
      reason: reasons.join("; "),
      group: line.proxyType,
      ...(excluded === undefined ? {} : { excluded: `${excluded} is not simulated` }),
    };
  });
}

function disagreements(line: Recorded): readonly string[] {
  const parsed = parseFile("line.yaml", [line.config, line.kubeConfig, ISTIO_DEFAULTS].join("\n---\n"));
  const errors = [...parsed.diagnostics, ...validate(parsed.resources)].filter(({ severity }) => severity === "error");
  if (errors.length > 0) return errors.map(({ what }) => `Weft refuses the configuration: ${what}`);
  const resources = withCertificates(resourcesByKind(parsed.resources));
  return line.calls.flatMap(({ name, call: sent, expect }) => {
    if (expect.skip !== "") return [];
    const expected = expect.error !== "" ? expect.error : expect.cluster;
    if (sent.mode === "inbound") {
      const actual = answerInbound(line, resources, sent);
      return actual === expected ? [] : [`${name}: Istio ${expected}, Weft ${actual}`];
    }
    const { mesh, proxy } = wired(line, resources, sent.port);
    const configuration = createConfigurations(mesh)(proxy);
    const answers = placesOf(mesh, proxy, sent).map((place) => ask(configuration, questionOf(place, sent), FALLBACK_FILTER));
    const said = answers.map(seen);
    // Where several servers share one port in Istio, the request is for the one that knows its host.
    const actual = said.find((answer) => !answer.startsWith("no ")) ?? said.at(-1) ?? passedThrough(mesh, sent);
    const alike = expected === "PassthroughCluster" && answers.some((answer) => keepsAddress(configuration, answer));
    return alike || actual === expected ? [] : [`${name}: Istio ${expected}, Weft ${actual}`];
  });
}

/** Whether the bytes go on to the very address that they were sent to, which is what Istio's PassthroughCluster does: compared is what Envoy would do. */
function keepsAddress(configuration: ProxyConfiguration, answer: Answer): boolean {
  return (
    answer.kind === "tcp" &&
    answer.clusters.every(({ cluster }) => configuration.cluster(cluster)?.clusterDiscoveryType.value === Cluster_DiscoveryType.ORIGINAL_DST)
  );
}

/** Istio's recorder needs no Secrets for its gateways: certificates stand in files here. */
function withCertificates(resources: Resources): Resources {
  const gateways = resources.gateways.map((gateway) => {
    const servers = gateway.spec.servers.map((server) =>
      server.tls?.credentialName === undefined
        ? server
        : { ...server, tls: { ...server.tls, credentialName: "", serverCertificate: "/cert.pem", privateKey: "/key.pem", caCertificates: "/ca.pem" } },
    );
    return { ...gateway, spec: { ...gateway.spec, servers } };
  });
  return { ...resources, gateways };
}

/** The mesh with the recorded proxy in it, which listens as it would in a cluster; a gateway at the called port alone, where a server may be bound twice. */
function wired(line: Recorded, resources: Resources, calledPort: number): { readonly mesh: Mesh; readonly proxy: Proxy } {
  const bare: Proxy = {
    id: "recorded",
    kind: line.proxyType === "router" ? "gateway" : "sidecar",
    namespace: line.proxyNamespace,
    labels: line.proxyLabels ?? {},
    workload: "recorded",
    serviceAccount: "default",
    locality: { region: "", zone: "", subzone: "" },
    inbound: [],
    outbound: [],
    gatewayPorts: [],
    captures: true,
  };
  const build = (proxy: Proxy): Mesh => buildMesh({ resources, instances: [], proxies: [proxy], domain: DOMAIN });
  const unwired = build(bare);
  const bound = gatewayPorts(unwired, bare, resources.serviceEntries).filter(({ listen }) => listen.port === calledPort);
  const proxy = {
    ...bare,
    gatewayPorts: bound,
    outbound: bare.kind === "sidecar" ? serviceListeners(unwired) : [],
  };
  return { mesh: build(proxy), proxy };
}

/**
 * Where a gateway's servers are bound: at the target ports that services in front of the gateway give them, else at their own numbers.
 * Source: Istio pilot/pkg/model/gateway.go, getTargetPortMap, and the label that turns it off for a service.
 */
function gatewayPorts(mesh: Mesh, proxy: Proxy, entries: readonly ServiceEntry[]): readonly GatewayPort[] {
  const ports = [...gatewaysServedBy(mesh, proxy).values()].flatMap(({ spec, annotations }) => {
    // A Gateway that Istio makes for the Gateway API names its services, and is not bound where they have no port.
    const named = annotations["internal.istio.io/gateway-service"]?.split(",");
    const inFront = entries.filter(
      (entry) =>
        entry.spec.endpoints.some(({ address }) => address === PROXY_ADDRESS) &&
        (named === undefined
          ? entry.labels["experimental.istio.io/disable-gateway-port-translation"] !== "true"
          : entry.spec.hosts.some((host) => named.includes(host))),
    );
    return spec.servers.flatMap(({ port: { number } }) => {
      const targets = inFront.flatMap(({ spec: { ports: own } }) => own.filter((port) => port.number === number).map((port) => port.targetPort ?? port.number));
      return targets.length === 0 && named === undefined ? [{ number, port: number }] : targets.map((port) => ({ number, port }));
    });
  });
  const distinct = [...new Map(ports.map((bound) => [`${bound.number} ${bound.port}`, bound])).values()];
  // The address tells servers apart that one port is to serve.
  return distinct.map(({ number, port }) => ({ number, listen: { address: `0.0.${number >> 8}.${number & 255}`, port }, explainPort: 0 }));
}

/** A listener for each host's port, as on a laptop: the host is told by the address. */
function serviceListeners(mesh: Mesh): readonly ServiceListener[] {
  return [...mesh.hosts.values()].flatMap((host, index) =>
    host.ports.map(({ number }) => ({ hostname: host.hostname, port: number, listen: { address: `127.0.0.${index + 1}`, port: number }, explainPort: 0 })),
  );
}

type Place = Question["place"];

/** The listeners that a call may reach: of a gateway those bound at its port, of a sidecar that of the host which has the address. */
function placesOf(mesh: Mesh, proxy: Proxy, { address, port }: Call): readonly Place[] {
  if (proxy.kind === "gateway") return proxy.gatewayPorts.filter(({ listen }) => listen.port === port).map(({ listen }) => listen);
  const owner = ownerOf(mesh, address, port);
  return proxy.outbound.filter((listener) => listener.hostname === owner?.hostname && listener.port === port).map(({ listen }) => listen);
}

/** The host with the narrowest range that holds the address; of equal ones the first that was written. */
function ownerOf(mesh: Mesh, address: string, port: number): Host | undefined {
  const ranged = [...mesh.hosts.values()]
    .filter(({ ports }) => ports.some(({ number }) => number === port))
    .flatMap((host) =>
      host.addresses.map((text) => {
        const [prefix = "", length] = text.split("/");
        const prefixLen = length === undefined ? (prefix.includes(":") ? 128 : 32) : Number(length);
        return { host, prefixLen, range: create(CidrRangeSchema, { addressPrefix: prefix, prefixLen }) };
      }),
    )
    .filter(({ range }) => holds(range, address));
  const longest = Math.max(...ranged.map(({ prefixLen }) => prefixLen));
  const owners = ranged.filter(({ prefixLen }) => prefixLen === longest).map(({ host }) => host);
  return owners.sort((a, b) => a.service.origin.line - b.service.origin.line)[0];
}

function questionOf(place: Place, sent: Call): Question {
  const tls = sent.tls === "tls" || sent.sni !== "";
  const path = sent.path === "" ? "/" : sent.path;
  const headers = Object.fromEntries(Object.entries(sent.headers ?? {}).map(([name, values]) => [name.toLowerCase(), values]));
  const request = { method: "GET", scheme: tls ? "https" : "http", authority: sent.host, path, headers, random: 0 } as const;
  const serverName = sent.sni === "" ? sent.host : sent.sni;
  const protocols = sent.protocol === "http" || tls ? ["http/1.1"] : [];
  return {
    place,
    request,
    connection: {
      address: sent.address === "" ? place.address : sent.address,
      port: place.port,
      transport: tls ? "tls" : "raw_buffer",
      serverName,
      applicationProtocols: protocols,
    },
  };
}

/** An answer in the words of Istio's simulator. */
function seen(answer: Answer): string {
  switch (answer.kind) {
    case "no listener":
      return "no listener matched";
    case "no filter chain":
      return "no filter chains matched";
    case "unsupported":
      return answer.what;
    case "tcp":
      return clusterText(answer.clusters[0]?.cluster ?? "");
    case "http": {
      const { action, taken } = answer.simulation;
      if (action.kind === "forward") return clusterText(action.destinations[action.chosen]?.cluster ?? "");
      if (action.kind === "redirect" && taken === undefined) return "tls required, sending 301";
      return action.kind === "no virtual host" || action.kind === "no route" ? `${action.kind} matched` : action.kind;
    }
  }
}

/** Istio's tests have no cluster domain: `a` of a rule in `default` is `a.default` there. */
function clusterText(cluster: string): string {
  return cluster.replace(`.svc.${DOMAIN}`, "");
}

/** What a sidecar does with a connection that no host claims; a gateway has no listener then. */
function passedThrough({ settings }: Mesh, { address }: Call): string {
  if (address === "") return "no listener matched";
  return settings.outboundTrafficPolicy.mode === "ALLOW_ANY" ? "PassthroughCluster" : "BlackHoleCluster";
}
