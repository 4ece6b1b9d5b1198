// Names that nobody in the mesh knows, of which a workload may call ever new ones: pods by their addresses, a bucket or a customer by its name. Out comes one
// domain for many of them, where no host of the mesh can be meant, so that neither Envoy nor the memory of what was called grows with them.

/** So many names below one parent are taken for a sign that there will be more. */
const MANY = 50;

/** Which domain each name is to be answered by. A name that is missing is covered by another one's domain. */
export type UnknownDomains = ReadonlyMap<string, string>;

/**
 * `authorities`: the unknown names of one route configuration, in byte order. `isFree`: whether no host of the mesh is called by a name that the domain
 * `10.1.*` or `*.example.com` covers.
 */
export function unknownDomains(authorities: readonly string[], isFree: (domain: string) => boolean): UnknownDomains {
  const byParent = new Map<string, number>();
  for (const authority of authorities) {
    const parent = parentDomain(authority);
    if (parent !== undefined) byParent.set(parent, (byParent.get(parent) ?? 0) + 1);
  }
  const domains = new Map<string, string>();
  const taken = new Set<string>();
  for (const authority of authorities) {
    const parent = parentDomain(authority);
    const wide = networksOf(authority).find(isFree) ?? (parent !== undefined && (byParent.get(parent) ?? 0) >= MANY && isFree(parent) ? parent : undefined);
    if (wide === undefined) domains.set(authority, authority);
    else if (!taken.has(wide)) domains.set(authority, wide);
    if (wide !== undefined) taken.add(wide);
  }
  return domains;
}

/** The domains of the networks that an IPv4 address is in, the larger first. */
function networksOf(authority: string): readonly string[] {
  const [, a, b, c] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.\d{1,3}(?::\d+)?$/.exec(authority) ?? [];
  return a === undefined ? [] : [`${a}.${b}.*`, `${a}.${b}.${c}.*`];
}

/** `*.s3.example.com:80` for `bucket.s3.example.com:80`; nothing for names directly below a top-level domain, and for addresses. */
function parentDomain(authority: string): string | undefined {
  const [, parent] = /^[^.:*]+\.([^.:*]+(?:\.[^.:*]+)+(?::\d+)?)$/.exec(authority) ?? [];
  return parent === undefined || networksOf(authority).length > 0 ? undefined : `*.${parent}`;
}
