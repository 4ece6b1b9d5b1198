// A Sidecar as a whole. Source: Istio ValidateSidecar.
import type { FieldPath, Sidecar } from "../model/resource.ts";
import type { SidecarEgress, SidecarIngress } from "../model/sidecar.ts";
import { checkDestination } from "./destinations.ts";
import { domainFault, isDnsLabel, isIpAddress, wildcardDomainFault } from "./names.ts";
import { checkPortName, checkProtocol, checkUnixSocket, UNIX } from "./ports.ts";
import { error, type Problem, warning } from "./problem.ts";
import { isHttpProtocol, isTlsProtocol } from "./protocols.ts";
import { checkSelectorLabels } from "./selectors.ts";
import { checkServerTls } from "./server-tls.ts";
import { checkConnectionPool } from "./traffic-policy.ts";

const CODE = "WEFT0385";
const SPEC: FieldPath = ["spec"];

/** Everything that a Sidecar by itself can get wrong. */
export function checkSidecar({ spec, namespace }: Pick<Sidecar, "namespace" | "spec">): readonly Problem[] {
  const { workloadSelector, ingress, egress, inboundConnectionPool, outboundTrafficPolicy } = spec;
  if (ingress.length === 0 && egress.length === 0 && outboundTrafficPolicy === undefined && inboundConnectionPool === undefined)
    return [error(CODE, SPEC, "the Sidecar says nothing", 'add `egress:` with `- hosts: ["./*"]`, or remove it')];
  return [
    ...(workloadSelector === undefined ? [] : checkSelectorLabels(workloadSelector.labels, [...SPEC, "workloadSelector", "labels"])),
    ...checkIngress(ingress),
    ...checkConnectionPool(inboundConnectionPool, [...SPEC, "inboundConnectionPool"]),
    ...checkEgress(egress, namespace),
    ...checkOutboundPolicy(outboundTrafficPolicy, [...SPEC, "outboundTrafficPolicy"]),
  ];
}

function checkIngress(listeners: readonly SidecarIngress[]): readonly Problem[] {
  const numbers = new Set<number>();
  return listeners.flatMap((listener, index) => {
    const at = [...SPEC, "ingress", index];
    const { port, bind = "", connectionPool } = listener;
    const problems: Problem[] = [...checkSidecarPort(port, at)];
    if (port.number === 0) problems.push(error(CODE, [...at, "port"], "the port has no number", "write `number: 80`"));
    if (bind !== "" && !isIpAddress(bind)) problems.push(error(CODE, [...at, "bind"], `"${bind}" is not an IP address`, "write an address, or remove it"));
    if (numbers.has(port.number)) problems.push(error(CODE, [...at, "port"], `the port ${port.number} stands twice`, "give each listener a port of its own"));
    numbers.add(port.number);
    if (connectionPool?.http !== undefined && !isHttpProtocol(port.protocol ?? ""))
      problems.push(
        warning(CODE, [...at, "connectionPool", "http"], "the port is not HTTP, so that these limits do not apply", "give the port an HTTP protocol"),
      );
    return [
      ...problems,
      ...checkDefaultEndpoint(listener.defaultEndpoint, [...at, "defaultEndpoint"]),
      ...checkIngressTls(listener, [...at, "tls"]),
      ...checkConnectionPool(connectionPool, [...at, "connectionPool"]),
    ];
  });
}

function checkSidecarPort({ name = "", protocol, targetPort = 0 }: SidecarIngress["port"], path: FieldPath): readonly Problem[] {
  const at = [...path, "port"];
  return [
    ...(targetPort > 0 ? [error(CODE, [...at, "targetPort"], "targetPort means nothing for a Sidecar", "remove it")] : []),
    ...(name === "" ? [] : checkPortName(CODE, name, [...at, "name"])),
    ...checkProtocol(CODE, protocol, [...at, "protocol"]),
  ];
}

const OWN_ADDRESSES: ReadonlySet<string> = new Set(["", "127.0.0.1", "0.0.0.0", "::1", "::"]);

/** `127.0.0.1:8080`, `[::1]:8080`, `:8080`, `unix:///path`. */
function checkDefaultEndpoint(endpoint: string | undefined, path: FieldPath): readonly Problem[] {
  if (endpoint === undefined || endpoint === "") return [];
  if (endpoint.startsWith(UNIX)) return checkUnixSocket(CODE, endpoint, path);
  const [, bracketed, plain, port = ""] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,6})$/.exec(endpoint) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && OWN_ADDRESSES.has(host) && Number(port) >= 1 && Number(port) <= 65_535) return [];
  return [
    error(CODE, path, `"${endpoint}" is not an endpoint of the workload itself`, "write 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path"),
  ];
}

function checkIngressTls({ port, tls }: SidecarIngress, path: FieldPath): readonly Problem[] {
  if (tls === undefined) return [];
  const refused = (field: string): Problem => error(CODE, [...path, field], `${field} has no meaning for a Sidecar`, "remove it");
  const mode = tls.mode ?? "PASSTHROUGH";
  return [
    ...(tls.subjectAltNames.length > 0 ? [refused("subjectAltNames")] : []),
    ...(tls.httpsRedirect === true ? [refused("httpsRedirect")] : []),
    ...((tls.credentialName ?? "") === "" ? [] : [refused("credentialName")]),
    ...(tls.credentialNames.length > 0 ? [refused("credentialNames")] : []),
    ...(tls.tlsCertificates.length > 0 ? [refused("tlsCertificates")] : []),
    ...(mode === "ISTIO_MUTUAL" || mode === "AUTO_PASSTHROUGH"
      ? [error(CODE, [...path, "mode"], `a Sidecar has no mode ${mode}`, "use SIMPLE or MUTUAL")]
      : []),
    ...(isTlsProtocol(port.protocol ?? "")
      ? []
      : [error(CODE, path, "TLS settings need a port of protocol HTTPS or TLS", "write `protocol: HTTPS`, or remove tls")]),
    ...checkServerTls(tls, path),
  ];
}

function checkEgress(listeners: readonly SidecarEgress[], namespace: string): readonly Problem[] {
  const numbers = new Set<number>();
  const sockets = new Set<string>();
  return listeners.flatMap((listener, index) => {
    const at = [...SPEC, "egress", index];
    const { port, bind = "" } = listener;
    const problems: Problem[] = [];
    if (port === undefined) {
      if (index < listeners.length - 1)
        problems.push(
          error(CODE, at, "the listener without a port takes all that the others leave, and must be the last", "move it to the end, or give it a port"),
        );
    } else {
      problems.push(...checkSidecarPort(port, at), ...checkEgressBind(listener, at));
      if (port.number === 0 ? sockets.has(bind) : numbers.has(port.number))
        problems.push(
          error(
            CODE,
            [...at, port.number === 0 ? "bind" : "port"],
            `${port.number === 0 ? bind : `the port ${port.number}`} stands twice`,
            "give each listener its own",
          ),
        );
      if (port.number === 0) sockets.add(bind);
      else numbers.add(port.number);
    }
    return [...problems, ...checkEgressHosts(listener.hosts, namespace, at)];
  });
}

function checkEgressBind({ port, bind = "", captureMode = "DEFAULT" }: SidecarEgress, path: FieldPath): readonly Problem[] {
  const at = [...path, "bind"];
  if (port?.number !== 0) return bind === "" || isIpAddress(bind) ? [] : [error(CODE, at, `"${bind}" is not an IP address`, "write an address, or remove it")];
  return [
    ...(bind.startsWith(UNIX)
      ? checkUnixSocket(CODE, bind, at)
      : [error(CODE, [...path, "port"], "a port without a number needs a Unix socket", "write `number: 80`, or `bind: unix:///path`")]),
    ...(captureMode === "IPTABLES" ? [error(CODE, [...path, "captureMode"], "connections to a Unix socket cannot be captured", "use DEFAULT or NONE")] : []),
  ];
}

function checkEgressHosts(hosts: readonly string[], namespace: string, path: FieldPath): readonly Problem[] {
  if (hosts.length === 0) return [error(CODE, path, "the listener has no hosts", 'add `hosts: ["./*"]`')];
  const seen = new Map<string, Set<string>>();
  const problems = hosts.flatMap((entry, index) => {
    const at = [...path, "hosts", index];
    const slash = entry.indexOf("/");
    if (slash < 0) return [error(CODE, at, `"${entry}" has no namespace`, `write \`./${entry}\` for the own one, \`*/${entry}\` for all`)];
    const written = entry.slice(0, slash);
    const host = entry.slice(slash + 1);
    const repeated = !written.startsWith("~") && isRepeated(seen, written === "." ? namespace : written, host);
    return [
      ...checkEgressHost(written, host, entry, at),
      ...(repeated ? [warning(CODE, at, `"${entry}" is in the list already`, "remove one of the two")] : []),
    ];
  });
  if (seen.get("*")?.has("*") === true && seen.size > 1)
    problems.push(warning(CODE, [...path, "hosts"], '"*/*" is every host, and the others say nothing', "remove it, or the others"));
  return problems;
}

function isRepeated(seen: Map<string, Set<string>>, namespace: string, host: string): boolean {
  const known = seen.get(namespace) ?? new Set();
  const repeated = host === "*" ? known.size > 0 : known.has(host) || known.has("*");
  seen.set(namespace, known.add(host));
  return repeated;
}

function checkEgressHost(written: string, host: string, entry: string, path: FieldPath): readonly Problem[] {
  const namespace = written.replace(/^~/, "");
  const problems: Problem[] = [];
  if (written === "" || host === "") return [error(CODE, path, `"${entry}" lacks the namespace or the host`, "write namespace/host")];
  if (namespace !== "" && namespace !== "*" && namespace !== "." && !isDnsLabel(namespace))
    problems.push(error(CODE, path, `"${written}" is not a namespace`, 'write the name of a namespace, ".", "*" or "~"'));
  if (host === "*") return problems;
  const short = !host.includes(".");
  const partial = host.includes("*") && !host.startsWith("*.");
  const fault = short
    ? `"${host}" is a short name, and a Sidecar's hosts are full ones`
    : partial
      ? `"${host}" has a wildcard that is not its whole first label`
      : wildcardDomainFault(host);
  return fault === undefined ? problems : [...problems, error(CODE, path, fault, "write name.namespace.svc.cluster.local, *.example.com, or * for all")];
}

function checkOutboundPolicy(policy: Sidecar["spec"]["outboundTrafficPolicy"], path: FieldPath): readonly Problem[] {
  if (policy === undefined) return [];
  const { mode = "REGISTRY_ONLY", egressProxy } = policy;
  if (mode === "ALLOW_ANY_DYNAMIC_DNS")
    return [error(CODE, [...path, "mode"], "ALLOW_ANY_DYNAMIC_DNS is a mode of the mesh, not of a Sidecar", "set it in the MeshConfig")];
  if (egressProxy === undefined) return [];
  const at = [...path, "egressProxy"];
  if (mode !== "ALLOW_ANY") return [error(CODE, at, "an egressProxy takes what the mesh does not know, which the mode refuses", "write `mode: ALLOW_ANY`")];
  const fault = domainFault(egressProxy.host);
  if (fault !== undefined) return [error(CODE, [...at, "host"], fault, "name a service")];
  if (egressProxy.port === undefined) return [error(CODE, at, "the egressProxy has no port", "add `port: {number: 443}`")];
  return checkDestination(egressProxy, at);
}
