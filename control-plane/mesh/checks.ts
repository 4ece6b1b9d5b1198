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

/** What a check has found, and the parts of the mesh that it has read for it. */
interface Finding {
  readonly deployments: readonly Deployment[];
  readonly parts: ReadonlyMap<string | symbol, unknown>;
  readonly found: readonly Diagnostic[];
}

/** What all checks have found, handed from one mesh to the next. */
export type RememberedFindings = ReadonlyMap<MeshCheck, Finding>;

/**
 * All findings of all checks. A check of which no part of the mesh that it read has changed is not made again. Parts are compared by identity, so a mesh must be handed in
 * whose unchanged parts are those of the former one. What a check reads is seen while it runs: a list that somebody kept would miss one some day.
 */
export function checkMeshAfter(
  former: RememberedFindings | undefined,
  mesh: Mesh,
  deployments: readonly Deployment[],
): { readonly diagnostics: readonly Diagnostic[]; readonly remembered: RememberedFindings } {
  const remembered = new Map<MeshCheck, Finding>();
  for (const check of CHECKS) {
    const before = former?.get(check);
    remembered.set(check, before !== undefined && stands(before, mesh, deployments) ? before : find(check, mesh, deployments));
  }
  return { diagnostics: [...remembered.values()].flatMap(({ found }) => found), remembered };
}

function stands({ parts, deployments: read }: Finding, mesh: Mesh, deployments: readonly Deployment[]): boolean {
  const sameDeployments = read.length === deployments.length && read.every((deployment, index) => deployment === deployments[index]);
  return sameDeployments && [...parts].every(([part, value]) => Reflect.get(mesh, part) === value);
}

function find(check: MeshCheck, mesh: Mesh, deployments: readonly Deployment[]): Finding {
  const parts = new Map<string | symbol, unknown>();
  // A mesh of its own: what is found out about a mesh is kept with it, and of what another check has found out nothing would be read.
  const watched = new Proxy(mesh, {
    get: (_, part) => {
      const value: unknown = Reflect.get(mesh, part);
      parts.set(part, value);
      return value;
    },
  });
  const found = check(watched, deployments);
  return { deployments, parts, found };
}
