// Istio's own answers to VirtualServices, DestinationRules, Gateways and their parts, recorded from its unit tests: would it accept this?
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { destinationRuleSpec, localityLbSetting, outlierDetection, trafficPolicy } from "../model/destination-rule.ts";
import { gatewaySpec } from "../model/gateway.ts";
import { destination, httpRetry, httpRoute, virtualServiceSpec } from "../model/virtual-service.ts";
import { checkClientTls } from "./client-tls.ts";
import { checkDestinationRule } from "./destination-rule.ts";
import { checkDestination } from "./destinations.ts";
import { checkGateway, checkServer } from "./gateway.ts";
import { checkAbort, checkCors, checkDelay, checkDirectResponse, checkRewrite } from "./http-actions.ts";
import { checkHttpRoute } from "./http-route.ts";
import { checkLocality, checkZoneAware } from "./locality.ts";
import type { Problem } from "./problem.ts";
import { checkRetries } from "./retries.ts";
import { checkServerTls } from "./server-tls.ts";
import { checkConnectionPool, checkLoadBalancer, checkOutlierDetection, checkTrafficPolicy } from "./traffic-policy.ts";
import { checkVirtualService } from "./virtual-service.ts";

const FOLDER = join(process.env.WEFT_SHARED ?? "../shared", "conformance");
const LEAST_AGREEMENT = 0.99;

const recorded = z.object({
  id: z.string(),
  func: z.string(),
  name: z.string().default(""),
  namespace: z.string().default(""),
  spec: z.unknown().optional(),
  input: z.unknown().optional(),
  accept: z.boolean(),
  error: z.string().default(""),
  delegate: z.boolean().default(false),
});
type Recorded = z.output<typeof recorded>;

/** Every problem that Weft has with a recorded input; the reason where the schema already refuses it. */
type Judge = (recorded: Recorded) => readonly string[];

function judge<Value>(schema: z.ZodType<Value>, check: (value: Value, recorded: Recorded) => readonly Problem[]): Judge {
  return (line) => {
    const result = schema.safeParse(line.input ?? line.spec);
    if (!result.success) return result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    return check(result.data, line)
      .filter(({ severity }) => severity === "error")
      .map(({ path, what }) => `${path.join(".")}: ${what}`);
  };
}

const route = httpRoute.shape;
const policy = trafficPolicy.shape;
const server = gatewaySpec.shape.servers.unwrap().element;
const fault = route.fault.unwrap().shape;

const JUDGES: Readonly<Record<string, Judge>> = {
  ValidateVirtualService: judge(virtualServiceSpec, (spec, { namespace }) => checkVirtualService({ spec, namespace })),
  ValidateDestinationRule: judge(destinationRuleSpec, (spec, { namespace }) => checkDestinationRule({ spec, namespace })),
  ValidateGateway: judge(gatewaySpec, (spec, { name }) => checkGateway({ spec, name })),
  ValidateHTTPRetry: judge(httpRetry, (value) => checkRetries(value, [])),
  ValidateLocalityLbSetting: judge(localityLbSetting, (value) => checkLocality(value, [])),
  ValidateZoneAwareLbSetting: judge(policy.loadBalancer.unwrap().shape.zoneAwareLbSetting, (value) => checkZoneAware(value, [])),
  ValidateTLS: judge(policy.tls, (value) => checkClientTls(value, "", [])),
  validateCORSPolicy: judge(route.corsPolicy, (value) => checkCors(value, [])),
  validateConnectionPool: judge(policy.connectionPool, (value) => checkConnectionPool(value, [])),
  validateDestination: judge(destination, (value) => checkDestination(value, [])),
  validateHTTPDirectResponse: judge(route.directResponse, (value) => checkDirectResponse(value, [])),
  validateHTTPFaultInjectionAbort: judge(fault.abort, (value) => checkAbort(value, [])),
  validateHTTPFaultInjectionDelay: judge(fault.delay, (value) => checkDelay(value, [])),
  validateHTTPRewrite: judge(route.rewrite, (value) => checkRewrite(value, [])),
  validateHTTPRoute: judge(httpRoute, (value, { delegate }) => checkHttpRoute(value, [], delegate)),
  validateLoadBalancer: judge(policy.loadBalancer, (value) => checkLoadBalancer(value, [])),
  validateOutlierDetection: judge(outlierDetection, (value) => checkOutlierDetection(value, [])),
  validateServer: judge(server, (value) => checkServer(value, [])),
  validateTLSOptions: judge(server.shape.tls, (value) => checkServerTls(value, [])),
  validateTrafficPolicy: judge(trafficPolicy, (value) => checkTrafficPolicy(value, "", [])),
};

/** Parts that may be absent: an absent one was recorded as `{}`. */
const MAY_BE_ABSENT: ReadonlySet<string> = new Set(["validateHTTPRewrite", "validateHTTPDirectResponse"]);

/** What the other kinds' functions are called: not built yet, so not judged. */
function linesOf(file: string): readonly Recorded[] {
  const lines = readFileSync(join(FOLDER, file), "utf8").trim().split("\n");
  return lines.map((line) => recorded.parse(JSON.parse(line))).filter(({ func }) => JUDGES[func] !== undefined);
}

describe.skipIf(!existsSync(FOLDER))("Istio's own verdicts (needs conformance data)", () => {
  it("are Weft's too, for at least 99 in 100 inputs", () => {
    const lines = ["validate.jsonl", "validate_part.jsonl"].flatMap(linesOf);
    const disagreements = lines.flatMap((line) => {
      const absent = MAY_BE_ABSENT.has(line.func) && JSON.stringify(line.input) === "{}";
      const problems = absent ? [] : (JUDGES[line.func]?.(line) ?? []);
      return (problems.length === 0) === line.accept ? [] : [disagreement(line, problems)];
    });
    const agreed = lines.length - disagreements.length;
    console.log([`${agreed} of ${lines.length} verdicts agree`, ...disagreements].join("\n"));
    expect(lines.length).toBeGreaterThan(0);
    expect(agreed / lines.length).toBeGreaterThanOrEqual(LEAST_AGREEMENT);
  });
});

function disagreement(line: Recorded, problems: readonly string[]): string {
  const istio = line.accept ? "accepts" : `refuses (${line.error.trim()})`;
  const weft = problems.length === 0 ? "accepts" : `refuses (${problems.join("; ")})`;
  return `${line.id}: Istio ${istio}, Weft ${weft}: ${JSON.stringify(line.input ?? line.spec)}`;
}
