// Protocols of ports, by the names that Istio reads. Source: Istio pkg/config/protocol; case does not matter.

const HTTP: ReadonlySet<string> = new Set(["HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-WEB"]);
const TLS: ReadonlySet<string> = new Set(["HTTPS", "TLS"]);

/** Every protocol's name. */
export const PROTOCOLS: ReadonlySet<string> = new Set([...HTTP, ...TLS, "TCP", "UDP", "MONGO", "REDIS", "MYSQL"]);

/** Whether requests can be told apart. */
export function isHttpProtocol(name: string): boolean {
  return HTTP.has(name.toUpperCase());
}

/** Whether connections begin with a TLS handshake, so that they can be told apart by SNI. */
export function isTlsProtocol(name: string): boolean {
  return TLS.has(name.toUpperCase());
}

export function isProtocol(name: string): boolean {
  return PROTOCOLS.has(name.toUpperCase());
}
