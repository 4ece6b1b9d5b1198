// What an Envoy needs before it has a stream, as files that it watches. Source: config_source.proto, PathConfigSource: the file holds a DiscoveryResponse.

import type { SecretText } from "../model/secret.ts";
import { ROOTS_SECRET } from "../translate/names.ts";

/** Roots as a file for `path_config_source`. */
export function rootsFile(roots: readonly string[]): string {
  return secretFile({ name: ROOTS_SECRET, validation_context: { trusted_ca: { inline_string: roots.join("") } } });
}

/** A token as a file for `path_config_source`: the whole value of the header. Its only reader is the Envoy beside it. */
export function tokenFile(token: SecretText): string {
  return secretFile({ name: "token", generic_secret: { secret: { inline_string: `Bearer ${token.reveal()}` } } });
}

function secretFile(secret: object): string {
  return JSON.stringify({ resources: [{ "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", ...secret }] });
}
