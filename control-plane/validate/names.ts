// Names as Kubernetes, DNS and Istio allow them. Each check gives the reason of a refusal, or undefined where the name is right.
// Source: Istio pkg/config/labels, pkg/config/validation/agent (ValidateFQDN, ValidateWildcardDomain), pkg/config/host.
import { z } from "zod";

const DNS_LABEL = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/;
const WILDCARD_LABEL = /^(?:\*|(?:\*|\*-)?[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)$/;
const MAX_LABEL = 63;
const MAX_DOMAIN = 255;

/** Whether `text` is a DNS-1123 label. Istio allows capitals. */
export function isDnsLabel(text: string): boolean {
  return text.length <= MAX_LABEL && DNS_LABEL.test(text);
}

/** Whether `text` is an IPv4 or IPv6 address. */
export function isIpAddress(text: string): boolean {
  return isIpv4(text) || isIpv6(text);
}

function isIpv4(text: string): boolean {
  return z.regexes.ipv4.test(text);
}

function isIpv6(text: string): boolean {
  return z.regexes.ipv6.test(text);
}

/** Why `text` is no address and no block of addresses such as 10.0.0.0/8. */
export function subnetFault(text: string): string | undefined {
  const [address = "", bits, ...rest] = text.split("/");
  if (!isIpAddress(address) || rest.length > 0) return `"${text}" is neither an IP address nor a block such as 10.0.0.0/8`;
  if (bits === undefined) return undefined;
  if (!/^(?:0|[1-9]\d{0,2})$/.test(bits) || Number(bits) > (isIpv4(address) ? 32 : 128)) return `"${text}" has no valid prefix length`;
  return undefined;
}

/** Why `domain` is no fully qualified domain name (a short name counts as one). */
export function domainFault(domain: string): string | undefined {
  return lengthFault(domain) ?? labelsFault(domain, domain);
}

/** The same, but the first label may be a wildcard: `*`, `*.example.com`, `*-foo.example.com`. */
export function wildcardDomainFault(domain: string): string | undefined {
  const length = lengthFault(domain);
  if (length !== undefined) return length;
  const dot = domain.indexOf(".");
  const first = dot < 0 ? domain : domain.slice(0, dot);
  if (first.length > MAX_LABEL || !WILDCARD_LABEL.test(first)) return `"${domain}" is not a domain name: "${first}" is not allowed in it`;
  return dot < 0 ? undefined : labelsFault(domain.slice(dot + 1), domain);
}

function lengthFault(domain: string): string | undefined {
  if (domain.length === 0) return "a host name must not be empty";
  return domain.length > MAX_DOMAIN ? `a host name has at most ${MAX_DOMAIN} characters` : undefined;
}

function labelsFault(labels: string, domain: string): string | undefined {
  const parts = labels.split(".");
  const top = parts.at(-1) ?? "";
  if (/^[+-]?\d+$/.test(top)) return `"${domain}" is not a domain name: it ends in the number ${top}`;
  // An empty last label is the dot of an absolute name.
  const bad = parts.find((label, index) => !(label === "" && index === parts.length - 1) && !isDnsLabel(label));
  return bad === undefined ? undefined : `"${domain}" is not a domain name: "${bad}" is not allowed in it`;
}

/** The host that a gateway with AUTO_PASSTHROUGH gives a service: `outbound_.80_._.reviews.default.svc.cluster.local`. */
export function isGeneratedSniHost(host: string): boolean {
  const parts = host.split("_");
  const port = trimDots(parts[1] ?? "");
  const name = trimDots(parts[3] ?? "");
  return host.length <= MAX_DOMAIN && parts.length >= 4 && parts[0] === "outbound" && /[0-9]/.test(port) && /[a-zA-Z]/.test(name);
}

function trimDots(text: string): string {
  return text.replace(/^\.+|\.+$/g, "");
}

/** Whether two hosts overlap, wildcards included. Source: Istio host.Name.Matches. */
export function hostsOverlap(a: string, b: string): boolean {
  if (!a.startsWith("*")) return b.startsWith("*") ? a.endsWith(b.slice(1)) : a === b;
  if (!b.startsWith("*")) return b.endsWith(a.slice(1));
  return a.length < b.length ? b.slice(1).endsWith(a.slice(1)) : a.slice(1).endsWith(b.slice(1));
}

/** Whether every name that `host` stands for is one that `of` stands for. Source: Istio host.Name.SubsetOf. */
export function isHostSubset(host: string, of: string): boolean {
  if (!host.startsWith("*")) return of.startsWith("*") ? host.endsWith(of.slice(1)) : host === of;
  return of.startsWith("*") && host.length >= of.length && host.slice(1).endsWith(of.slice(1));
}

const LABEL_NAME = /^(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

/** Why these are no Kubernetes labels. */
export function labelsOfFault(labels: Readonly<Record<string, string>>): string | undefined {
  for (const [key, value] of Object.entries(labels)) {
    const slash = key.indexOf("/");
    const prefix = slash < 0 ? undefined : key.slice(0, slash);
    const name = key.slice(slash + 1);
    const prefixOk = prefix === undefined || (prefix.length <= 253 && prefix.split(".").every((part) => DNS_LABEL.test(part)));
    if (!prefixOk || name.length > MAX_LABEL || !LABEL_NAME.test(name)) return `"${key}" is not the name of a label`;
    if (value !== "" && !LABEL_NAME.test(value)) return `"${value}" is not the value of a label`;
  }
  return undefined;
}
