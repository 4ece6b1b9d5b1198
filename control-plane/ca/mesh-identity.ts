// All that the control plane has to do with identity, as one thing: the authority, the server's certificate, tokens, and the answers of `weft cert`.
import type { CertificateRow } from "../local/protocol.ts";
import type { Proxy } from "../mesh/instance.ts";
import type { ProxySecrets } from "../snapshot/secrets.ts";
import { LEAF_SECRET, ROOTS_SECRET } from "../translate/names.ts";
import type { Authenticate } from "../xds/authentication.ts";
import { systemClock } from "../xds/clock.ts";
import type { Logger } from "../xds/connection.ts";
import type { SecretSource } from "../xds/secret-source.ts";
import type { XdsSecurity } from "../xds/server.ts";
import { startMeshAuthority } from "./authority.ts";
import { certificateRows } from "./certificate-rows.ts";
import type { Leaf } from "./certificates.ts";
import type { ExternalIssuerReader } from "./external-issuer.ts";
import { issueServer, USUAL_LIFETIME_MS, USUAL_TRUST_DOMAIN } from "./first-authority.ts";
import { tokenKeyPath } from "./paths.ts";
import { bundleOf, type Holdings, issuerOf } from "./rotation.ts";
import { parseLeafVersion } from "./sds-version.ts";
import type { WorkloadIdentity } from "./spiffe.ts";
import { createTokenVerifier, loadTokenKey } from "./token.ts";

export interface IdentityOptions {
  /** Where roots and keys are kept, below the mesh's state folder. */
  readonly folder: string;
  /** A folder of `tls.crt`, `tls.key`, `ca.crt`, or a Secret document; or what reads an issuer from elsewhere. Default: a root of the mesh's own. */
  readonly external?: string | ExternalIssuerReader;
  /** Of a certificate, in milliseconds. Default: 24 hours. */
  readonly lifetimeMs?: number;
  /** How proxies prove themselves. Default: by tokens that are signed with a key of the mesh's own. */
  readonly authenticate?: Authenticate;
}

/** Starts a mesh's identity with what the control plane knows. */
export type OpenIdentity = (context: Omit<MeshIdentityOptions, keyof IdentityOptions>) => Promise<MeshIdentity>;

/** What a proxy's newest stream is known to hold. */
export type SecretsHeld = (proxyId: string) => { readonly connected: boolean; readonly versions: ReadonlyMap<string, string> | undefined };

export interface MeshIdentityOptions extends IdentityOptions {
  readonly logger: Logger;
  /** What runs. */
  readonly proxies: () => readonly Proxy[];
  readonly secretsHeld: SecretsHeld;
  /** These proxies are to be given their secrets afresh. */
  readonly onChange: (proxyIds: readonly string[]) => void;
  readonly onServerCertificate: (certificate: Leaf) => void;
}

export interface MeshIdentity {
  /** What the xDS server is started with. */
  readonly server: {
    readonly security: XdsSecurity;
    readonly secrets: SecretSource;
    readonly identityOf: (proxyId: string) => WorkloadIdentity | undefined;
  };
  readonly secretsOf: (proxyId: string) => ProxySecrets;
  /** Names in certificates from now on; those with another one are renewed. */
  readonly setTrustDomain: (trustDomain: string) => void;
  readonly certificates: () => readonly CertificateRow[];
  /** Whom the mesh trusts now, as PEM. */
  readonly roots: () => readonly string[];
  /** Tells one issuer from the next: what was issued by a former one is to be issued anew. */
  readonly issuer: () => string;
  /** A certificate of the control plane for other names than the proxies', as for its webhooks. It lives as long as a proxy's. */
  readonly issueFor: (dnsNames: readonly string[]) => Promise<Leaf>;
  /** Begins it; `certificates` shows how far it is. Rejects with what to do instead. */
  readonly rotate: (what: "leaves" | "root") => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Resolves when the server has its certificate. No proxy's key is made before the proxy asks. */
export async function startMeshIdentity(options: MeshIdentityOptions): Promise<MeshIdentity> {
  const { folder, proxies, secretsHeld } = options;
  let trustDomain = USUAL_TRUST_DOMAIN;
  let known: { readonly from: readonly Proxy[]; readonly byId: ReadonlyMap<string, WorkloadIdentity> } = { from: [], byId: new Map() };
  const identityOf = (proxyId: string): WorkloadIdentity | undefined => {
    const from = proxies();
    if (known.from !== from) known = { from, byId: new Map(from.map(({ id, namespace, serviceAccount }) => [id, { namespace, serviceAccount }])) };
    return known.byId.get(proxyId);
  };
  const holdings = (): readonly Holdings[] =>
    proxies().map(({ id }) => {
      const { connected, versions } = secretsHeld(id);
      return {
        connected,
        subscribed: versions !== undefined,
        bundle: versions?.get(ROOTS_SECRET) ?? "",
        fingerprint: parseLeafVersion(versions?.get(LEAF_SECRET) ?? "")?.fingerprint ?? "",
      };
    });
  const [authority, authenticate] = await Promise.all([
    startMeshAuthority({
      identityFolder: folder,
      ...(options.external === undefined ? {} : { external: options.external }),
      ...(options.lifetimeMs === undefined ? {} : { lifetimeMs: options.lifetimeMs }),
      clock: systemClock,
      epochMs: Date.now,
      logger: options.logger,
      trustDomain: () => trustDomain,
      identityOf,
      holdings,
      onChange: options.onChange,
      onServerCertificate: options.onServerCertificate,
    }),
    options.authenticate ?? loadTokenKey(tokenKeyPath(folder)).then((key) => createTokenVerifier(key, Date.now)),
  ]);
  return {
    server: { security: { certificate: authority.server(), authenticate }, secrets: authority, identityOf },
    secretsOf: authority.secretsOf,
    setTrustDomain: (next) => {
      if (next === trustDomain) return;
      trustDomain = next;
      authority.trustDomainChanged();
    },
    certificates: () =>
      certificateRows({
        authority: authority.state(),
        server: authority.server(),
        proxies: proxies().map(({ id }) => ({ id, leaf: authority.leafOf(id), held: secretsHeld(id).versions?.get(LEAF_SECRET) })),
      }),
    roots: () => bundleOf(authority.state()),
    issuer: () => issuerOf(authority.state()).fingerprint,
    issueFor: (dnsNames) => issueServer(issuerOf(authority.state()), trustDomain, Date.now(), options.lifetimeMs ?? USUAL_LIFETIME_MS, dnsNames),
    rotate: async (what) => {
      if (what === "root") await authority.rotateRoot();
      else authority.renewLeaves();
    },
    close: authority.close,
  };
}
