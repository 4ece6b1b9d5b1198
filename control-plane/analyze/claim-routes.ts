// Routes by the claims of a token where no token is checked (IST0149). Source: Istio analyzers/virtualservice, jwtclaimroute.go.
import type { FieldPath, VirtualService } from "../model/resource.ts";
import { isClaim } from "../validate/headers.ts";
import type { Finding } from "./finding.ts";
import type { AnalysisInput } from "./input.ts";
import { selects } from "./selection.ts";

export function claimRoutes(input: AnalysisInput): readonly Finding[] {
  return input.virtualServices.flatMap((service) => {
    const claim = firstClaim(service);
    if (claim === undefined) return [];
    return service.spec.gateways.flatMap((reference) => {
      const slash = reference.indexOf("/");
      const namespace = slash < 0 ? service.namespace : reference.slice(0, slash);
      const gateway = input.gateways.find((candidate) => candidate.namespace === namespace && candidate.name === reference.slice(slash + 1));
      if (reference === "mesh" || gateway === undefined) return [];
      return input.pods
        .filter(({ labels }) => selects(gateway.spec.selector, labels))
        .filter((pod) => !isChecked(input, pod.namespace, pod.labels))
        .map((pod): Finding => {
          const what = `the route needs the claim ${claim.name}, and no RequestAuthentication checks tokens at ${pod.namespace}/${pod.name} of Gateway ${namespace}/${gateway.name}`;
          return { code: "IST0149", severity: "error", subject: service, path: claim.path, what, fix: "add a RequestAuthentication that selects the gateway" };
        });
    });
  });
}

function firstClaim({ spec }: VirtualService): { readonly name: string; readonly path: FieldPath } | undefined {
  for (const [route, { match }] of spec.http.entries()) {
    for (const [index, conditions] of match.entries()) {
      for (const field of ["headers", "withoutHeaders"] as const) {
        const name = Object.keys(conditions[field]).find(isClaim);
        if (name !== undefined) return { name, path: ["spec", "http", route, "match", index, field, name] };
      }
    }
  }
  return undefined;
}

function isChecked({ requestAuthentications, mesh }: AnalysisInput, namespace: string, labels: Readonly<Record<string, string>>): boolean {
  return requestAuthentications.some(
    (authentication) => [mesh.rootNamespace, namespace].includes(authentication.namespace) && selects(authentication.spec.selector?.matchLabels ?? {}, labels),
  );
}
