// External authorizers: the two kinds of extension providers that AuthorizationPolicies with the action CUSTOM name.
// Source: Istio reference, MeshConfig.ExtensionProvider, EnvoyExternalAuthorizationHttpProvider and EnvoyExternalAuthorizationGrpcProvider.
import { z } from "zod";
import { durationMs, portNumber, stringMap, uint32 } from "./fields.ts";

/** The statuses that Envoy can be told to answer. Source: envoy.type.v3.StatusCode. */
const ANSWERABLE: readonly (readonly [first: number, last: number])[] = [
  [100, 100],
  [200, 208],
  [226, 226],
  [300, 305],
  [307, 308],
  [400, 417],
  [421, 424],
  [426, 426],
  [428, 429],
  [431, 431],
  [500, 508],
  [510, 511],
];

const status = z.string().refine((text) => /^\d{3}$/.test(text) && ANSWERABLE.some(([first, last]) => Number(text) >= first && Number(text) <= last), {
  error: "expected an HTTP status such as 403, in quotes",
});

/** Names of headers may begin or end with a star. */
const headerNames = z.array(z.string().refine((name) => name !== "*", { error: "expected a name, with a star at most at its beginning or end" })).default([]);

const common = {
  /** `[namespace/]hostname`. */
  service: z.string().default(""),
  port: portNumber,
  timeout: durationMs.optional(),
  /** Lets requests through while the authorizer cannot be reached. */
  failOpen: z.boolean().default(false),
  clearRouteCache: z.boolean().default(false),
  /** Answered while the authorizer cannot be reached; 403 where nothing is said. */
  statusOnError: status.optional(),
  includeRequestBodyInCheck: z
    .strictObject({ maxRequestBytes: uint32.default(0), allowPartialMessage: z.boolean().default(false), packAsBytes: z.boolean().default(false) })
    .optional(),
};

export const extAuthzHttp = z.strictObject({
  ...common,
  pathPrefix: z
    .string()
    .refine((path) => path === "" || path.startsWith("/"), { error: "expected a path that begins with /" })
    .default(""),
  includeHeadersInCheck: headerNames,
  includeRequestHeadersInCheck: headerNames,
  includeAdditionalHeadersInCheck: stringMap.default({}),
  headersToUpstreamOnAllow: headerNames,
  headersToDownstreamOnDeny: headerNames,
  headersToDownstreamOnAllow: headerNames,
});

export const extAuthzGrpc = z.strictObject(common);

export type ExtAuthzHttp = z.output<typeof extAuthzHttp>;
export type ExtAuthzGrpc = z.output<typeof extAuthzGrpc>;
