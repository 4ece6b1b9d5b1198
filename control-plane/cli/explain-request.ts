// The request that an explain is about, and the explain listener that must be asked about it. Pure.
import type { ReadyAnswer } from "../local/api.ts";
import { CommandError, EXIT } from "./command-error.ts";
import { isGatewayNamed } from "./log-files.ts";
import { didYouMean } from "./nearest-names.ts";
import { type NamedInstance, parseWorkloadName, selectInstances } from "./workload-name.ts";

/** What would be sent. */
export interface ExplainedRequest {
  readonly method: string;
  readonly url: string;
  /** `order-history:9090`, as written. */
  readonly authority: string;
  readonly hostname: string;
  readonly port: number;
  /** With the query, as it stands in the request line. */
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
}

/** Who would send it: a workload's instance, or a gateway on behalf of a client. */
export interface Asker {
  readonly kind: "workload" | "gateway";
  readonly name: string;
  readonly namespace: string;
  readonly zone: string;
  /** Envoy's admin API, `http://address:port`. */
  readonly admin: string;
  readonly listeners: readonly AskerListener[];
  /** Explain listener of the HTTP proxy port, where there is one. */
  readonly httpProxy?: { readonly url: string; readonly explain: string };
}

interface AskerListener {
  /** `order-history.default.svc.cluster.local:9090`, or `port 80` of a gateway. */
  readonly name: string;
  readonly hostname: string;
  readonly port: number;
  /** Where it really listens. */
  readonly url: string;
  readonly explain: string;
}

/** The listener to ask, and what its asker should know about that choice. */
export interface ChosenListener {
  readonly name: string;
  readonly url: string;
  readonly explain: string;
  readonly notes: readonly string[];
}

/** Reads METHOD, URL and headers. Throws a CommandError of usage that says which of them is wrong, and how it is written. */
export function parseRequest(method: string, url: string, headers: readonly (readonly [string, string])[]): ExplainedRequest {
  if (/^[a-z]+:\/\//i.test(method)) throw usage(`${method} stands where the method is expected`, `Write the method first: GET ${method}`);
  if (!/^[A-Za-z-]+$/.test(method)) throw usage(`${JSON.stringify(method)} is no HTTP method`, "Write one such as GET or POST");
  if (method.toUpperCase() === "CONNECT") throw usage("CONNECT has no URL to route by", "Ask about the request that would go through the tunnel");
  const [, scheme = "", authority = "", rest = ""] = /^(https?):\/\/([^/?#]+)([^#]*)/i.exec(url) ?? [];
  if (authority === "" || !URL.canParse(url)) throw usage(`${JSON.stringify(url)} is no URL`, "Write it in full: http://SERVICE:PORT/PATH");
  const parsed = new URL(url);
  const raw = rest.startsWith("/") ? rest : `/${rest}`;
  return {
    method: method.toUpperCase(),
    url,
    authority: authority.replace(/^[^@]*@/, ""),
    hostname: parsed.hostname.replace(/\.$/, ""),
    port: parsed.port === "" ? (scheme.toLowerCase() === "https" ? 443 : 80) : Number(parsed.port),
    // A URL object would tidy the path up, and it is the untidy one that a match may be about.
    path: /^[!-~]+$/.test(raw) ? raw : `${parsed.pathname}${parsed.search}`,
    headers,
  };
}

/** Finds who `--from` is; `known` is all that the mesh lists, also what does not run. Throws a CommandError that names who there is. */
export function findAsker(
  { workloads, gateways }: Pick<ReadyAnswer, "workloads" | "gateways">,
  known: readonly NamedInstance[],
  from: string,
  namespace: string | undefined,
): Asker & { readonly notes: readonly string[] } {
  if (!known.some(({ workload }) => workload === from)) {
    const gateway = gateways.find(({ name }) => from === "gateway" || isGatewayNamed(name, from));
    if (gateway !== undefined) return { ...gatewayAsker(gateway), notes: [] };
    if (from === "gateway" || from === "ingressgateway")
      throw new CommandError(`this mesh has no ${from}`, "A resource of kind Gateway brings one; --from WORKLOAD asks a sidecar");
  }
  const meant = selectInstances(known, parseWorkloadName(from), namespace);
  const chosen = workloads.filter((running) => meant.some((each) => each.namespace === running.namespace && each.instance === running.instance));
  const [first, ...others] = chosen;
  if (first === undefined) throw new CommandError(`no copy of ${from} runs`, `If it was stopped: npx weft start ${from}`);
  const notes =
    others.length === 0 ? [] : [`${from} has ${chosen.length} copies; ${first.instance} was asked. Name another one: --from ${others[0]?.instance}`];
  return { ...workloadAsker(first), notes };
}

/**
 * The listener that the request would reach: the one of that address, else the service of that name as the asker's namespace resolves it, else the HTTP proxy
 * port, where unknown names pass through. Throws a CommandError where the name is known and the port is not, and where a gateway has no such port.
 */
export function chooseListener(asker: Asker, request: ExplainedRequest): ChosenListener {
  const bound = asker.listeners.find(({ url }) => boundTo(url, request, asker.kind));
  if (bound !== undefined) return { ...bound, notes: [] };
  return asker.kind === "gateway" ? gatewayListener(asker, request) : serviceListener(asker, request);
}

function gatewayListener(asker: Asker, { port }: ExplainedRequest): ChosenListener {
  const named = asker.listeners.find((listener) => listener.port === port);
  if (named !== undefined) return { ...named, notes: [] };
  const known = asker.listeners.map((listener) => `${listener.port} (${listener.url})`).join(", ");
  throw new CommandError(`the gateway ${asker.name} has no port ${port}`, `It has ${known}`);
}

function serviceListener(asker: Asker, request: ExplainedRequest): ChosenListener {
  const ofHost = asker.listeners.filter(({ hostname }) => spellings(hostname, asker.namespace).includes(request.hostname));
  const named = ofHost.find(({ port }) => port === request.port);
  if (named !== undefined) return { ...named, notes: [] };
  if (ofHost[0] !== undefined) {
    const ports = ofHost.map(({ port }) => port);
    throw new CommandError(
      `${request.hostname} has no port ${request.port}`,
      `It has ${ports.join(", ")}: write http://${request.hostname}:${ports[0]}${request.path}`,
    );
  }
  const names = asker.listeners.flatMap(({ hostname }) => spellings(hostname, asker.namespace));
  const meant = didYouMean(request.hostname, names);
  if (asker.httpProxy === undefined)
    throw new CommandError(
      `${request.hostname} is no service that ${asker.name} has a listener for`,
      meant.trim() || `It has ${asker.listeners.map(({ name }) => name).join(", ") || "none"}`,
    );
  const note = `${request.hostname} is no service of this mesh: the HTTP proxy port was asked, the only one that takes such names.${meant}`;
  return { name: "HTTP proxy port", ...asker.httpProxy, notes: [note] };
}

/** How a name may be written by a program in `namespace`; the shortest first. */
function spellings(hostname: string, namespace: string): readonly string[] {
  const [name = "", ownNamespace = "", svc = ""] = hostname.split(".");
  if (svc !== "svc") return [hostname];
  return [...(ownNamespace === namespace ? [name] : []), `${name}.${ownNamespace}`, `${name}.${ownNamespace}.svc`, hostname];
}

/** Whether the URL is the address that a listener is bound to; any name of this machine counts for a gateway. */
function boundTo(listenerUrl: string, request: ExplainedRequest, kind: Asker["kind"]): boolean {
  const { hostname, port } = new URL(listenerUrl);
  if (Number(port || 80) !== request.port) return false;
  return hostname === request.hostname || (kind === "gateway" && ["localhost", "127.0.0.1"].includes(request.hostname));
}

function workloadAsker({ instance, namespace, zone, sidecar, services, explain, httpProxy }: ReadyAnswer["workloads"][number]): Asker {
  const listeners = Object.entries(services).flatMap(([name, url]) => {
    const explainUrl = explain[name];
    const [, hostname = name, port = "0"] = /^(.*):(\d+)$/.exec(name) ?? [];
    return explainUrl === undefined ? [] : [{ name, hostname, port: Number(port), url, explain: explainUrl }];
  });
  const proxyExplain = explain["http-proxy"];
  return {
    kind: "workload",
    name: instance,
    namespace,
    zone,
    admin: sidecar.admin,
    listeners,
    ...(proxyExplain === undefined ? {} : { httpProxy: { url: httpProxy, explain: proxyExplain } }),
  };
}

function gatewayAsker({ name, namespace, admin, ports }: ReadyAnswer["gateways"][number]): Asker {
  const listeners = ports.map(({ number, url, explain }) => ({ name: `port ${number}`, hostname: "", port: number, url, explain }));
  return { kind: "gateway", name, namespace, zone: "", admin, listeners };
}

function usage(what: string, next: string): CommandError {
  return new CommandError(what, next, EXIT.usage);
}
