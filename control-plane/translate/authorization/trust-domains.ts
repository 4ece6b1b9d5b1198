// Identities of former trust domains: a principal of a policy to all names that the same workload may have. Source: Istio, pilot/pkg/security/trustdomain.

/** A mesh's own trust domain, then its aliases. */
export type TrustDomains = readonly [string, ...string[]];

/** What Istio's policies say for "the mesh's own, whatever it is called". */
const OWN = "cluster.local";

/** Principals with those added that differ in the trust domain alone, where it is one of the mesh's. Others stay as they are. */
export function principalsOfAllDomains(principals: readonly string[], domains: TrustDomains): readonly string[] {
  return principals.flatMap((principal) => {
    const [domain = "", ...path] = principal.split("/");
    if (path.length !== 4 || domain === "*" || !(domain === OWN || domains.some((own) => overlap(own, domain)))) return [principal];
    return [...new Set(domains.map((own) => (isSuffix(own, domain) ? principal : [own, ...path].join("/"))))];
  });
}

/** Trust domains with the mesh's aliases added where one of the mesh's is named. */
export function domainsWithAliases(values: readonly string[], domains: TrustDomains): readonly string[] {
  return [...new Set(values.flatMap((value) => (domains.includes(value) ? domains : [value])))];
}

/** Either may hold a star at its beginning or end. */
function overlap(a: string, b: string): boolean {
  return a === b || isSuffix(a, b) || isSuffix(b, a) || isPrefix(a, b) || isPrefix(b, a);
}

function isSuffix(text: string, pattern: string): boolean {
  return pattern.startsWith("*") && text.endsWith(pattern.slice(1));
}

function isPrefix(text: string, pattern: string): boolean {
  return pattern.endsWith("*") && text.startsWith(pattern.slice(0, -1));
}
