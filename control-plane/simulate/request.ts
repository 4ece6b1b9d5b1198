// A request as the route matching of a proxy sees it: what the client sent, after the connection manager has read it. Nothing here does I/O.

/** One request of a simulation. */
export interface SimulatedRequest {
  readonly method: string;
  /** `http` or `https`. */
  readonly scheme: string;
  /** The Host header, with its port where the client sent one. */
  readonly authority: string;
  /** With the query, as on the request line. A proxy that normalises paths does so before it routes: pass the path as it is afterwards. */
  readonly path: string;
  /** By lower-case name; several values of one name in their order. */
  readonly headers: HeaderMap;
  /** The client's address without its port. */
  readonly sourceAddress?: string;
  /** Whether the proxy takes the client for an internal one (`x-envoy-internal`); absent means it does not. */
  readonly internal?: boolean;
  /** What filters before the router have written, by namespace. */
  readonly dynamicMetadata?: Readonly<Record<string, unknown>>;
  /** The proxy's random number for this request, a whole number: it decides runtime fractions and plain weights. */
  readonly random: number;
}

/** Header values by lower-case name. */
export type HeaderMap = Readonly<Record<string, readonly string[]>>;

/** How a connection manager reads the Host header before it routes. Source: http_connection_manager.proto, strip_port_mode and strip_trailing_host_dot. */
export interface HostReading {
  readonly stripPort: "never" | "matching" | "any";
  /** The listener's port, for `matching`. */
  readonly listenerPort?: number;
  readonly stripTrailingDot: boolean;
}

/** The request after its Host header was read: port and trailing dot removed as configured. */
export function readHost(request: SimulatedRequest, reading: HostReading): SimulatedRequest {
  let authority = request.authority;
  if (reading.stripTrailingDot) authority = authority.replace(/\.(:\d*)?$/, "$1");
  const colon = portStart(authority);
  const port = colon < 0 ? undefined : authority.slice(colon + 1);
  const strip =
    port !== undefined && /^\d+$/.test(port) && (reading.stripPort === "any" || (reading.stripPort === "matching" && Number(port) === reading.listenerPort));
  return { ...request, authority: strip ? authority.slice(0, colon) : authority };
}

/** Where the port's colon is in an authority, or -1. An IPv6 address stands in brackets. */
export function portStart(authority: string): number {
  const colon = authority.lastIndexOf(":");
  return colon > authority.lastIndexOf("]") ? colon : -1;
}

/**
 * All values of a header, pseudo-headers included; empty where the request has none. `host` is the same as `:authority` to Envoy, and a request without
 * `x-forwarded-proto` gets its scheme there before it is routed.
 */
export function headerValues(request: SimulatedRequest, name: string): readonly string[] {
  const lower = name.toLowerCase();
  switch (lower) {
    case ":method":
      return [request.method];
    case ":scheme":
      return [request.scheme];
    case ":path":
      return [request.path];
    case ":authority":
    case "host":
      return [request.authority];
    case "x-forwarded-proto":
      return request.headers[lower] ?? [request.scheme];
    default:
      return request.headers[lower] ?? [];
  }
}

/** The path without query and fragment. */
export function pathOnly(path: string): string {
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}

/** The first value of a query parameter, not decoded, as Envoy compares it; undefined where it is absent. */
export function queryParameter(path: string, name: string): string | undefined {
  const start = path.indexOf("?");
  if (start < 0) return undefined;
  for (const parameter of path.slice(start + 1).split("&")) {
    const equals = parameter.indexOf("=");
    if ((equals < 0 ? parameter : parameter.slice(0, equals)) === name) return equals < 0 ? "" : parameter.slice(equals + 1);
  }
  return undefined;
}

/** Whether Envoy takes the request for gRPC, by its content type. */
export function isGrpc(request: SimulatedRequest): boolean {
  return /^application\/grpc($|\+)/.test(request.headers["content-type"]?.[0] ?? "");
}

/** Lower case as Envoy does it: ASCII letters only. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
