// The servers of all Gateways that one proxy serves at one port, and whether each can be: what stands in the way of one leaves the port to the others.
import type { GatewayServer } from "../model/gateway.ts";
import type { Gateway } from "../model/resource.ts";
import { clientCaNamed, credentialNamed, credentialNames } from "./credentials.ts";
import { gatewaysServedBy } from "./gateways.ts";
import type { Proxy } from "./instance.ts";
import type { Mesh } from "./mesh.ts";

/** How a server reads what comes to it. `terminates`: it opens TLS. */
export type ServerKind =
  | { readonly kind: "http" }
  | { readonly kind: "https" }
  /** TLS that is opened, with bytes inside. */
  | { readonly kind: "tls" }
  /** TLS that is passed on as it is, by its SNI. */
  | { readonly kind: "passthrough" }
  | { readonly kind: "tcp" };

/** A server of a Gateway that the proxy serves at one port. */
export interface ServedServer {
  /** `namespace/name` of the Gateway. */
  readonly key: string;
  readonly gateway: Gateway;
  readonly server: GatewayServer;
  /** Its place in the Gateway. */
  readonly index: number;
  readonly as: ServerKind["kind"];
}

/** A server that cannot be served, and why. */
export interface ServerProblem {
  readonly gateway: Gateway;
  readonly index: number;
  readonly field: readonly (string | number)[];
  readonly what: string;
  readonly fix: string;
}

/** The servers at a port in the mesh's order of their Gateways. Those of another sort than the first are set aside: one port speaks one protocol. */
export function serversAt(mesh: Mesh, proxy: Proxy, port: number): { readonly servers: readonly ServedServer[]; readonly problems: readonly ServerProblem[] } {
  const servers: ServedServer[] = [];
  const problems: ServerProblem[] = [];
  for (const [key, gateway] of gatewaysServedBy(mesh, proxy)) {
    for (const [index, server] of gateway.spec.servers.entries()) {
      if (server.port.number !== port) continue;
      const as = kindOf(server);
      if (as === undefined) continue;
      const problem = otherSort(as, servers) ?? certificateProblem(mesh, proxy, gateway, server);
      if (problem !== undefined) problems.push({ gateway, index, ...problem });
      else servers.push({ key, gateway, server, index, as });
    }
  }
  return { servers, problems };
}

type Problem = Omit<ServerProblem, "gateway" | "index">;

/** Undefined for what is not served at all, which validation has named. Source: Istio, gateway.IsHTTPServer, IsTLSServer and IsPassThroughServer. */
function kindOf({ port, tls }: GatewayServer): ServerKind["kind"] | undefined {
  const protocol = port.protocol.toUpperCase();
  const mode = tls?.mode ?? "PASSTHROUGH";
  if (protocol === "UDP" || protocol === "HTTP_PROXY") return undefined;
  if (protocol !== "HTTPS" && protocol !== "TLS") return /^(HTTP|HTTP2|GRPC|GRPC-WEB)$/.test(protocol) ? "http" : "tcp";
  if (mode === "AUTO_PASSTHROUGH") return undefined;
  if (mode === "PASSTHROUGH") return "passthrough";
  return protocol === "HTTPS" ? "https" : "tls";
}

function sortOf(kind: ServerKind["kind"]): string {
  return kind === "http" ? "plain HTTP" : kind === "tcp" ? "plain TCP" : "TLS";
}

function otherSort(kind: ServerKind["kind"], [first]: readonly ServedServer[]): Problem | undefined {
  if (first === undefined || sortOf(first.as) === sortOf(kind)) return undefined;
  const { line, file } = first.gateway.locate(["spec", "servers", first.index]);
  return {
    field: ["port"],
    what: `this port is ${sortOf(kind)} here and ${sortOf(first.as)} at ${file}:${line}, which comes first: this server does not listen`,
    fix: "give one of the two another port",
  };
}

/** A certificate that is missing or cannot be used. */
function certificateProblem(mesh: Mesh, proxy: Proxy, gateway: Gateway, { tls }: GatewayServer): Problem | undefined {
  if (tls === undefined || tls.mode === undefined || tls.mode === "PASSTHROUGH" || tls.mode === "ISTIO_MUTUAL") return undefined;
  const absent = certificateFiles(tls).find((file) => mesh.absentFiles.has(file));
  if (absent !== undefined) return noCertificate([], `there is no file ${absent} on this machine`);
  const names = credentialNames(tls);
  const asks = tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL";
  const field = tls.credentialNames.length > 0 ? ["credentialNames"] : ["credentialName"];
  for (const name of names) {
    const lookup = credentialNamed(mesh, proxy, gateway, name);
    const what =
      lookup.kind === "unusable" ? lookup.what : lookup.credential.certificate === undefined ? `the Secret ${name} has no tls.crt with a tls.key` : undefined;
    if (what !== undefined) return noCertificate(field, what);
  }
  const caName = tls.caCertCredentialName ?? "";
  const ca =
    caName !== "" ? credentialNamed(mesh, proxy, gateway, caName) : asks && names[0] !== undefined ? clientCaNamed(mesh, proxy, gateway, names[0]) : undefined;
  if (ca?.kind === "unusable") return noCertificate(caName === "" ? field : ["caCertCredentialName"], ca.what);
  return undefined;
}

/** Files of the proxy's machine that a server takes its certificates from. */
export function certificateFiles(tls: NonNullable<GatewayServer["tls"]>): readonly string[] {
  if (tls.mode === "PASSTHROUGH" || tls.mode === "AUTO_PASSTHROUGH" || tls.mode === "ISTIO_MUTUAL" || credentialNames(tls).length > 0) return [];
  const pairs = tls.tlsCertificates.length > 0 ? tls.tlsCertificates : [tls];
  const mutual = tls.mode === "MUTUAL" || tls.mode === "OPTIONAL_MUTUAL";
  const files = [...pairs.flatMap(({ serverCertificate, privateKey }) => [serverCertificate, privateKey]), ...(mutual ? [tls.caCertificates, tls.caCrl] : [])];
  return files.filter((file): file is string => file !== undefined && file !== "");
}

function noCertificate(field: readonly string[], what: string): Problem {
  return {
    field: ["tls", ...field],
    what: `${what}, so nobody is answered here; the port serves its other servers`,
    fix: "put a Secret of type kubernetes.io/tls with tls.crt and tls.key beside the Gateway: kubectl create secret tls NAME --cert … --key … --dry-run=client -o yaml",
  };
}
