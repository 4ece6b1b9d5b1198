// Which security policies apply to a workload, in the order in which they apply, and whether its ports ask for mutual TLS. Mesh and workload in, policies out.
import { compareText } from "../model/diagnostic.ts";
import type { MutualTlsMode } from "../model/peer-authentication.ts";
import type { TargetReference } from "../model/policy-target.ts";
import type { AuthorizationPolicy, PeerAuthentication, RequestAuthentication } from "../model/resource.ts";
import { ROOT_NAMESPACES } from "./hosts.ts";
import type { Mesh } from "./mesh.ts";
import { carries } from "./selection.ts";

/** What policies tell workloads apart by: an instance or a proxy. */
export interface SecuredWorkload {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The policies of a workload by what they do. Each list is in order of precedence, those of the root namespace first. */
export interface AppliedAuthorization {
  readonly custom: readonly AuthorizationPolicy[];
  readonly audit: readonly AuthorizationPolicy[];
  readonly deny: readonly AuthorizationPolicy[];
  readonly allow: readonly AuthorizationPolicy[];
}

/** A port's mode once what is left unset has been filled in. Source: Istio reference, PeerAuthentication.MutualTLS.Mode. */
export type EffectiveMutualTls = Exclude<MutualTlsMode, "UNSET">;

/** The mode of a workload's ports, and what says so; no policy at all is PERMISSIVE. */
export interface AppliedMutualTls {
  readonly mode: EffectiveMutualTls;
  /** The ports for which something else is said, by container port. */
  readonly byPort: ReadonlyMap<number, EffectiveMutualTls>;
  /** The most specific policy that has a say; undefined where none has. */
  readonly policy: PeerAuthentication | undefined;
}

/** The label by which a gateway knows which Gateway of Kubernetes' Gateway API it serves. */
const GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name";

type TargetedPolicy = AuthorizationPolicy | RequestAuthentication;

/** The AuthorizationPolicies of a workload. Source: Istio, "Authorization Policy": a policy of the root namespace applies in every namespace. */
export function authorizationOf(mesh: Mesh, workload: SecuredWorkload): AppliedAuthorization {
  return remembered(AUTHORIZATION, mesh, workload, () => {
    const applied = rootFirst(mesh.authorizationPolicies, workload).filter((policy) => attaches(policy, workload));
    const doing = (action: AuthorizationPolicy["spec"]["action"]) => applied.filter(({ spec }) => spec.action === action);
    return { custom: doing("CUSTOM"), audit: doing("AUDIT"), deny: doing("DENY"), allow: doing("ALLOW") };
  });
}

/** The RequestAuthentications of a workload: what all of them say holds together. */
export function requestAuthenticationsOf(mesh: Mesh, workload: SecuredWorkload): readonly RequestAuthentication[] {
  return remembered(REQUEST_AUTHENTICATION, mesh, workload, () =>
    rootFirst(mesh.requestAuthentications, workload).filter((policy) => attaches(policy, workload)),
  );
}

/**
 * Whether a workload's ports take mutual TLS: what names the workload counts before what is for its namespace, and that before what is for the mesh; of
 * several of one kind the first in order. Source: Istio reference, PeerAuthentication, and ComposePeerAuthentication of pilot/pkg/security/authn.
 */
export function mutualTlsOf(mesh: Mesh, workload: SecuredWorkload): AppliedMutualTls {
  return remembered(MUTUAL_TLS, mesh, workload, () => {
    const forAll = mesh.peerAuthentications.filter(({ spec }) => isForAll(spec.selector?.matchLabels));
    const ofMesh = forAll.find(({ namespace }) => ROOT_NAMESPACES.includes(namespace));
    const ofNamespace = forAll.find(({ namespace }) => namespace === workload.namespace && !ROOT_NAMESPACES.includes(namespace));
    const ofWorkload = mesh.peerAuthentications.find(({ namespace, spec }) => {
      const wanted = spec.selector?.matchLabels;
      return !isForAll(wanted) && namespace === workload.namespace && !ROOT_NAMESPACES.includes(namespace) && carries(workload.labels, wanted ?? {});
    });
    const speaking = [ofWorkload, ofNamespace, ofMesh].find((policy) => modeOf(policy) !== undefined);
    const mode = modeOf(speaking) ?? "PERMISSIVE";
    const byPort = Object.entries(ofWorkload?.spec.portLevelMtls ?? {}).map(([port, mtls]): [number, EffectiveMutualTls] => [
      Number(port),
      mtls.mode === "UNSET" ? mode : mtls.mode,
    ]);
    return { mode, byPort: new Map(byPort.sort(([a], [b]) => a - b)), policy: byPort.length > 0 ? ofWorkload : speaking };
  });
}

/** The mode of one container port of a workload. */
export function mutualTlsMode(mesh: Mesh, workload: SecuredWorkload, containerPort: number): EffectiveMutualTls {
  const { mode, byPort } = mutualTlsOf(mesh, workload);
  return byPort.get(containerPort) ?? mode;
}

/** What a policy names instead of selecting by labels; none: it selects. */
export function targetsOf({ spec }: TargetedPolicy): readonly TargetReference[] {
  if (spec.targetRefs.length > 0) return spec.targetRefs;
  return spec.targetRef === undefined ? [] : [spec.targetRef];
}

/**
 * Whether a target is something that a policy can attach to here: a Gateway of Kubernetes' Gateway API in the policy's own namespace. Istio attaches policies to
 * Services and to the class of waypoints too, which are enforced by waypoint proxies, and there are none.
 */
export function isAttachable({ group, kind, namespace }: TargetReference, policyNamespace: string): boolean {
  return group === "gateway.networking.k8s.io" && kind === "Gateway" && (namespace === "" || namespace === policyNamespace);
}

/** Whether a dry run was asked for: the policy is evaluated and told about, and decides nothing. Source: Istio, annotation `istio.io/dry-run`. */
export function isDryRun({ annotations }: AuthorizationPolicy): boolean {
  return ["1", "t", "T", "true", "TRUE", "True"].includes(annotations["istio.io/dry-run"] ?? "");
}

/** Source: Istio, WorkloadPolicyMatcher.ShouldAttachPolicy: a policy with targets attaches to nothing but these. */
function attaches(policy: TargetedPolicy, workload: SecuredWorkload): boolean {
  const targets = targetsOf(policy);
  if (targets.length === 0) return carries(workload.labels, policy.spec.selector?.matchLabels ?? {});
  const gateway = workload.labels[GATEWAY_NAME_LABEL];
  return (
    gateway !== undefined &&
    workload.namespace === policy.namespace &&
    targets.some((target) => isAttachable(target, policy.namespace) && target.name === gateway)
  );
}

function rootFirst<Policy extends TargetedPolicy>(policies: readonly Policy[], { namespace }: SecuredWorkload): readonly Policy[] {
  const ofRoot = policies.filter((policy) => ROOT_NAMESPACES.includes(policy.namespace));
  const own = policies.filter((policy) => policy.namespace === namespace && !ROOT_NAMESPACES.includes(namespace));
  return [...ofRoot, ...own];
}

function isForAll(wanted: Readonly<Record<string, string>> | undefined): boolean {
  return Object.keys(wanted ?? {}).length === 0;
}

function modeOf(policy: PeerAuthentication | undefined): EffectiveMutualTls | undefined {
  const mode = policy?.spec.mtls?.mode ?? "UNSET";
  return mode === "UNSET" ? undefined : mode;
}

type Known<Value> = WeakMap<Mesh, Map<string, Value>>;

/** A mesh is built afresh and never changed, so what was found in it once holds for every workload of the same namespace and labels. */
const AUTHORIZATION: Known<AppliedAuthorization> = new WeakMap();
const REQUEST_AUTHENTICATION: Known<readonly RequestAuthentication[]> = new WeakMap();
const MUTUAL_TLS: Known<AppliedMutualTls> = new WeakMap();

function remembered<Value>(known: Known<Value>, mesh: Mesh, workload: SecuredWorkload, find: () => Value): Value {
  const ofMesh = known.get(mesh) ?? new Map<string, Value>();
  known.set(mesh, ofMesh);
  const key = securityViewOf(workload);
  const found = ofMesh.get(key) ?? find();
  ofMesh.set(key, found);
  return found;
}

/** Equal for workloads that no policy can tell apart. */
export function securityViewOf({ namespace, labels }: SecuredWorkload): string {
  return JSON.stringify([namespace, Object.entries(labels).sort(([a], [b]) => compareText(a, b))]);
}
