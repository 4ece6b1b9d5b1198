// The names by which a client in a namespace may call a host, and the one that it sends upstream.

/** Shortest first: beside the client `reviews`; everywhere `reviews.default`, `reviews.default.svc`, and the full name. Other names have one form. */
function namesOfHost(hostname: string, clientNamespace: string, domain: string): readonly [string, ...string[]] {
  const suffix = `.svc.${domain}`;
  const [name, namespace, ...more] = hostname.endsWith(suffix) ? hostname.slice(0, -suffix.length).split(".") : [];
  if (name === undefined || namespace === undefined || name === "*" || more.length > 0) return [hostname];
  const everywhere = [`${name}.${namespace}`, `${name}.${namespace}.svc`, hostname] as const;
  return namespace === clientNamespace ? [name, ...everywhere] : [...everywhere];
}

/** The Host header of a client in a cluster that calls the host by its shortest name. */
export function clientAuthority(hostname: string, port: number, clientNamespace: string, domain: string): string {
  const [shortest] = namesOfHost(hostname, clientNamespace, domain);
  return port === 80 ? shortest : `${shortest}:${port}`;
}

/** Domains of a host's port for Envoy: with the port, and without it where the port goes without saying. */
export function domainsOf(hostname: string, port: number, clientNamespace: string, domain: string, withoutPort: boolean): readonly string[] {
  const names = namesOfHost(hostname, clientNamespace, domain);
  return [...names.map((name) => `${name}:${port}`), ...(withoutPort ? names : [])];
}
