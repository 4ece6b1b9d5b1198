// A mesh that does not run, asked as if it did: its YAML comes in, and for a request of one of its programs or of a gateway's client the answer goes out.
import { spiffeId } from "../ca/spiffe.ts";
import type { ClusterLoadAssignment } from "../gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { gatewaysServedBy, MESH_GATEWAY } from "../mesh/gateways.ts";
import type { Proxy } from "../mesh/instance.ts";
import { compareText, type Origin } from "../model/diagnostic.ts";
import type { Resources } from "../model/resource.ts";
import type { FilterInstance } from "../simulate/decide.ts";
import { type CallToken, TOKEN_FILTER } from "../simulate/rbac.ts";
import type { HeaderMap, SimulatedRequest } from "../simulate/request.ts";
import { clientAuthority } from "../translate/domains.ts";
import type { RequestSource } from "../translate/route-match.ts";
import { type Answer, ask, plainConnection, type Question } from "../what-if/ask.ts";
import { createConfigurations, type ProxyConfiguration } from "../what-if/configuration.ts";
import { DEFAULT_CALLER, type ImaginedMesh, imagineMesh } from "../what-if/imagine.ts";
import { type PassedOver, passedOver } from "../what-if/passed.ts";
import { type WrittenRoute, writtenRoutes } from "../what-if/written-routes.ts";
import type { ClusterEndpoint } from "./cluster-endpoints.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { type AuthorizationStep, authorizationSteps, type Journey, mentionedRules, ruleKey } from "./explain-authorization.ts";
import { type Asker, type ChosenListener, chooseListener, type ExplainedRequest, findAsker } from "./explain-request.ts";

/** Who asks, and what. */
export interface OfflineRequest {
  /** WORKLOAD, WORKLOAD@ZONE, a copy's name or `ingressgateway`; may be left out where the folder has no Deployment. */
  readonly from: string | undefined;
  readonly namespace: string | undefined;
  readonly asked: ExplainedRequest;
  /** Of a token that holds and comes with the request. */
  readonly claims?: Claims;
}

export type Claims = Readonly<Record<string, unknown>>;

/** The request on its way: the listener that it reaches, and what becomes of it there. */
export interface OfflineRoute {
  readonly asker: Asker & { readonly notes: readonly string[] };
  readonly listener: ChosenListener;
  readonly proxy: Proxy;
  readonly configuration: ProxyConfiguration;
  readonly question: Question;
}

/** What was found out about a request. */
export interface OfflineAnswer {
  readonly answer: Answer;
  /** Where the route that took it is written; absent for a route that Weft made by itself. */
  readonly written?: WrittenRoute;
  /** Made when asked for: thousands of tests that pass do not ask. */
  readonly passed: () => readonly PassedOver[];
}

export interface OfflineMesh {
  readonly imagined: ImaginedMesh;
  /** Throws a CommandError where there is no such caller, or no such port. */
  readonly find: (request: OfflineRequest) => OfflineRoute;
  /** The same at a listener that is known already, by its address (`http://127.80.0.2:15001`). */
  readonly findAt: (request: OfflineRequest, url: string) => OfflineRoute;
  readonly answer: (route: OfflineRoute, filter: FilterInstance) => OfflineAnswer;
  /** Sorted by priority, zone, address; undefined where the proxy does not know the cluster, or its endpoints are not assigned. */
  readonly endpoints: (route: OfflineRoute, cluster: string) => readonly ClusterEndpoint[] | undefined;
  /** Who on its way lets the request in: see {@link authorizationSteps}. */
  readonly authorization: (route: OfflineRoute, answer: Answer, token: CallToken) => readonly AuthorizationStep[];
  /** Where the rules that have a say are written, by {@link ruleKey}. */
  readonly ruleOrigins: (steps: readonly AuthorizationStep[]) => Readonly<Record<string, Origin>>;
}

/** Reads the files (path to text) once; each question is answered from memory. `adapt` as in {@link imagineMesh}. */
export function openOfflineMesh(texts: ReadonlyMap<string, string>, adapt?: (written: Resources) => Resources): OfflineMesh {
  const imagined = imagineMesh(texts, adapt);
  const { mesh, running } = imagined;
  const configurationOf = createConfigurations(mesh);
  const written = writtenRoutes(mesh.virtualServices);
  const proxies = new Map(mesh.proxies.map((proxy) => [proxy.id, proxy]));
  const proxyOf = ({ kind, name, namespace }: Asker): Proxy => {
    const id =
      kind === "gateway"
        ? running.gateways.find((gateway) => gateway.name === name)?.id
        : running.workloads.find((workload) => workload.instance === name && workload.namespace === namespace)?.sidecar.id;
    const proxy = proxies.get(id ?? "");
    if (proxy === undefined) throw new CommandError(`${name} has no proxy`, "Ask on behalf of another workload, with --from");
    return proxy;
  };
  const askerOf = ({ from, namespace }: OfflineRequest): OfflineRoute["asker"] => findAsker(running, running.workloads, callerNamed(from, imagined), namespace);
  const routeAt = (asker: OfflineRoute["asker"], listener: ChosenListener, { asked, claims }: OfflineRequest): OfflineRoute => {
    const proxy = proxyOf(asker);
    return { asker, listener, proxy, configuration: configurationOf(proxy), question: questionOf(asker, listener, asked, claims) };
  };
  return {
    imagined,
    find: (request) => {
      const asker = askerOf(request);
      return routeAt(asker, chooseListener(asker, request.asked), request);
    },
    findAt: (request, url) => routeAt(askerOf(request), { name: url, url, explain: "", notes: [] }, request),
    answer: ({ configuration, question, proxy, listener }, filter) => {
      const answer = ask(configuration, question, filter);
      if (answer.kind !== "http") return { answer, passed: () => [] };
      const taken = written.get(answer.simulation.taken?.route.name ?? "")?.[0];
      const passed = (): readonly PassedOver[] => passedOver(answer.simulation, written, sourceOf(imagined, proxy, listener));
      return { answer, passed, ...(taken === undefined ? {} : { written: taken }) };
    },
    endpoints: ({ configuration }, cluster) => {
      const assignment = configuration.endpoints(cluster);
      return assignment === undefined ? undefined : endpointsIn(assignment);
    },
    authorization: (route, answer, token) => authorizationSteps(journeyOf(route, answer, token, imagined, configurationOf)),
    ruleOrigins: (steps) => {
      const origins = mentionedRules(steps).flatMap((rule): readonly (readonly [string, Origin])[] => {
        const policy = mesh.authorizationPolicies.find(({ namespace, name }) => namespace === rule.namespace && name === rule.policy);
        return policy === undefined ? [] : [[ruleKey(rule), policy.locate(["spec", "rules", rule.rule])]];
      });
      return Object.fromEntries(origins);
    },
  };
}

/** The request's way, told by what the proxies of an imagined mesh hold. */
function journeyOf(
  { asker, proxy, configuration, question }: OfflineRoute,
  answer: Answer,
  token: CallToken,
  { mesh, running }: ImaginedMesh,
  configurationOf: (proxy: Proxy) => ProxyConfiguration,
): Journey {
  const { place, request, connection = plainConnection(place) } = question;
  const address = running.workloads.find(({ sidecar }) => sidecar.id === proxy.id)?.address;
  const forwarded = forwardedIn(answer, request);
  return {
    caller: { kind: asker.kind, name: asker.name, spiffeId: spiffeId(mesh.settings.trustDomain, proxy), address, holds: configuration },
    entry: { place, connection, request },
    ...(forwarded === undefined ? {} : { forwarded }),
    sidecarAt: ({ address: host, port }) => {
      const found = mesh.proxies.find(({ inbound }) => inbound.some(({ listen }) => listen.address === host && listen.port === port));
      return found && { instance: running.workloads.find(({ sidecar }) => sidecar.id === found.id)?.instance ?? found.id, holds: configurationOf(found) };
    },
    token,
  };
}

function forwardedIn(answer: Answer, request: SimulatedRequest): Journey["forwarded"] {
  if (answer.kind === "tcp") return answer.clusters[0] && { cluster: answer.clusters[0].cluster, request, isHttp: false };
  const action = answer.kind === "http" ? answer.simulation.action : undefined;
  const chosen = action?.kind === "forward" ? action.destinations[action.chosen] : undefined;
  if (chosen?.cluster === undefined) return undefined;
  const { cluster, authority, path, headers } = chosen;
  return { cluster, request: { ...request, authority, path, headers }, isHttp: true };
}

/** `file:line`. */
export function placeText({ file, line }: Origin): string {
  return `${file}:${line}`;
}

function callerNamed(from: string | undefined, { resources }: ImaginedMesh): string {
  if (from !== undefined) return from;
  if (resources.deployments.length === 0) return DEFAULT_CALLER;
  const names = [...new Set(resources.deployments.map(({ name }) => name))].sort();
  throw new CommandError("it is not said who sends the request", `Name one of ${names.join(", ")}, or ingressgateway: --from ${names[0]}`, EXIT.usage);
}

function questionOf(asker: Asker, listener: ChosenListener, asked: ExplainedRequest, claims: Claims | undefined): Question {
  const { hostname: address, port } = new URL(listener.url);
  const place = { address, port: Number(port || 80) };
  const claimed = claims === undefined ? {} : { dynamicMetadata: { [TOKEN_FILTER]: { payload: claims } } };
  const request = { ...simulatedRequest(asked), ...claimed };
  if (request.scheme !== "https" || asker.kind !== "gateway") return { place, request: { ...request, scheme: "http" } };
  return { place, request, connection: { ...place, transport: "tls", serverName: asked.hostname, applicationProtocols: ["h2", "http/1.1"] } };
}

/** The request as a proxy gets it. */
export function simulatedRequest({ method, url, authority, path, headers }: ExplainedRequest): SimulatedRequest {
  const map = new Map<string, string[]>();
  for (const [name, value] of headers) map.set(name.toLowerCase(), [...(map.get(name.toLowerCase()) ?? []), value]);
  const host = map.get("host")?.[0] ?? authority;
  map.delete("host");
  const lower: HeaderMap = Object.fromEntries(map);
  return { method, scheme: /^https:/i.test(url) ? "https" : "http", authority: host, path, headers: lower, sourceAddress: "127.0.0.1", random: 0 };
}

/** What translation knows of requests at a listener (translate/service-routes.ts, translate/gateway-routes.ts). */
function sourceOf({ mesh }: ImaginedMesh, proxy: Proxy, listener: ChosenListener): RequestSource {
  const { namespace, labels } = proxy;
  const { hostname, port: urlPort } = new URL(listener.url);
  const here = ({ listen }: { readonly listen: { readonly address: string; readonly port: number } }): boolean =>
    listen.address === hostname && listen.port === Number(urlPort || 80);
  if (proxy.kind === "gateway") {
    return { namespace, labels, gateways: [...gatewaysServedBy(mesh, proxy).keys()], port: proxy.gatewayPorts.find(here)?.number ?? 0 };
  }
  const service = proxy.outbound.find(here);
  if (service === undefined) return { namespace, labels, gateways: [MESH_GATEWAY], port: 80 };
  const authority = clientAuthority(service.hostname, service.port, namespace, mesh.domain);
  return { namespace, labels, gateways: [MESH_GATEWAY], port: service.port, authority };
}

function endpointsIn({ endpoints }: ClusterLoadAssignment): readonly ClusterEndpoint[] {
  const all = endpoints.flatMap(({ locality, priority, lbEndpoints }) =>
    lbEndpoints.map(({ hostIdentifier, loadBalancingWeight }): ClusterEndpoint => {
      const address = hostIdentifier.case === "endpoint" ? hostIdentifier.value.address?.address : undefined;
      const socket = address?.case === "socketAddress" ? address.value : undefined;
      const port = socket?.portSpecifier.case === "portValue" ? socket.portSpecifier.value : 0;
      return {
        address: socket === undefined ? "(no address)" : `${socket.address}:${port}`,
        zone: locality?.zone ?? "",
        healthy: true,
        health: "assumed healthy",
        priority,
        weight: loadBalancingWeight ?? 1,
      };
    }),
  );
  return all.sort((a, b) => a.priority - b.priority || compareText(a.zone, b.zone) || compareText(a.address, b.address));
}
