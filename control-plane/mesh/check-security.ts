// Whether security policies do what their authors think: whether they attach to something, lock a service out, or ask for what is not there. Istio accepts all
// of it, so all are warnings; none sets a policy aside.
import type { AuthorizationRule } from "../model/authorization-policy.ts";
import { compareText, type Diagnostic } from "../model/diagnostic.ts";
import { jwksLocation, readableJwks } from "../model/jwks.ts";
import {
  type AuthorizationPolicy,
  type Deployment,
  type DestinationRule,
  type FieldPath,
  type PeerAuthentication,
  type RequestAuthentication,
  resourceLabel,
} from "../model/resource.ts";
import { authorizerNamed } from "./authorizers.ts";
import { ROOT_NAMESPACES } from "./hosts.ts";
import type { Endpoint, MergedRule, Mesh, PortProtocol } from "./mesh.ts";
import { authorizationOf, isAttachable, isDryRun, mutualTlsMode, type SecuredWorkload, securityViewOf, targetsOf } from "./security-policies.ts";
import { carries } from "./selection.ts";
import { isHttp } from "./services.ts";

type SecurityPolicy = AuthorizationPolicy | RequestAuthentication | PeerAuthentication;

function finding(code: string, policy: SecurityPolicy, path: FieldPath, what: string, fix: string): Diagnostic {
  return { code, severity: "warning", origin: policy.locate(path), resource: resourceLabel(policy), what, fix };
}

/** A policy for something that there is not holds for nothing, whatever it says. */
export function securityPoliciesAttach(mesh: Mesh, deployments: readonly Deployment[]): readonly Diagnostic[] {
  const workloads = [...runningAndWanted(mesh, deployments), ...mesh.proxies.filter(({ kind }) => kind === "gateway")];
  const targeted = [...mesh.authorizationPolicies, ...mesh.requestAuthentications].flatMap((policy) =>
    targetsOf(policy).flatMap((target, index): readonly Diagnostic[] => {
      if (isAttachable(target, policy.namespace)) return [];
      const path = policy.spec.targetRefs.length > 0 ? ["spec", "targetRefs", index] : ["spec", "targetRef"];
      const what = `there are no waypoint proxies, so nothing enforces a policy that is attached to the ${target.kind} ${target.name}`;
      return [finding("WEFT0440", policy, path, what, "select the workloads behind it with `selector`")];
    }),
  );
  if (workloads.length === 0) return targeted;
  const selecting = [...mesh.authorizationPolicies, ...mesh.requestAuthentications, ...mesh.peerAuthentications].flatMap((policy): readonly Diagnostic[] => {
    const wanted = policy.spec.selector?.matchLabels ?? {};
    const within = ROOT_NAMESPACES.includes(policy.namespace) ? workloads : workloads.filter(({ namespace }) => namespace === policy.namespace);
    if (Object.keys(wanted).length === 0 || within.some(({ labels }) => carries(labels, wanted))) return [];
    const text = Object.entries(wanted).map(([key, value]) => `${key}: ${value}`);
    const what = `no workload ${ROOT_NAMESPACES.includes(policy.namespace) ? "" : `of ${policy.namespace} `}carries the labels {${text.join(", ")}}: the policy protects nothing`;
    return [
      finding("WEFT0441", policy, ["spec", "selector"], what, "use labels that the workload's pods carry (`template.metadata.labels` of the Deployment)"),
    ];
  });
  return [...targeted, ...selecting];
}

/** Policies by which a workload can no longer be called at all. */
export function policiesLetSomethingThrough(mesh: Mesh): readonly Diagnostic[] {
  return eachView(mesh).flatMap(({ workload, name, ports }) => {
    const { deny, allow } = authorizationOf(mesh, workload);
    const enforced = allow.filter((policy) => !isDryRun(policy));
    const refusesAll = deny
      .filter((policy) => !isDryRun(policy))
      .flatMap((policy) => policy.spec.rules.flatMap((rule, index) => (isForAll(rule) ? [{ policy, index }] : [])));
    const [refusing] = refusesAll;
    if (refusing !== undefined) {
      const what = `an empty rule matches every request, so ${name} can no longer be called`;
      return [finding("WEFT0442", refusing.policy, ["spec", "rules", refusing.index], what, "say in the rule what is to be refused")];
    }
    const [first] = enforced;
    if (first === undefined) return [];
    if (enforced.every(({ spec }) => spec.rules.length === 0)) {
      const what = `no ALLOW policy that selects ${name} has a rule, so it can no longer be called`;
      return [finding("WEFT0442", first, ["spec"], what, "add a rule, here or in another ALLOW policy, for the callers that are to be let through")];
    }
    const lockedPort = ports.find(({ protocol }) => !isHttp(protocol) && enforced.every(({ spec }) => spec.rules.every(asksForRequests)));
    if (lockedPort === undefined) return [];
    const what = `port ${lockedPort.number} of ${name} is not HTTP, and every ALLOW rule for it asks for what only requests have (${firstHttpField(enforced)}): nobody can connect to it`;
    return [
      finding(
        "WEFT0443",
        first,
        ["spec", "rules"],
        what,
        "add a rule for the port with fields of connections alone, such as principals, namespaces, ipBlocks and ports",
      ),
    ];
  });
}

/** On ports that are not HTTP a DENY refuses by what is left of a rule without its fields of requests, which is more than was written. */
export function denyRulesFitTheirPorts(mesh: Mesh): readonly Diagnostic[] {
  return eachView(mesh).flatMap(({ workload, name, ports }) => {
    const bytes = ports.find(({ protocol }) => !isHttp(protocol));
    if (bytes === undefined) return [];
    const enforced = authorizationOf(mesh, workload).deny.filter((policy) => !isDryRun(policy));
    return enforced.flatMap((policy) =>
      policy.spec.rules.flatMap((rule, index): readonly Diagnostic[] => {
        const field = httpFields(rule)[0];
        if (field === undefined || isForOtherPorts(rule, bytes.targetPort)) return [];
        const what = `port ${bytes.number} of ${name} is not HTTP, where the rule is read without ${field.name}: it refuses connections that it does not mean`;
        const fix = "name the HTTP ports in the rule (`ports`), or say by the Service's port name or appProtocol that the port is HTTP";
        return [finding("WEFT0444", policy, ["spec", "rules", index, ...field.path], what, fix)];
      }),
    );
  });
}

/** A CUSTOM policy whose authorizer cannot be asked refuses what it would have asked about. */
export function authorizersExist(mesh: Mesh): readonly Diagnostic[] {
  return mesh.authorizationPolicies.flatMap((policy): readonly Diagnostic[] => {
    if (policy.spec.action !== "CUSTOM") return [];
    const authorizer = authorizerNamed(mesh, policy.spec.provider?.name ?? "");
    if (authorizer.kind !== "unusable") return [];
    const what = `${authorizer.why}: every request that the rules match is refused`;
    return [
      finding(
        "WEFT0445",
        policy,
        ["spec", "provider"],
        what,
        "name a provider of the MeshConfig's extensionProviders with envoyExtAuthzGrpc or envoyExtAuthzHttp",
      ),
    ];
  });
}

/** What a DestinationRule says about TLS and what the endpoints take. Source: Istio, "TLS configuration", PeerAuthentication and DestinationRule. */
export function mutualTlsFitsRules(mesh: Mesh): readonly Diagnostic[] {
  const said = new Map<string, Diagnostic>();
  for (const [hostname, rules] of mesh.destinationRules) {
    for (const [port, endpoints] of mesh.hosts.get(hostname)?.endpoints ?? []) {
      for (const { path, mode, rule } of rules.flatMap((merged) => writtenModes(merged, port))) {
        const refusing = endpoints.find((endpoint) => refuses(mesh, endpoint, mode));
        if (refusing === undefined) continue;
        const own = mode === "ISTIO_MUTUAL";
        const taken = own ? "takes plain text alone" : "takes the mesh's mutual TLS alone (PeerAuthentication STRICT)";
        const what = `${hostname}:${port} is called with the tls mode ${mode}, and ${refusing.instance.workload} ${taken}: every request fails`;
        const fix = own ? "let the workload take mutual TLS, or leave tls out" : "leave tls out, so that the mesh chooses, or set the mode ISTIO_MUTUAL";
        const origin = rule.locate(path);
        said.set(`${origin.file}:${origin.line} ${port}`, { code: "WEFT0446", severity: "warning", origin, resource: resourceLabel(rule), what, fix });
      }
    }
  }
  return [...said.values()];
}

interface WrittenMode {
  readonly rule: DestinationRule;
  readonly path: FieldPath;
  readonly mode: string;
}

/** Where the rules that one was merged from say how a port is called. Settings of the port count before those of all ports. */
function writtenModes({ from }: MergedRule, port: number): readonly WrittenMode[] {
  return from.flatMap((rule): readonly WrittenMode[] => {
    const { trafficPolicy } = rule.spec;
    const index = trafficPolicy?.portLevelSettings.findIndex((settings) => settings.port?.number === port) ?? -1;
    const ofPort = trafficPolicy?.portLevelSettings[index];
    if (ofPort !== undefined) {
      const path = ["spec", "trafficPolicy", "portLevelSettings", index, "tls", "mode"];
      return ofPort.tls?.mode === undefined ? [] : [{ rule, path, mode: ofPort.tls.mode }];
    }
    return trafficPolicy?.tls?.mode === undefined ? [] : [{ rule, path: ["spec", "trafficPolicy", "tls", "mode"], mode: trafficPolicy.tls.mode }];
  });
}

function refuses(mesh: Mesh, { instance, port }: Endpoint, mode: string): boolean {
  const containerPort = instance.ports.find(({ boundPort }) => boundPort === port)?.containerPort ?? port;
  const taken = instance.hasSidecar ? mutualTlsMode(mesh, instance, containerPort) : "DISABLE";
  if (taken === "STRICT") return mode === "DISABLE" || mode === "SIMPLE";
  return taken === "DISABLE" && mode === "ISTIO_MUTUAL";
}

/** Who is calling is known by mutual TLS alone: in plain text no principal, namespace or service account matches. */
export function identitiesCanBeKnown(mesh: Mesh): readonly Diagnostic[] {
  return eachView(mesh).flatMap(({ workload, name, ports }) => {
    const plain = ports.find(({ targetPort }) => mutualTlsMode(mesh, workload, targetPort) === "DISABLE");
    if (plain === undefined && mesh.settings.enableAutoMtls) return [];
    const { deny, allow, custom, audit } = authorizationOf(mesh, workload);
    return [...custom, ...audit, ...deny, ...allow].flatMap((policy) =>
      policy.spec.rules.flatMap((rule, index): readonly Diagnostic[] => {
        const field = identityFields(rule)[0];
        if (field === undefined) return [];
        const why =
          plain === undefined
            ? "the MeshConfig turns automatic mutual TLS off (enableAutoMtls)"
            : `port ${plain.number} of ${name} takes plain text alone (PeerAuthentication DISABLE)`;
        const what = `${why}, so nobody's identity is known there and ${field.name} matches nobody`;
        return [
          finding("WEFT0447", policy, ["spec", "rules", index, ...field.path], what, "let the port take mutual TLS, or ask for ipBlocks or requestPrincipals"),
        ];
      }),
    );
  });
}

/** Tokens hold by keys: without readable ones every token is refused. */
export function tokenKeysAreReadable(mesh: Mesh): readonly Diagnostic[] {
  return mesh.requestAuthentications.flatMap((policy) =>
    policy.spec.jwtRules.flatMap(({ jwks = "", jwksUri = "" }, index): readonly Diagnostic[] => {
      const at = (field: string, what: string, fix: string) => [
        finding("WEFT0448", policy, ["spec", "jwtRules", index, field], `${what}: every token of this issuer is refused`, fix),
      ];
      if (jwks !== "")
        return readableJwks(jwks) ? [] : at("jwks", "the key set is not JSON with a list `keys` of public keys", "paste what the issuer's jwks_uri answers");
      if (jwksUri === "")
        return at(
          "issuer",
          "neither jwks nor jwksUri is set, and keys are not looked for at the issuer",
          "set jwksUri to the jwks_uri of the issuer's .well-known/openid-configuration",
        );
      return jwksLocation(jwksUri) === undefined ? at("jwksUri", `${jwksUri} is no http or https URL`, "set jwksUri to the issuer's jwks_uri") : [];
    }),
  );
}

/** Of several PeerAuthentications for a whole namespace, or the mesh, one counts; in a root namespace those for workloads do not count at all. */
export function onePeerAuthenticationEach(mesh: Mesh): readonly Diagnostic[] {
  const forAll = new Map<string, PeerAuthentication>();
  return mesh.peerAuthentications.flatMap((policy): readonly Diagnostic[] => {
    const root = ROOT_NAMESPACES.includes(policy.namespace);
    if (Object.keys(policy.spec.selector?.matchLabels ?? {}).length > 0) {
      if (!root) return [];
      const what = "in the root namespace only a PeerAuthentication without a selector counts, which is for the whole mesh: this one has no effect";
      return [finding("WEFT0449", policy, ["spec", "selector"], what, "move it to the namespace of the workload")];
    }
    const scope = root ? "the mesh" : `the namespace ${policy.namespace}`;
    const first = forAll.get(scope);
    if (first === undefined) {
      forAll.set(scope, policy);
      return [];
    }
    const what = `${resourceLabel(first)} (${first.origin.file}:${first.origin.line}) is for ${scope} already, and this one has no effect`;
    return [finding("WEFT0449", policy, ["spec"], what, "put both into one, or give this one a selector")];
  });
}

interface View {
  readonly workload: SecuredWorkload;
  readonly name: string;
  readonly ports: readonly { readonly number: number; readonly targetPort: number; readonly protocol: PortProtocol }[];
}

/** Workloads with sidecars, those alike as one, with the ports that their Services lead to; the first by name speaks for the others. */
function eachView(mesh: Mesh): readonly View[] {
  if (mesh.authorizationPolicies.length === 0) return [];
  const views = new Map<string, View>();
  for (const instance of mesh.instances) {
    const key = securityViewOf(instance);
    if (!instance.hasSidecar || views.has(key)) continue;
    const ports = [...mesh.hosts.values()].flatMap((host) =>
      host.ports.flatMap(({ number, protocol }) => {
        const endpoint = host.endpoints.get(number)?.find((candidate) => candidate.instance === instance);
        const target = instance.ports.find(({ boundPort }) => boundPort === endpoint?.port)?.containerPort;
        return endpoint === undefined ? [] : [{ number, targetPort: target ?? endpoint.port, protocol }];
      }),
    );
    views.set(key, { workload: instance, name: `${instance.namespace}/${instance.workload}`, ports });
  }
  return [...views.values()];
}

function runningAndWanted(mesh: Mesh, deployments: readonly Deployment[]): readonly SecuredWorkload[] {
  return [...mesh.instances, ...deployments.map(({ namespace, spec }) => ({ namespace, labels: spec.template.metadata.labels }))];
}

function isForAll({ from, to, when }: AuthorizationRule): boolean {
  return from.length + to.length + when.length === 0;
}

interface UsedField {
  readonly name: string;
  readonly path: FieldPath;
}

const HTTP_SOURCE = ["requestPrincipals", "notRequestPrincipals"] as const;
const HTTP_OPERATION = ["hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"] as const;
const IDENTITY_SOURCE = [
  "principals",
  "namespaces",
  "serviceAccounts",
  "trustDomains",
  "notPrincipals",
  "notNamespaces",
  "notServiceAccounts",
  "notTrustDomains",
] as const;
const IDENTITY_CONDITIONS = ["source.principal", "source.namespace", "source.serviceAccount", "source.trustDomain"];

/** What only requests have. */
function httpFields(rule: AuthorizationRule): readonly UsedField[] {
  return [
    ...sourceFields(rule, HTTP_SOURCE),
    ...rule.to.flatMap(({ operation }, index) =>
      HTTP_OPERATION.filter((name) => (operation?.[name].length ?? 0) > 0).map((name): UsedField => ({ name, path: ["to", index, "operation", name] })),
    ),
    ...conditionFields(rule, (key) => key.startsWith("request.")),
  ];
}

/** What only mutual TLS tells. */
function identityFields(rule: AuthorizationRule): readonly UsedField[] {
  return [...sourceFields(rule, IDENTITY_SOURCE), ...conditionFields(rule, (key) => IDENTITY_CONDITIONS.includes(key))];
}

function sourceFields(rule: AuthorizationRule, names: readonly (typeof HTTP_SOURCE | typeof IDENTITY_SOURCE)[number][]): readonly UsedField[] {
  return rule.from.flatMap(({ source }, index) =>
    names.filter((name) => (source?.[name].length ?? 0) > 0).map((name): UsedField => ({ name, path: ["from", index, "source", name] })),
  );
}

function conditionFields(rule: AuthorizationRule, isOne: (key: string) => boolean): readonly UsedField[] {
  return rule.when.flatMap(({ key }, index) => (isOne(key) ? [{ name: key, path: ["when", index, "key"] }] : []));
}

function asksForRequests(rule: AuthorizationRule): boolean {
  return httpFields(rule).length > 0;
}

function firstHttpField(policies: readonly AuthorizationPolicy[]): string {
  const names = policies.flatMap(({ spec }) => spec.rules.flatMap(httpFields)).map(({ name }) => name);
  return [...new Set(names)].sort(compareText).join(", ");
}

/** Whether each of a rule's operations names ports, and not this one. */
function isForOtherPorts({ to }: AuthorizationRule, port: number): boolean {
  return to.length > 0 && to.every(({ operation }) => operation !== undefined && operation.ports.length > 0 && !operation.ports.includes(`${port}`));
}
