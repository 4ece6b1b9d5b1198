// Whether the Secrets and files are there that DestinationRules call with.
import type { Diagnostic } from "../model/diagnostic.ts";
import { resourceLabel } from "../model/resource.ts";
import { clientCredential, clientFiles, holdsFor, tlsSettings } from "./client-credentials.ts";
import type { Mesh } from "./mesh.ts";

/** Without its certificates a proxy does not call at all, where it would otherwise call in the open. Said once for each rule, for the first proxy that lacks it. */
export function credentialsAreThere(mesh: Mesh): readonly Diagnostic[] {
  return [...mesh.destinationRules.values()].flat().flatMap(({ from }) =>
    from.flatMap((rule) =>
      tlsSettings(rule).flatMap(({ tls, path }): readonly Diagnostic[] => {
        if (!tls.credentialName && clientFiles(tls).length === 0) return [];
        const callers = mesh.proxies.filter((proxy) => holdsFor(rule, proxy));
        // A rule is mostly for callers beside it; whoever else it is exported to may never call.
        const beside = callers.filter(({ namespace }) => namespace === rule.namespace);
        const unusable = (beside.length > 0 ? beside : callers).map((proxy) => clientCredential(mesh, proxy, tls)?.unusable).find((what) => what !== undefined);
        if (unusable === undefined) return [];
        return [
          {
            code: "WEFT0422",
            severity: "warning",
            origin: rule.locate(tls.credentialName ? [...path, "credentialName"] : path),
            resource: resourceLabel(rule),
            what: `${unusable}, so proxies answer 503 instead of calling without it`,
            fix: !tls.credentialName
              ? "put the file there, or use credentialName with a Secret"
              : "put a Secret with tls.crt, tls.key and ca.crt into the namespace of the workloads that call",
          },
        ];
      }),
    ),
  );
}
