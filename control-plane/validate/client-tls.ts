// ClientTLSSettings of a DestinationRule: how a proxy calls. Source: Istio agent.ValidateTLS.
import type { TrafficPolicy } from "../model/destination-rule.ts";
import type { FieldPath } from "../model/resource.ts";
import { error, type Problem } from "./problem.ts";

const CONFIG_MAP = "configmap://";

/** `tls` of a traffic policy of a rule in `namespace`. */
export function checkClientTls(tls: TrafficPolicy["tls"], namespace: string, path: FieldPath): readonly Problem[] {
  if (tls === undefined) return [];
  const problems: Problem[] = [];
  const { mode, credentialName = "", clientCertificate = "", privateKey = "", caCertificates = "", caCrl = "", subjectAltNames } = tls;
  if (credentialName.startsWith(CONFIG_MAP)) problems.push(...checkConfigMap(credentialName.slice(CONFIG_MAP.length), namespace, [...path, "credentialName"]));
  const verifies = caCertificates !== "" || subjectAltNames.length > 0 || (mode === "SIMPLE" && credentialName !== "");
  if (tls.insecureSkipVerify === true && (mode === "SIMPLE" || mode === "MUTUAL") && verifies) {
    problems.push(
      error(
        "WEFT0380",
        [...path, "insecureSkipVerify"],
        "insecureSkipVerify leaves nothing to verify with certificates or names",
        "remove it, or remove caCertificates, credentialName and subjectAltNames",
      ),
    );
  }
  if ((mode === "SIMPLE" || mode === "MUTUAL") && credentialName !== "") {
    if (clientCertificate !== "" || privateKey !== "" || caCertificates !== "" || caCrl !== "") {
      problems.push(
        error("WEFT0380", [...path, "credentialName"], "credentialName brings the certificates, and files are named as well", "keep one of the two"),
      );
    }
    return problems;
  }
  if (mode === "MUTUAL" && clientCertificate === "")
    problems.push(error("WEFT0380", path, "mode MUTUAL needs a client certificate", "set clientCertificate, or credentialName"));
  if (mode === "MUTUAL" && privateKey === "") problems.push(error("WEFT0380", path, "mode MUTUAL needs a private key", "set privateKey, or credentialName"));
  return problems;
}

/** `configmap://[namespace/]name`: only of the rule's own namespace. */
function checkConfigMap(reference: string, namespace: string, path: FieldPath): readonly Problem[] {
  const parts = reference.split("/");
  const wellFormed = parts.length <= 2 && parts.every((part) => part !== "");
  if (!wellFormed) return [error("WEFT0380", path, `"${CONFIG_MAP}${reference}" names no ConfigMap`, `write \`${CONFIG_MAP}NAMESPACE/NAME\``)];
  const of = parts.length === 2 ? parts[0] : namespace;
  if (namespace !== "" && of === namespace) return [];
  return [error("WEFT0380", path, "a rule may use ConfigMaps of its own namespace only", `copy it to ${namespace}`)];
}
