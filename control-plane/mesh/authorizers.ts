// Authorizers outside of the mesh's proxies: from the name that a CUSTOM policy gives to the provider of the MeshConfig and the service behind it.
import type { ExtAuthzGrpc, ExtAuthzHttp } from "../model/ext-authz-provider.ts";
import { resolveHostname } from "./hosts.ts";
import type { Mesh } from "./mesh.ts";

/** The port of a host that is asked. */
export interface AuthorizerDestination {
  readonly hostname: string;
  readonly port: number;
  readonly subset: "";
}

export type UsableAuthorizer =
  | { readonly kind: "grpc"; readonly provider: ExtAuthzGrpc; readonly destination: AuthorizerDestination }
  | { readonly kind: "http"; readonly provider: ExtAuthzHttp; readonly destination: AuthorizerDestination };

/** A provider as the mesh can use it; `unusable`: nobody can be asked, so that what would have been is refused. `why` is for the user. */
export type Authorizer = UsableAuthorizer | { readonly kind: "unusable"; readonly why: string };

/** The authorizer of a name. */
export function authorizerNamed(mesh: Mesh, name: string): Authorizer {
  const [provider, ...others] = mesh.settings.extensionProviders.filter((candidate) => candidate.name === name);
  if (provider === undefined) return unusable(`the MeshConfig has no extension provider ${name}`);
  if (others.length > 0) return unusable(`the MeshConfig has several extension providers ${name}`);
  const { envoyExtAuthzGrpc: grpc, envoyExtAuthzHttp: http } = provider;
  if (grpc !== undefined) return withService(mesh, name, grpc, (destination) => ({ kind: "grpc", provider: grpc, destination }));
  if (http !== undefined) return withService(mesh, name, http, (destination) => ({ kind: "http", provider: http, destination }));
  return unusable(`the extension provider ${name} is no external authorizer`);
}

function withService(mesh: Mesh, name: string, { service, port }: ExtAuthzGrpc, use: (destination: AuthorizerDestination) => Authorizer): Authorizer {
  const [first = "", second] = service.split("/");
  const hostname = second === undefined ? resolveHostname(mesh, first, "default") : resolveHostname(mesh, second, first);
  const known = mesh.hosts.get(hostname)?.ports.some(({ number }) => number === port);
  if (known === true) return use({ hostname, port, subset: "" });
  return unusable(`the extension provider ${name} names the service ${service} and its port ${port}, which the mesh does not have`);
}

function unusable(why: string): Authorizer {
  return { kind: "unusable", why };
}
