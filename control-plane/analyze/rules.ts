// The rules of an analysis, in the order in which they report.
import { alphaAnnotations, annotations } from "./annotations.ts";
import { applicationUser } from "./application-user.ts";
import { authorizationPolicies } from "./authorization-policies.ts";
import { blockedAddresses } from "./blocked-addresses.ts";
import { claimRoutes } from "./claim-routes.ts";
import { conditions } from "./conditions.ts";
import { conflictingGateways } from "./conflicting-gateways.ts";
import { deploymentServices } from "./deployment-services.ts";
import { deprecatedFields } from "./deprecated-fields.ts";
import { destinationHosts, destinationSubsets, ingressSubsets } from "./destinations.ts";
import type { AnalysisRule } from "./finding.ts";
import { gatewayCertificates } from "./gateway-certificates.ts";
import { gatewayPorts } from "./gateway-ports.ts";
import { gatewaySecrets } from "./gateway-secrets.ts";
import { meshHosts } from "./mesh-hosts.ts";
import { portNames } from "./port-names.ts";
import { serverVerification } from "./server-verification.ts";
import { serviceEntryAddresses, serviceEntryProtocols } from "./service-entries.ts";
import { sidecarSelectors } from "./sidecar-selectors.ts";
import { subsetsSelectPods } from "./subsets-select-pods.ts";
import { telemetryDefaults, telemetryProviders, telemetrySelectors, telemetryTracers } from "./telemetries.ts";
import { virtualServiceGateways } from "./virtual-service-gateways.ts";

/** All of them. */
export const ANALYSIS_RULES: readonly AnalysisRule[] = Object.freeze([
  { name: "annotations", check: annotations },
  { name: "alphaAnnotations", check: alphaAnnotations },
  { name: "blockedAddresses", check: blockedAddresses },
  { name: "authorizationPolicies", check: authorizationPolicies },
  { name: "conditions", check: conditions },
  { name: "deploymentServices", check: deploymentServices },
  { name: "applicationUser", check: applicationUser },
  { name: "serverVerification", check: serverVerification },
  { name: "subsetsSelectPods", check: subsetsSelectPods },
  { name: "deprecatedFields", check: deprecatedFields },
  { name: "gatewayPorts", check: gatewayPorts, needsGatewayPods: true },
  { name: "gatewayCertificates", check: gatewayCertificates },
  { name: "gatewaySecrets", check: gatewaySecrets },
  { name: "conflictingGateways", check: conflictingGateways },
  { name: "portNames", check: portNames },
  { name: "sidecarSelectors", check: sidecarSelectors },
  { name: "meshHosts", check: meshHosts, replacedByMesh: true },
  { name: "destinationHosts", check: destinationHosts },
  { name: "ingressSubsets", check: ingressSubsets },
  { name: "destinationSubsets", check: destinationSubsets },
  { name: "virtualServiceGateways", check: virtualServiceGateways },
  { name: "claimRoutes", check: claimRoutes },
  { name: "serviceEntryAddresses", check: serviceEntryAddresses },
  { name: "serviceEntryProtocols", check: serviceEntryProtocols },
  { name: "telemetryProviders", check: telemetryProviders },
  { name: "telemetrySelectors", check: telemetrySelectors },
  { name: "telemetryDefaults", check: telemetryDefaults },
  { name: "telemetryTracers", check: telemetryTracers },
]);
