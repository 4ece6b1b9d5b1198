// What a route does besides sending a request to a destination: redirect, direct response, rewrite, faults, mirrors, CORS.
// Source: Istio pkg/config/validation/validation.go and virtualservice.go.
import type { FieldPath } from "../model/resource.ts";
import type { HttpFault, HttpMatch, HttpRoute } from "../model/virtual-service.ts";
import { checkDestination } from "./destinations.ts";
import { isHeaderName } from "./headers.ts";
import { error, type Problem, warning } from "./problem.ts";
import { checkDuration, checkPercentage, checkRegex } from "./values.ts";

/** `redirect` of a route with these matches. */
export function checkRedirect(redirect: HttpRoute["redirect"], matches: readonly HttpMatch[], path: FieldPath): readonly Problem[] {
  if (redirect === undefined) return [];
  const { uri = "", prefixRewrite = "", authority = "", port, derivePort, scheme = "", redirectCode } = redirect;
  const problems: Problem[] = [];
  if (uri !== "" && prefixRewrite !== "") problems.push(error("WEFT0322", path, "a redirect has either uri or prefixRewrite, not both", "remove one of them"));
  if (prefixRewrite !== "" && matches.some((match) => match.uri !== undefined && match.uri.kind !== "prefix")) {
    problems.push(
      error(
        "WEFT0322",
        [...path, "prefixRewrite"],
        "prefixRewrite needs every uri of the route's match to be a prefix",
        "match with `prefix:`, or redirect with `uri:`",
      ),
    );
  }
  if (uri === "" && prefixRewrite === "" && authority === "" && port === undefined && derivePort === undefined && scheme === "") {
    problems.push(error("WEFT0322", path, "the redirect leads nowhere", "set at least one of uri, prefixRewrite, authority, port, scheme"));
  }
  if (port !== undefined && derivePort !== undefined)
    problems.push(error("WEFT0322", path, "a redirect has either port or derivePort, not both", "remove one of them"));
  if (redirectCode !== undefined && redirectCode !== 0 && (redirectCode < 300 || redirectCode > 399)) {
    problems.push(error("WEFT0322", [...path, "redirectCode"], `${redirectCode} is not a redirect`, "use a code from 300 to 399; 301 is the default"));
  }
  if (scheme !== "" && scheme !== "http" && scheme !== "https") {
    problems.push(error("WEFT0322", [...path, "scheme"], `"${scheme}" is not a scheme of HTTP`, "use http or https"));
  }
  return problems;
}

const LARGE_BODY_BYTES = 100 * 1024;
const MAX_BODY_BYTES = 1024 * 1024;

/** `directResponse` of a route. */
export function checkDirectResponse(response: HttpRoute["directResponse"], path: FieldPath): readonly Problem[] {
  if (response === undefined) return [];
  const { status, body } = response;
  const problems: Problem[] = [...checkStatus(status, [...path, "status"])];
  const both = body?.string !== undefined && body.bytes !== undefined;
  if (both) problems.push(error("WEFT0323", [...path, "body"], "a body is either string or bytes, not both", "remove one of them"));
  const sizeBytes = body?.string === undefined ? Buffer.from(body?.bytes ?? "", "base64").length : Buffer.byteLength(body.string);
  if (sizeBytes > MAX_BODY_BYTES) problems.push(error("WEFT0323", [...path, "body"], "the body is larger than 1 MB", "serve it from a workload"));
  else if (sizeBytes > LARGE_BODY_BYTES) {
    problems.push(warning("WEFT0323", [...path, "body"], "the body is larger than 100 kB and goes to every proxy", "serve it from a workload"));
  }
  return problems;
}

function checkStatus(status: number, path: FieldPath): readonly Problem[] {
  if (status >= 200 && status <= 600) return [];
  return [error("WEFT0324", path, `${status} is not the status of a response`, "use a status from 200 to 599")];
}

/** `rewrite` of a route. */
export function checkRewrite(rewrite: HttpRoute["rewrite"], path: FieldPath): readonly Problem[] {
  if (rewrite === undefined) return [];
  const { uri = "", authority = "", uriRegexRewrite } = rewrite;
  if (uri !== "" && uriRegexRewrite !== undefined)
    return [error("WEFT0325", path, "a rewrite has either uri or uriRegexRewrite, not both", "remove one of them")];
  if (uri === "" && authority === "" && uriRegexRewrite === undefined)
    return [error("WEFT0325", path, "the rewrite changes nothing", "set uri, uriRegexRewrite or authority")];
  if (uriRegexRewrite === undefined) return [];
  const at = [...path, "uriRegexRewrite"];
  const { match, rewrite: replacement } = uriRegexRewrite;
  if (match === "" || replacement === "") return [error("WEFT0325", at, "uriRegexRewrite needs both match and rewrite", "write both")];
  return checkRegex(match, [...at, "match"]);
}

/** `fault` of a route. */
export function checkFault(fault: HttpFault | undefined, path: FieldPath): readonly Problem[] {
  if (fault === undefined) return [];
  if (fault.abort === undefined && fault.delay === undefined)
    return [error("WEFT0326", path, "the fault has neither abort nor delay", "add one, or remove the fault")];
  return [...checkDelay(fault.delay, [...path, "delay"]), ...checkAbort(fault.abort, [...path, "abort"])];
}

/** `fault.delay`. */
export function checkDelay(delay: HttpFault["delay"], path: FieldPath): readonly Problem[] {
  if (delay === undefined) return [];
  const problems: Problem[] = [...checkPercentage(delay.percentage, [...path, "percentage"]), ...checkDuration(delay.fixedDelay, [...path, "fixedDelay"])];
  if (delay.exponentialDelay !== undefined) {
    problems.push(error("WEFT0326", [...path, "exponentialDelay"], "exponentialDelay is in Istio's API, and Istio always refuses it", "use fixedDelay"));
  }
  return problems;
}

const GRPC_STATUSES: ReadonlySet<string> = new Set(
  "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED UNAUTHENTICATED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS".split(
    " ",
  ),
);

/** `fault.abort`. */
export function checkAbort(abort: HttpFault["abort"], path: FieldPath): readonly Problem[] {
  if (abort === undefined) return [];
  const { httpStatus, grpcStatus, http2Error, percentage } = abort;
  const problems: Problem[] = [...checkPercentage(percentage, [...path, "percentage"])];
  if (http2Error !== undefined) {
    problems.push(error("WEFT0326", [...path, "http2Error"], "http2Error is in Istio's API, and Istio always refuses it", "use httpStatus"));
  }
  if (httpStatus !== undefined && grpcStatus !== undefined)
    problems.push(error("WEFT0326", path, "an abort has either httpStatus or grpcStatus, not both", "remove one of them"));
  if (httpStatus !== undefined) problems.push(...checkStatus(httpStatus, [...path, "httpStatus"]));
  if (grpcStatus !== undefined && !GRPC_STATUSES.has(grpcStatus)) {
    problems.push(error("WEFT0326", [...path, "grpcStatus"], `"${grpcStatus}" is not a status of gRPC`, `use one of ${[...GRPC_STATUSES].join(", ")}`));
  }
  if (httpStatus === undefined && grpcStatus === undefined && http2Error === undefined) {
    problems.push(warning("WEFT0326", path, "the abort names no status and does nothing", "add httpStatus"));
  }
  return problems;
}

/** `mirror`, `mirrors` and the share of a route. */
export function checkMirrors(route: HttpRoute, path: FieldPath): readonly Problem[] {
  const { mirror, mirrors, mirrorPercent } = route;
  const problems: Problem[] = [...checkDestination(mirror, [...path, "mirror"])];
  for (const [index, { destination }] of mirrors.entries()) problems.push(...checkDestination(destination, [...path, "mirrors", index, "destination"]));
  if (mirror !== undefined && mirrors.length > 0)
    problems.push(error("WEFT0327", [...path, "mirrors"], "a route has either mirror or mirrors, not both", "move the mirror into the list"));
  if (mirrorPercent !== undefined) {
    if (mirrorPercent > 100)
      problems.push(error("WEFT0327", [...path, "mirrorPercent"], `mirrorPercent is at most 100, not ${mirrorPercent}`, "use mirrorPercentage: {value: 100}"));
    problems.push(warning("WEFT0327", [...path, "mirrorPercent"], "mirrorPercent is deprecated", `write \`mirrorPercentage: {value: ${mirrorPercent}}\``));
  }
  return problems;
}

const CORS_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"]);

/** `corsPolicy` of a route. */
export function checkCors(cors: HttpRoute["corsPolicy"], path: FieldPath): readonly Problem[] {
  if (cors === undefined) return [];
  const problems: Problem[] = [];
  for (const [index, origin] of cors.allowOrigins.entries()) {
    const at = [...path, "allowOrigins", index];
    if (origin.kind === "present" || origin.value === "")
      problems.push(error("WEFT0328", at, "an allowed origin must not be empty", "write exact, prefix or regex with a value"));
    else if (origin.kind === "regex") problems.push(...checkRegex(origin.value, [...at, "regex"]));
  }
  for (const [index, method] of cors.allowMethods.entries()) {
    if (!CORS_METHODS.has(method))
      problems.push(error("WEFT0328", [...path, "allowMethods", index], `"${method}" is not a method`, `use ${[...CORS_METHODS].join(", ")}`));
  }
  for (const list of ["allowHeaders", "exposeHeaders"] as const) {
    for (const [index, name] of cors[list].entries()) {
      if (!isHeaderName(name)) problems.push(error("WEFT0328", [...path, list, index], `"${name}" is not the name of a header`, "use letters, digits and -"));
    }
  }
  problems.push(...checkDuration(cors.maxAge, [...path, "maxAge"]));
  if (cors.maxAge !== undefined && cors.maxAge % 1000 !== 0)
    problems.push(error("WEFT0328", [...path, "maxAge"], "maxAge counts whole seconds", "round it, such as 24h"));
  return problems;
}
