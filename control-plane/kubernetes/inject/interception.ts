// Which connections of a pod go through its proxy: Istio's annotations come in, and are checked; ranges, ports and users go out.
import { annotationFault } from "../../analyze/annotation-values.ts";
import { subnetFault } from "../../validate/names.ts";

/** What `iptables` is to redirect. `all`: everything that is not excluded. */
export interface Interception {
  readonly inboundPorts: "all" | readonly number[];
  readonly excludedInboundPorts: readonly number[];
  readonly outboundRanges: "all" | readonly string[];
  readonly excludedOutboundRanges: readonly string[];
  /** Redirected whatever their address. */
  readonly outboundPorts: readonly number[];
  readonly excludedOutboundPorts: readonly number[];
  /** Nothing that passes one of these is redirected. */
  readonly excludedInterfaces: readonly string[];
  /** Connections of these users pass the proxy by. */
  readonly excludedUsers: readonly number[];
}

const PREFIX = "traffic.sidecar.istio.io/";
const EXCLUDED_USERS = "weft.mesh/excludeOutboundUIDs";

/** What the annotations of a pod say, and what is wrong with them: a wrong one counts as not written. */
export function interceptionOf(annotations: Readonly<Record<string, string>>): { readonly interception: Interception; readonly faults: readonly string[] } {
  const faults: string[] = [];
  const written = (name: string): string | undefined => {
    const value = annotations[`${PREFIX}${name}`];
    if (value === undefined) return undefined;
    const fix = annotationFault(`${PREFIX}${name}`, value) ?? rangeFault(value);
    if (fix === undefined) return value;
    faults.push(`the annotation ${PREFIX}${name} says ${JSON.stringify(value)} and counts as not written: ${fix}`);
    return undefined;
  };
  const numbers = (name: string): readonly number[] => sortedNumbers(words(written(name)));
  const inbound = written("includeInboundPorts");
  const ranges = written("includeOutboundIPRanges");
  const users = annotations[EXCLUDED_USERS];
  const usersRight = users === undefined || words(users).every((user) => /^\d{1,9}$/.test(user));
  if (!usersRight)
    faults.push(`the annotation ${EXCLUDED_USERS} says ${JSON.stringify(users)} and counts as not written: write numbers of users, separated by commas`);
  const interception: Interception = {
    inboundPorts: inbound === undefined || inbound === "*" ? "all" : sortedNumbers(words(inbound)),
    excludedInboundPorts: numbers("excludeInboundPorts"),
    outboundRanges: ranges === undefined || ranges === "*" ? "all" : words(ranges),
    excludedOutboundRanges: words(written("excludeOutboundIPRanges")),
    outboundPorts: numbers("includeOutboundPorts"),
    excludedOutboundPorts: numbers("excludeOutboundPorts"),
    excludedInterfaces: words(written("excludeInterfaces")),
    excludedUsers: usersRight ? sortedNumbers(words(users)) : [],
  };
  return { interception, faults };
}

/** Only IPv4 is redirected; a range of IPv6 would end the whole set of rules. */
function rangeFault(value: string): string | undefined {
  return words(value).some((word) => word.includes(":") && subnetFault(word) === undefined) ? "only ranges of IPv4 can be told apart" : undefined;
}

function words(text: string | undefined): readonly string[] {
  return (text ?? "")
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
}

function sortedNumbers(texts: readonly string[]): readonly number[] {
  return [...new Set(texts.map(Number))].sort((a, b) => a - b);
}
