// External authorizers: the two kinds of extension providers that AuthorizationPolicies with the action CUSTOM name.
// Source: Istio reference, MeshConfig.ExtensionProvider, EnvoyExternalAuthorizationHttpProvider and EnvoyExternalAuthorizationGrpcProvider.
import { z } from "zod";
import { durationMs, portNumber, stringMap, uint32 } from "./fields.ts";

const strings = z.array(z.string()).default([]);

const common = {
  /** `[namespace/]hostname`. */
  service: z.string().default(""),
  port: portNumber,
  timeout: durationMs.optional(),
  /** Lets requests through while the authorizer cannot be reached. */
  failOpen: z.boolean().default(false),
  clearRouteCache: z.boolean().default(false),
  /** Answered while the authorizer cannot be reached; 403 where nothing is said. */
  statusOnError: z.string().optional(),
  includeRequestBodyInCheck: z
    .strictObject({ maxRequestBytes: uint32.default(0), allowPartialMessage: z.boolean().default(false), packAsBytes: z.boolean().default(false) })
    .optional(),
};

/** Names of headers may begin or end with a star. */
export const extAuthzHttp = z.strictObject({
  ...common,
  pathPrefix: z.string().default(""),
  includeHeadersInCheck: strings,
  includeRequestHeadersInCheck: strings,
  includeAdditionalHeadersInCheck: stringMap.default({}),
  headersToUpstreamOnAllow: strings,
  headersToDownstreamOnDeny: strings,
  headersToDownstreamOnAllow: strings,
});

export const extAuthzGrpc = z.strictObject(common);

export type ExtAuthzHttp = z.output<typeof extAuthzHttp>;
export type ExtAuthzGrpc = z.output<typeof extAuthzGrpc>;
