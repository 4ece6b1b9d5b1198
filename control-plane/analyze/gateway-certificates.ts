// One certificate at several gateways of the same pods (IST0138): browsers reuse a connection for another host and get a 404.
// Source: Istio analyzers/gateway, certificate.go.
import type { GatewayServer } from "../model/gateway.ts";
import type { Finding } from "./finding.ts";
import type { AnalysisInput } from "./input.ts";
import { selects } from "./selection.ts";

export function gatewayCertificates({ gateways }: AnalysisInput): readonly Finding[] {
  return gateways.flatMap((gateway) =>
    gateways
      .filter((other) => other !== gateway && selects(gateway.spec.selector, other.spec.selector))
      .flatMap((other) =>
        gateway.spec.servers.flatMap((server, index) =>
          other.spec.servers
            .filter(({ tls }) => isSame(server.tls, tls))
            .map((): Finding => {
              const what = `the Gateway ${other.namespace}/${other.name} has the same certificate, and browsers may reuse one's connection for the other`;
              const fix = "put the hosts into one Gateway, or give each a certificate of its own";
              return { code: "IST0138", severity: "warning", subject: gateway, path: ["spec", "servers", index, "tls"], what, fix };
            }),
        ),
      ),
  );
}

function isSame(a: GatewayServer["tls"], b: GatewayServer["tls"]): boolean {
  const { credentialName = "", serverCertificate = "", privateKey = "" } = a ?? {};
  if (a === undefined || b === undefined) return false;
  if (credentialName !== "") return b.credentialName === credentialName;
  return (
    (b.credentialName ?? "") === "" && serverCertificate !== "" && privateKey !== "" && b.serverCertificate === serverCertificate && b.privateKey === privateKey
  );
}
