// A Gateway as a whole. Source: Istio ValidateGateway, validateServer.
import type { GatewayServer } from "../model/gateway.ts";
import { nearest } from "../model/nearest.ts";
import type { FieldPath, Gateway } from "../model/resource.ts";
import { isDnsLabel, isIpAddress, labelsOfFault, wildcardDomainFault } from "./names.ts";
import { error, type Problem, warning } from "./problem.ts";
import { isHttpProtocol, isProtocol, isTlsProtocol, PROTOCOLS } from "./protocols.ts";
import { checkServerTls } from "./server-tls.ts";

const UNIX = "unix://";

/** Everything that a Gateway by itself can get wrong. */
export function checkGateway({ name, spec }: Pick<Gateway, "name" | "spec">): readonly Problem[] {
  const labels = labelsOfFault(spec.selector);
  return [
    ...(isDnsLabel(name)
      ? []
      : [error("WEFT0390", ["metadata", "name"], `"${name}" is not the name of a gateway`, "use letters, digits and - without dots, at most 63")]),
    ...(labels === undefined ? [] : [error("WEFT0390", ["spec", "selector"], labels, "use the labels of the gateway's pods, such as istio: ingressgateway")]),
    ...(spec.servers.length > 0 ? [] : [error("WEFT0390", ["spec"], "the Gateway has no servers", "add `servers:` with a port and hosts")]),
    ...spec.servers.flatMap((server, index) => checkServer(server, ["spec", "servers", index])),
    ...checkPortNames(spec.servers),
  ];
}

function checkPortNames(servers: readonly GatewayServer[]): readonly Problem[] {
  const seen = new Set<string>();
  return servers.flatMap(({ port, tls }, index) => {
    const problems: Problem[] = [];
    const { name = "" } = port;
    if (seen.has(name))
      problems.push(
        error("WEFT0391", ["spec", "servers", index, "port", "name"], `the port name "${name}" stands twice`, "give each server's port a name of its own"),
      );
    seen.add(name);
    if (tls?.httpsRedirect === true && !isHttpProtocol(port.protocol)) {
      problems.push(
        warning(
          "WEFT0391",
          ["spec", "servers", index, "tls", "httpsRedirect"],
          "only an HTTP server can redirect to HTTPS",
          "move it to the server of port 80",
        ),
      );
    }
    return problems;
  });
}

/** One server at `path`. */
export function checkServer(server: GatewayServer, path: FieldPath): readonly Problem[] {
  const portProblems = checkServerPort(server, [...path, "port"]);
  return [
    ...(server.hosts.length === 0 ? [error("WEFT0392", path, "the server has no hosts", 'add `hosts: ["*"]`, or the hosts that it serves')] : []),
    ...server.hosts.flatMap((host, index) => checkServerHost(host, [...path, "hosts", index])),
    ...portProblems,
    ...checkBind(server, [...path, "bind"]),
    ...checkServerTls(server.tls, [...path, "tls"]),
    ...(portProblems.length === 0 ? checkProtocol(server, path) : []),
  ];
}

function checkServerPort({ port, bind = "" }: GatewayServer, path: FieldPath): readonly Problem[] {
  const problems: Problem[] = [];
  const { number = 0, protocol, name = "", targetPort = 0 } = port;
  if (!isProtocol(protocol)) {
    const meant = nearest(protocol, PROTOCOLS);
    const fix = meant === undefined ? `use one of ${[...PROTOCOLS].join(", ")}` : `did you mean \`${meant}\``;
    problems.push(error("WEFT0391", [...path, "protocol"], protocol === "" ? "the port has no protocol" : `there is no protocol "${protocol}"`, fix));
  }
  if (number === 0 && !bind.startsWith(UNIX)) problems.push(error("WEFT0391", path, "the port has no number", "write `number: 80`"));
  if (targetPort > 0) problems.push(error("WEFT0391", [...path, "targetPort"], "targetPort means nothing for a gateway", "remove it"));
  if (name === "") problems.push(error("WEFT0391", path, "the port has no name", "write `name: http`"));
  return problems;
}

function checkBind({ port, bind = "" }: GatewayServer, path: FieldPath): readonly Problem[] {
  if (bind === "") return [];
  if (!bind.startsWith(UNIX))
    return isIpAddress(bind) ? [] : [error("WEFT0392", path, `"${bind}" is not an IP address`, "write an address, or unix:///path/to/socket")];
  const socket = bind.slice(UNIX.length);
  const problems: Problem[] = [];
  const ok = socket.startsWith("@") || (socket.startsWith("/") && !socket.endsWith("/"));
  if (!ok) problems.push(error("WEFT0392", path, `"${socket}" is not the absolute path of a socket`, "write unix:///path/to/socket"));
  if ((port.number ?? 0) !== 0) problems.push(error("WEFT0392", path, "a Unix socket has no port number", "remove the number, or bind to an address"));
  return problems;
}

/** A host with or without a namespace before it, which may be "." or "*"; the host full, or with a wildcard as its first label. */
function checkServerHost(entry: string, path: FieldPath): readonly Problem[] {
  const slash = entry.indexOf("/");
  const problems: Problem[] = [];
  const namespace = slash < 0 ? "*" : entry.slice(0, slash);
  const host = entry.slice(slash + 1);
  if (namespace !== "*" && namespace !== "." && !isDnsLabel(namespace)) {
    problems.push(error("WEFT0392", path, `"${namespace}" is not a namespace`, 'write the name of a namespace, "*" or "." before the slash'));
  }
  if (host === "") return [...problems, error("WEFT0392", path, "there is no host after the slash", 'write a host, or "*" for all')];
  if (host !== "*" && !host.includes("."))
    return [
      ...problems,
      error(
        "WEFT0392",
        path,
        `"${host}" is a short name, and a gateway's hosts are full ones`,
        `write it in full, such as ${host}.example.com, or "*" for all`,
      ),
    ];
  const partial = host.includes("*") && host !== "*" && !host.startsWith("*.");
  const fault = partial ? `"${host}" has a wildcard that is not its whole first label` : isIpAddress(host) ? undefined : wildcardDomainFault(host);
  if (fault !== undefined) problems.push(error("WEFT0392", path, fault, "write a host name, or *.example.com"));
  return problems;
}

/** TLS settings fit the protocol. */
function checkProtocol({ port, tls }: GatewayServer, path: FieldPath): readonly Problem[] {
  const protocol = port.protocol.toUpperCase();
  if (isTlsProtocol(protocol)) {
    return tls === undefined
      ? [error("WEFT0393", path, `a server of protocol ${protocol} needs tls`, "add `tls:` with mode and credentialName, or use protocol HTTP")]
      : [];
  }
  if (tls === undefined) return [];
  const mode = tls.mode ?? "PASSTHROUGH";
  const redirectOnly =
    (mode === "PASSTHROUGH" || mode === "AUTO_PASSTHROUGH") &&
    [tls.caCertificates, tls.privateKey, tls.serverCertificate].every((field) => (field ?? "") === "");
  if (isHttpProtocol(protocol) && redirectOnly) return [];
  return [
    error(
      "WEFT0393",
      [...path, "tls"],
      `a server of protocol ${protocol} has no TLS`,
      "use protocol HTTPS or TLS, or remove tls; an HTTP server may have httpsRedirect alone",
    ),
  ];
}
