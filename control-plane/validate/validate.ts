// The rules of a single resource, in the order in which they report. What needs several resources is mesh/'s.
import type { Diagnostic } from "../model/diagnostic.ts";
import type { AnyResource } from "../model/resource.ts";
import { checkAnnotations } from "./annotations.ts";
import { checkDestinationRule } from "./destination-rule.ts";
import { checkGateway } from "./gateway.ts";
import { checkDeployment, checkService } from "./kubernetes.ts";
import { checkLocality } from "./locality.ts";
import { checkNotBuilt } from "./not-built.ts";
import { diagnosticOf, type Problem } from "./problem.ts";
import { checkVirtualService } from "./virtual-service.ts";

/** One rule: what it finds wrong with a resource. */
type Rule = (resource: AnyResource) => readonly Problem[];

const RULES: readonly Rule[] = Object.freeze([checkKind, checkAnnotations, checkNotBuilt]);

/** What is wrong with these resources, each taken alone. */
export function validate(resources: readonly AnyResource[]): readonly Diagnostic[] {
  return resources.flatMap((resource) => RULES.flatMap((rule) => rule(resource).map((problem) => diagnosticOf(resource, problem))));
}

function checkKind(resource: AnyResource): readonly Problem[] {
  switch (resource.kind) {
    case "VirtualService":
      return checkVirtualService(resource);
    case "DestinationRule":
      return checkDestinationRule(resource);
    case "Gateway":
      return checkGateway(resource);
    case "Service":
      return checkService(resource);
    case "Deployment":
      return checkDeployment(resource);
    case "MeshConfig":
      return checkLocality(resource.spec.localityLbSetting, ["spec", "localityLbSetting"]);
    case "ServiceEntry":
    case "WorkloadEntry":
    case "WorkloadGroup":
    case "Sidecar":
    case "AuthorizationPolicy":
    case "PeerAuthentication":
    case "RequestAuthentication":
    case "EnvoyFilter":
    case "ProxyConfig":
    case "Telemetry":
    case "WasmPlugin":
    case "TrafficExtension":
    case "Secret":
    case "LocalRun":
    case "Namespace":
      return [];
  }
}
