// Single values of an AuthorizationPolicy: why one is refused, or undefined where it is right. Source: Istio pkg/config/security.
import { isIpAddress, subnetFault } from "./names.ts";

/** An address or a block of addresses. */
export function addressFault(value: string): string | undefined {
  if (value.includes("/")) return subnetFault(value);
  return isIpAddress(value) ? undefined : `"${value}" is not an IP address`;
}

/** A port as text. */
export function portFault(value: string): string | undefined {
  return /^\d{1,10}$/.test(value) && Number(value) <= 65_535 ? undefined : `"${value}" is not a port`;
}

const MAX_SERVICE_ACCOUNT = 320;

/** `serviceAccount` or `namespace/serviceAccount`. */
export function serviceAccountFault(value: string): string | undefined {
  if (value.includes("*")) return `"${value}" has a wildcard, which service accounts do not take`;
  if (value.length > MAX_SERVICE_ACCOUNT) return `a service account has at most ${MAX_SERVICE_ACCOUNT} characters`;
  const parts = value.split("/");
  return parts.length > 2 || parts.includes("") ? `"${value}" is not a service account` : undefined;
}

/** One `*` at most, at the beginning or at the end. */
export function wildcardFault(value: string): string | undefined {
  const stars = value.split("*").length - 1;
  if (stars > 1) return `"${value}" has more than one wildcard`;
  return stars === 1 && !value.startsWith("*") && !value.endsWith("*") ? `"${value}" has a wildcard in its middle` : undefined;
}

/** The same, without a slash. */
export function trustDomainFault(value: string): string | undefined {
  return wildcardFault(value) ?? (value.includes("/") ? `"${value}" is not a trust domain: it has a slash` : undefined);
}

/** What may stand in a part of a path beside templates (RFC 3986, pchar). */
const PATH_PART = /^[a-zA-Z0-9-._~%!$&'()+,;:@=]+$/;

/** A path with `*` at one end, or a template of `{*}` and one last `{**}`. */
export function templateFault(value: string): string | undefined {
  const isTemplate = value.includes("{*}") || value.includes("{**}");
  let ended = false;
  for (const part of value.replace(/^\/+|\/+$/g, "").split("/")) {
    if (part === "{*}" || part === "{**}") {
      if (ended) return `"${value}" goes on after {**}`;
      ended = part === "{**}";
    } else if (/[{}]/.test(part)) return `"${value}" has a brace outside of {*} and {**}`;
    else if (isTemplate && !PATH_PART.test(part)) return `"${value}" mixes a template with "${part}"`;
  }
  return undefined;
}
