// TrafficPolicy of a DestinationRule, of a subset, of a port. Source: Istio validateTrafficPolicy and what it calls.
import type { ConnectionPool, ConsistentHash, LoadBalancer, OutlierDetection, TrafficPolicy } from "../model/destination-rule.ts";
import type { FieldPath } from "../model/resource.ts";
import { checkClientTls } from "./client-tls.ts";
import { checkLocality, checkZoneAware } from "./locality.ts";
import { domainFault, isIpAddress } from "./names.ts";
import { error, type Problem, warning } from "./problem.ts";
import { checkDuration } from "./values.ts";

/** A traffic policy of a rule in `namespace`. */
export function checkTrafficPolicy(policy: TrafficPolicy | undefined, namespace: string, path: FieldPath): readonly Problem[] {
  if (policy === undefined) return [];
  const { loadBalancer, connectionPool, outlierDetection, tls, portLevelSettings, tunnel, proxyProtocol, retryBudget } = policy;
  const set = [loadBalancer, connectionPool, outlierDetection, tls, tunnel, proxyProtocol, retryBudget, portLevelSettings[0]];
  if (set.every((field) => field === undefined)) return [error("WEFT0360", path, "the traffic policy is empty", "set at least one field, or remove it")];
  if (tunnel !== undefined && proxyProtocol !== undefined)
    return [error("WEFT0360", path, "a policy has either tunnel or proxyProtocol, not both", "remove one of them")];
  return [
    ...checkSettings(policy, namespace, path),
    ...checkProxyProtocol(policy, path),
    ...portLevelSettings.flatMap((settings, index) => checkPort(settings, namespace, [...path, "portLevelSettings", index])),
    ...checkTunnel(tunnel, [...path, "tunnel"]),
  ];
}

/** The header is for the application; a sidecar takes nothing but TLS where mutual TLS is on. */
function checkProxyProtocol({ proxyProtocol, tls }: TrafficPolicy, path: FieldPath): readonly Problem[] {
  if (proxyProtocol === undefined || tls?.mode !== "ISTIO_MUTUAL") return [];
  const what = "connections with a PROXY protocol header are in plain text: ISTIO_MUTUAL counts for nothing beside proxyProtocol";
  return [warning("WEFT0360", [...path, "tls"], what, "remove one of them")];
}

/** What a policy and a port's settings share. */
function checkSettings(settings: Pick<TrafficPolicy, "loadBalancer" | "connectionPool" | "outlierDetection" | "tls">, namespace: string, path: FieldPath) {
  return [
    ...checkOutlierDetection(settings.outlierDetection, [...path, "outlierDetection"]),
    ...checkConnectionPool(settings.connectionPool, [...path, "connectionPool"]),
    ...checkLoadBalancer(settings.loadBalancer, [...path, "loadBalancer"]),
    ...checkClientTls(settings.tls, namespace, [...path, "tls"]),
  ];
}

function checkPort(settings: TrafficPolicy["portLevelSettings"][number], namespace: string, path: FieldPath): readonly Problem[] {
  const { port, loadBalancer, connectionPool, outlierDetection, tls } = settings;
  const problems: Problem[] = port === undefined ? [error("WEFT0361", path, "the settings name no port", "add `port: {number: 80}`")] : [];
  if ([loadBalancer, connectionPool, outlierDetection, tls].every((field) => field === undefined)) {
    return [...problems, error("WEFT0361", path, "the port's settings are empty", "set at least one field, or remove them")];
  }
  return [...problems, ...checkSettings(settings, namespace, path)];
}

function checkTunnel(tunnel: TrafficPolicy["tunnel"], path: FieldPath): readonly Problem[] {
  if (tunnel === undefined) return [];
  const { protocol = "", targetHost } = tunnel;
  const problems: Problem[] = [];
  if (protocol !== "" && protocol !== "CONNECT" && protocol !== "POST")
    problems.push(error("WEFT0362", [...path, "protocol"], `"${protocol}" is no way to tunnel`, "use CONNECT or POST"));
  const fault = isIpAddress(targetHost) ? undefined : domainFault(targetHost);
  if (fault !== undefined) problems.push(error("WEFT0362", [...path, "targetHost"], fault, "write a host name or an IP address"));
  return problems;
}

/** `outlierDetection`. */
export function checkOutlierDetection(outlier: OutlierDetection | undefined, path: FieldPath): readonly Problem[] {
  if (outlier === undefined) return [];
  const problems: Problem[] = [
    ...checkDuration(outlier.baseEjectionTime, [...path, "baseEjectionTime"]),
    ...checkDuration(outlier.interval, [...path, "interval"]),
  ];
  if ((outlier.consecutiveErrors ?? 0) !== 0) {
    problems.push(
      warning("WEFT0363", [...path, "consecutiveErrors"], "consecutiveErrors is deprecated", "use consecutive5xxErrors or consecutiveGatewayErrors"),
    );
  }
  if (outlier.splitExternalLocalOriginErrors !== true && (outlier.consecutiveLocalOriginFailures ?? 0) > 0) {
    const fix = "add `splitExternalLocalOriginErrors: true`";
    problems.push(
      error("WEFT0363", [...path, "consecutiveLocalOriginFailures"], "consecutiveLocalOriginFailures counts only where local errors are told apart", fix),
    );
  }
  return problems;
}

/** `connectionPool`. */
export function checkConnectionPool(pool: ConnectionPool | undefined, path: FieldPath): readonly Problem[] {
  if (pool === undefined) return [];
  const { http, tcp } = pool;
  if (http === undefined && tcp === undefined) return [error("WEFT0364", path, "the connection pool is empty", "set http or tcp, or remove it")];
  const problems: Problem[] = [];
  const durations = [
    [["http", "idleTimeout"], http?.idleTimeout],
    [["http", "http2KeepAlive", "interval"], http?.http2KeepAlive?.interval],
    [["http", "http2KeepAlive", "timeout"], http?.http2KeepAlive?.timeout],
    [["tcp", "connectTimeout"], tcp?.connectTimeout],
    [["tcp", "maxConnectionDuration"], tcp?.maxConnectionDuration],
    // Zero turns this one off.
    [["tcp", "idleTimeout"], tcp?.idleTimeout !== undefined && tcp.idleTimeout < 1 ? undefined : tcp?.idleTimeout],
    [["tcp", "tcpKeepalive", "time"], tcp?.tcpKeepalive?.time],
    [["tcp", "tcpKeepalive", "interval"], tcp?.tcpKeepalive?.interval],
  ] as const;
  for (const [field, durationMs] of durations) problems.push(...checkDuration(durationMs, [...path, ...field]));
  if (http?.h2UpgradePolicy === "UPGRADE" && http.useClientProtocol === true) {
    problems.push(
      error("WEFT0364", [...path, "http", "useClientProtocol"], "h2UpgradePolicy: UPGRADE and useClientProtocol contradict each other", "remove one of them"),
    );
  }
  return problems;
}

/** `loadBalancer`. */
export function checkLoadBalancer(loadBalancer: LoadBalancer | undefined, path: FieldPath): readonly Problem[] {
  if (loadBalancer === undefined) return [];
  const { simple, consistentHash, localityLbSetting, zoneAwareLbSetting, warmup } = loadBalancer;
  const problems: Problem[] = [];
  if (simple !== undefined && consistentHash !== undefined)
    problems.push(error("WEFT0365", path, "a load balancer is either simple or consistentHash, not both", "remove one of them"));
  if (localityLbSetting !== undefined && zoneAwareLbSetting !== undefined) {
    problems.push(error("WEFT0365", path, "a load balancer has either localityLbSetting or zoneAwareLbSetting, not both", "remove one of them"));
  }
  problems.push(...checkConsistentHash(consistentHash, [...path, "consistentHash"]));
  problems.push(...checkLocality(localityLbSetting, [...path, "localityLbSetting"]), ...checkZoneAware(zoneAwareLbSetting, [...path, "zoneAwareLbSetting"]));
  if (warmup === undefined) return problems;
  const at = [...path, "warmup"];
  problems.push(...checkDuration(warmup.duration, [...at, "duration"]));
  if ((warmup.minimumPercent ?? 0) > 100)
    problems.push(error("WEFT0366", [...at, "minimumPercent"], `minimumPercent is at most 100, not ${warmup.minimumPercent}`, "use a number up to 100"));
  if (warmup.aggression !== undefined && warmup.aggression <= 0)
    problems.push(error("WEFT0366", [...at, "aggression"], "aggression must be above 0", "use 1 for a straight line"));
  return problems;
}

const MAGLEV_LIMIT = 5_000_011;
const HASH_KEYS = ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"] as const;

function checkConsistentHash(hash: ConsistentHash | undefined, path: FieldPath): readonly Problem[] {
  if (hash === undefined) return [];
  const { httpCookie, maglev, ringHash, minimumRingSize = 0 } = hash;
  const problems: Problem[] = [];
  const keys = HASH_KEYS.filter((key) => hash[key] !== undefined);
  if (keys.length > 1) problems.push(error("WEFT0367", path, `a consistent hash has one key, not ${keys.join(" and ")}`, "keep one of them"));
  if (httpCookie !== undefined) problems.push(...checkCookie(httpCookie, [...path, "httpCookie"]));
  if (minimumRingSize !== 0) {
    problems.push(
      warning("WEFT0367", [...path, "minimumRingSize"], "minimumRingSize is deprecated", `write \`ringHash: {minimumRingSize: ${minimumRingSize}}\``),
    );
    if (maglev !== undefined || ringHash !== undefined)
      problems.push(error("WEFT0367", path, "minimumRingSize and ringHash or maglev cannot be used together", "remove minimumRingSize"));
  }
  if (maglev !== undefined && ringHash !== undefined)
    problems.push(error("WEFT0367", path, "a consistent hash is either ringHash or maglev, not both", "remove one of them"));
  if (maglev === undefined) return problems;
  const { tableSize = 0 } = maglev;
  const at = [...path, "maglev"];
  if (tableSize === 0) problems.push(error("WEFT0367", at, "maglev needs a tableSize", "write `tableSize: 65537`"));
  else if (tableSize >= MAGLEV_LIMIT) problems.push(error("WEFT0367", [...at, "tableSize"], `tableSize must be below ${MAGLEV_LIMIT}`, "use 65537"));
  else if (!isPrime(tableSize))
    problems.push(error("WEFT0367", [...at, "tableSize"], `tableSize must be a prime number, and ${tableSize} is none`, "use 65537"));
  return problems;
}

function checkCookie(cookie: NonNullable<ConsistentHash["httpCookie"]>, path: FieldPath): readonly Problem[] {
  const problems: Problem[] = cookie.name === "" ? [error("WEFT0368", [...path, "name"], "the cookie has no name", "write its name")] : [];
  const seen = new Set<string>();
  for (const [index, { name }] of cookie.attributes.entries()) {
    const at = [...path, "attributes", index];
    if (name === "") problems.push(error("WEFT0368", at, "an attribute of the cookie has no name", "write its name, such as SameSite"));
    else if (seen.has(name)) problems.push(error("WEFT0368", at, `the attribute ${name} stands twice`, "remove one of the two"));
    seen.add(name);
  }
  return problems;
}

/** Below {@link MAGLEV_LIMIT}: at most 1,118 divisions. */
function isPrime(number: number): boolean {
  if (number < 4) return number > 0;
  if (number % 2 === 0) return false;
  for (let factor = 3; factor * factor <= number; factor += 2) if (number % factor === 0) return false;
  return true;
}
