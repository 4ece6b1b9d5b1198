// Files that resources name for certificates: of Gateways' servers, and of DestinationRules' connections.
import type { Resources } from "../model/resource.ts";
import { clientFiles, tlsSettings } from "./client-credentials.ts";
import { certificateFiles } from "./gateway-servers.ts";

/** Each path once, in the order of the resources. */
export function namedCertificateFiles({ gateways, destinationRules }: Pick<Resources, "gateways" | "destinationRules">): readonly string[] {
  const served = gateways.flatMap(({ spec }) => spec.servers.flatMap(({ tls }) => (tls === undefined ? [] : certificateFiles(tls))));
  const called = destinationRules.flatMap((rule) => tlsSettings(rule).flatMap(({ tls }) => clientFiles(tls)));
  return [...new Set([...served, ...called])];
}
