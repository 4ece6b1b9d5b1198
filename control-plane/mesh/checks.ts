// What is said about resources that do not fit together: one ordered list of checks over the finished mesh. None of them sets a resource aside: Istio
// accepts all of it, and much of it is right a moment later.
import type { Diagnostic } from "../model/diagnostic.ts";
import type { Deployment } from "../model/resource.ts";
import { credentialsAreThere } from "./check-credentials.ts";
import { destinationsAreKnown } from "./check-destinations.ts";
import { gatewaysAreServed, gatewaysExist, serversCanBeServed } from "./check-gateways.ts";
import { limitsKeepTrafficTogether, mergedRulesAgree, ruleHostsAreKnown, subsetsSelectSomething } from "./check-rules.ts";
import {
  authorizersExist,
  denyRulesFitTheirPorts,
  identitiesCanBeKnown,
  mutualTlsFitsRules,
  onePeerAuthenticationEach,
  policiesLetSomethingThrough,
  securityPoliciesAttach,
  tokenKeysAreReadable,
} from "./check-security.ts";
import { oneSidecarPerWorkload } from "./check-sidecars.ts";
import { delegatesFit, virtualServicesDoNotConflict } from "./check-virtual-services.ts";
import { ingressListenersAreBound } from "./ingress.ts";
import type { Mesh } from "./mesh.ts";

/** A check reads the mesh (and the Deployments, which say what will run) and gives its findings. */
type MeshCheck = (mesh: Mesh, deployments: readonly Deployment[]) => readonly Diagnostic[];

const CHECKS: readonly MeshCheck[] = Object.freeze([
  destinationsAreKnown,
  virtualServicesDoNotConflict,
  delegatesFit,
  gatewaysExist,
  gatewaysAreServed,
  serversCanBeServed,
  ingressListenersAreBound,
  ruleHostsAreKnown,
  mergedRulesAgree,
  subsetsSelectSomething,
  credentialsAreThere,
  oneSidecarPerWorkload,
  limitsKeepTrafficTogether,
  securityPoliciesAttach,
  policiesLetSomethingThrough,
  denyRulesFitTheirPorts,
  authorizersExist,
  mutualTlsFitsRules,
  identitiesCanBeKnown,
  tokenKeysAreReadable,
  onePeerAuthenticationEach,
]);

/** All findings of all checks. */
export function checkMesh(mesh: Mesh, deployments: readonly Deployment[]): readonly Diagnostic[] {
  return CHECKS.flatMap((check) => check(mesh, deployments));
}
