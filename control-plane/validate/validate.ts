// The rules of a single resource, in the order in which they report. What needs several resources is mesh/'s.
import type { Diagnostic } from "../model/diagnostic.ts";
import type { AnyResource } from "../model/resource.ts";
import { checkAnnotations, checkReservedAnnotations } from "./annotations.ts";
import { checkPeerAuthentication, checkRequestAuthentication } from "./authentication.ts";
import { checkAuthorizationPolicy } from "./authorization-policy.ts";
import { checkDestinationRule } from "./destination-rule.ts";
import { checkEnvoyFilter } from "./envoy-filter.ts";
import { checkProxyConfig, checkTrafficExtension, checkWasmPlugin } from "./extensions.ts";
import { checkGateway } from "./gateway.ts";
import { checkDeployment, checkService } from "./kubernetes.ts";
import { checkLocality } from "./locality.ts";
import { checkMetadata } from "./metadata.ts";
import { checkNotBuilt } from "./not-built.ts";
import { diagnosticOf, type Problem } from "./problem.ts";
import { checkSecret } from "./secret.ts";
import { checkServiceEntry } from "./service-entry.ts";
import { checkSidecar } from "./sidecar.ts";
import { checkTelemetry } from "./telemetry.ts";
import { checkVirtualService } from "./virtual-service.ts";
import { checkWorkloadEntry, checkWorkloadGroup } from "./workload-entry.ts";

/** One rule: what it finds wrong with a resource. */
type Rule = (resource: AnyResource) => readonly Problem[];

const RULES: readonly Rule[] = Object.freeze([checkMetadata, checkKind, checkAnnotations, checkReservedAnnotations, checkNotBuilt]);

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
      return checkServiceEntry(resource);
    case "WorkloadEntry":
      return checkWorkloadEntry(resource);
    case "WorkloadGroup":
      return checkWorkloadGroup(resource);
    case "Sidecar":
      return checkSidecar(resource);
    case "AuthorizationPolicy":
      return checkAuthorizationPolicy(resource);
    case "PeerAuthentication":
      return checkPeerAuthentication(resource);
    case "RequestAuthentication":
      return checkRequestAuthentication(resource);
    case "EnvoyFilter":
      return checkEnvoyFilter(resource);
    case "ProxyConfig":
      return checkProxyConfig(resource);
    case "Telemetry":
      return checkTelemetry(resource);
    case "WasmPlugin":
      return checkWasmPlugin(resource);
    case "TrafficExtension":
      return checkTrafficExtension(resource);
    case "Secret":
      return checkSecret(resource);
    case "LocalRun":
    case "Namespace":
      return [];
  }
}
