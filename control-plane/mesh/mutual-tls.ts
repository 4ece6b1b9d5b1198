// Where the mesh's own mutual TLS is spoken, and who is to be found at its other end. Hosts, endpoints and workloads in; modes and identities out.
import type { InboundPort, Instance, Proxy } from "./instance.ts";
import type { Endpoint, Host, Mesh } from "./mesh.ts";
import { type EffectiveMutualTls, mutualTlsMode, mutualTlsOf, type SecuredWorkload } from "./security-policies.ts";

/** What a sidecar does with connections to one of its workload's ports. */
export function portMutualTls(mesh: Mesh, workload: SecuredWorkload, containerPort: number): EffectiveMutualTls {
  return mesh.certificates ? mutualTlsMode(mesh, workload, containerPort) : "DISABLE";
}

/** The same for ports besides those that the workload takes connections at; `byPort` are those of them for which something else is said. */
export function otherPortsMutualTls(
  mesh: Mesh,
  proxy: Proxy,
  taken: readonly InboundPort[],
): { readonly mode: EffectiveMutualTls; readonly byPort: ReadonlyMap<number, EffectiveMutualTls> } {
  if (!mesh.certificates) return { mode: "DISABLE", byPort: new Map() };
  const { mode, byPort } = mutualTlsOf(mesh, proxy);
  const known = new Set(taken.map(({ containerPort }) => containerPort));
  return { mode, byPort: new Map([...byPort].filter(([port]) => !known.has(port))) };
}

/** Whether an endpoint takes no mutual TLS: it has no sidecar, or a PeerAuthentication tells its sidecar so. */
export function isPlain(mesh: Mesh, { instance, port }: Endpoint): boolean {
  if (!instance.hasSidecar) return true;
  if (!disablesAnywhere(mesh)) return false;
  const containerPort = instance.ports.find(({ boundPort }) => boundPort === port)?.containerPort ?? port;
  return mutualTlsMode(mesh, instance, containerPort) === "DISABLE";
}

/** Whether a host of the mesh is called by mutual TLS where no DestinationRule has a say. Source: Istio, "Auto mutual TLS". */
export function isCalledByMutualTls({ certificates, settings }: Mesh, { external, serviceAccounts }: Host): boolean {
  return certificates && settings.enableAutoMtls && !external && serviceAccounts.length > 0;
}

/**
 * A host's endpoints, those marked that take no mutual TLS where others would be called by it. An endpoint that needs no mark stays the same object, and a
 * marked one is always the same.
 */
export function markPlain(mesh: Mesh, host: Host | undefined, endpoints: readonly Endpoint[]): readonly Endpoint[] {
  if (host === undefined || !isCalledByMutualTls(mesh, host)) return endpoints;
  return endpoints.map((endpoint) => {
    if (!isPlain(mesh, endpoint)) return endpoint;
    const marked = MARKED.get(endpoint) ?? { ...endpoint, plain: true };
    MARKED.set(endpoint, marked);
    return marked;
  });
}

/** Who may answer for a host: SPIFFE ids under each name of the trust domain, and what a ServiceEntry says. In byte order. */
export function identitiesOf({ settings }: Mesh, { serviceAccounts, subjectAltNames }: Host): readonly string[] {
  const ids = trustDomainsOf(settings).flatMap((domain) =>
    serviceAccounts.map((account) => {
      const [namespace, name] = account.split("/");
      return `spiffe://${domain}/ns/${namespace}/sa/${name}`;
    }),
  );
  return [...new Set([...ids, ...subjectAltNames])].sort();
}

/** The trust domain and the names that count as it, in byte order: when two of them change places, nothing that is made of them changes. */
export function trustDomainsOf({ trustDomain, trustDomainAliases }: Mesh["settings"]): readonly string[] {
  return [...new Set([trustDomain, ...trustDomainAliases])].sort();
}

/** `namespace/account` of each that has a sidecar, in byte order. One that is not ready counts: its identity is no news when it is. */
export function serviceAccountsOf(instances: readonly Instance[]): readonly string[] {
  const accounts = instances.flatMap(({ hasSidecar, namespace, serviceAccount }) =>
    hasSidecar && serviceAccount !== "" ? [`${namespace}/${serviceAccount}`] : [],
  );
  return [...new Set(accounts)].sort();
}

const MARKED = new WeakMap<Endpoint, Endpoint>();

const DISABLES = new WeakMap<Mesh, boolean>();

/** Asked for every endpoint of a mesh: the answer is no for most meshes. */
function disablesAnywhere(mesh: Mesh): boolean {
  const known = DISABLES.get(mesh);
  if (known !== undefined) return known;
  const found = mesh.peerAuthentications.some(({ spec }) => [spec.mtls, ...Object.values(spec.portLevelMtls ?? {})].some((mtls) => mtls?.mode === "DISABLE"));
  DISABLES.set(mesh, found);
  return found;
}
