// The script of the init container: what is to be redirected comes in, a shell script that hands rules to iptables goes out. Pure.
import { INBOUND_SOURCE, POD_PORTS, PROXY_USER } from "../pod-contract.ts";
import type { Interception } from "./interception.ts";

/** Ports of the proxy that others are to reach as they are. */
const OPEN_PORTS = [POD_PORTS.probes, POD_PORTS.ready, POD_PORTS.metrics];
/** Ports of the proxy that are reached through redirection alone: a connection straight to one would be forwarded to itself, and again. */
const CLOSED_PORTS = [POD_PORTS.outbound, POD_PORTS.inbound].join(",");

/**
 * Sets the rules in the pod's network namespace, as Istio's: once, all of a table or nothing. A second run changes nothing. The proxy speaks IPv4; where a pod has
 * global addresses of IPv6 too, connections by them would pass the proxy and its policies by, so they are refused and callers take the other address.
 * Source: Istio, tools/istio-iptables.
 */
export function interceptionScript(interception: Interception): string {
  return `if iptables -w -t nat -C PREROUTING -p tcp -j WEFT_INBOUND 2>/dev/null; then exit 0; fi
iptables-restore -w --noflush <<'RULES'
${rulesOf(interception)}RULES
if awk '$4 == "00" { found = 1 } END { exit !found }' /proc/net/if_inet6 2>/dev/null; then
ip6tables-restore -w --noflush <<'RULES'
${ipv6RulesOf(interception)}RULES
fi
`;
}

/** The rules of IPv4, as \`iptables-restore --noflush\` reads them. */
export function rulesOf(interception: Interception): string {
  const { excludedInterfaces, excludedUsers } = interception;
  const own = (who: "uid" | "gid"): readonly string[] => [
    // The proxy calls its own pod as if it were another one; the application calls itself without the proxy.
    `-A WEFT_OUTPUT -o lo ! -d 127.0.0.0/8 -m owner --${who}-owner ${PROXY_USER} -j WEFT_IN_REDIRECT`,
    `-A WEFT_OUTPUT -m owner --${who}-owner ${PROXY_USER} -j RETURN`,
  ];
  const nat = [
    ":WEFT_INBOUND - [0:0]",
    ":WEFT_IN_REDIRECT - [0:0]",
    ":WEFT_OUTPUT - [0:0]",
    ":WEFT_REDIRECT - [0:0]",
    `-A WEFT_IN_REDIRECT -p tcp -j REDIRECT --to-ports ${POD_PORTS.inbound}`,
    `-A WEFT_REDIRECT -p tcp -j REDIRECT --to-ports ${POD_PORTS.outbound}`,
    ...excludedInterfaces.map((name) => `-A WEFT_INBOUND -i ${name} -j RETURN`),
    ...OPEN_PORTS.map((port) => `-A WEFT_INBOUND -p tcp --dport ${port} -j RETURN`),
    ...inboundRules(interception),
    ...excludedInterfaces.map((name) => `-A WEFT_OUTPUT -o ${name} -j RETURN`),
    `-A WEFT_OUTPUT -s ${INBOUND_SOURCE}/32 -o lo -j RETURN`,
    ...own("uid"),
    ...own("gid"),
    "-A WEFT_OUTPUT -o lo -j RETURN",
    "-A WEFT_OUTPUT -d 127.0.0.0/8 -j RETURN",
    ...excludedUsers.map((user) => `-A WEFT_OUTPUT -m owner --uid-owner ${user} -j RETURN`),
    ...outboundRules(interception),
    "-A PREROUTING -p tcp -j WEFT_INBOUND",
    "-A OUTPUT -p tcp -j WEFT_OUTPUT",
  ];
  const mangle = [
    `-A PREROUTING ! -i lo -p tcp -m multiport --dports ${CLOSED_PORTS} -j DROP`,
    `-A OUTPUT -o lo -p tcp -m multiport --dports ${CLOSED_PORTS} -j DROP`,
  ];
  return ["*mangle", ...mangle, "COMMIT", "*nat", ...nat, "COMMIT", ""].join("\n");
}

function inboundRules({ inboundPorts, excludedInboundPorts }: Interception): readonly string[] {
  if (inboundPorts !== "all") return inboundPorts.map((port) => `-A WEFT_INBOUND -p tcp --dport ${port} -j WEFT_IN_REDIRECT`);
  return [...excludedInboundPorts.map((port) => `-A WEFT_INBOUND -p tcp --dport ${port} -j RETURN`), "-A WEFT_INBOUND -p tcp -j WEFT_IN_REDIRECT"];
}

/** An excluded port counts more than anything, an included one more than an excluded range. */
function outboundRules({ outboundRanges, excludedOutboundRanges, outboundPorts, excludedOutboundPorts }: Interception): readonly string[] {
  return [
    ...excludedOutboundPorts.map((port) => `-A WEFT_OUTPUT -p tcp --dport ${port} -j RETURN`),
    ...outboundPorts.map((port) => `-A WEFT_OUTPUT -p tcp --dport ${port} -j WEFT_REDIRECT`),
    ...excludedOutboundRanges.map((range) => `-A WEFT_OUTPUT -d ${range} -j RETURN`),
    ...(outboundRanges === "all" ? ["-A WEFT_OUTPUT -j WEFT_REDIRECT"] : outboundRanges.map((range) => `-A WEFT_OUTPUT -d ${range} -j WEFT_REDIRECT`)),
  ];
}

/** What is excluded from redirection is excluded here too; where nothing of a direction is redirected nothing is refused. */
function ipv6RulesOf({
  inboundPorts,
  excludedInboundPorts,
  outboundRanges,
  outboundPorts,
  excludedOutboundPorts,
  excludedUsers,
  excludedInterfaces,
}: Interception): string {
  const refuse = "-j REJECT --reject-with tcp-reset";
  const takes = inboundPorts === "all" ? [`-A WEFT_INBOUND -p tcp ${refuse}`] : inboundPorts.map((port) => `-A WEFT_INBOUND -p tcp --dport ${port} ${refuse}`);
  const sends = outboundRanges === "all" ? [`-A WEFT_OUTPUT -p tcp ${refuse}`] : outboundPorts.map((port) => `-A WEFT_OUTPUT -p tcp --dport ${port} ${refuse}`);
  return [
    "*filter",
    ":WEFT_INBOUND - [0:0]",
    ":WEFT_OUTPUT - [0:0]",
    "-A WEFT_INBOUND -i lo -j RETURN",
    "-A WEFT_INBOUND -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
    ...excludedInterfaces.map((name) => `-A WEFT_INBOUND -i ${name} -j RETURN`),
    ...[...OPEN_PORTS, ...(inboundPorts === "all" ? excludedInboundPorts : [])].map((port) => `-A WEFT_INBOUND -p tcp --dport ${port} -j RETURN`),
    ...takes,
    "-A WEFT_OUTPUT -o lo -j RETURN",
    "-A WEFT_OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
    ...excludedInterfaces.map((name) => `-A WEFT_OUTPUT -o ${name} -j RETURN`),
    ...[PROXY_USER, ...excludedUsers].map((user) => `-A WEFT_OUTPUT -m owner --uid-owner ${user} -j RETURN`),
    ...excludedOutboundPorts.map((port) => `-A WEFT_OUTPUT -p tcp --dport ${port} -j RETURN`),
    ...sends,
    "-A INPUT -p tcp -j WEFT_INBOUND",
    "-A OUTPUT -p tcp -j WEFT_OUTPUT",
    "COMMIT",
    "",
  ].join("\n");
}
