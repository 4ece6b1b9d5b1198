// References to gateways: `mesh`, a name, or namespace/name. Source: Istio validateGatewayNames.
import type { FieldPath } from "../model/resource.ts";
import { domainFault, isDnsLabel } from "./names.ts";
import { error, type Problem, warning } from "./problem.ts";

/** The `gateways` of a VirtualService or of a match. */
export function checkGatewayNames(gateways: readonly string[], path: FieldPath): readonly Problem[] {
  return gateways.flatMap((gateway, index) => checkGatewayName(gateway, [...path, index]));
}

function checkGatewayName(gateway: string, path: FieldPath): readonly Problem[] {
  const slash = gateway.indexOf("/");
  if (slash >= 0) {
    const ok = isDnsLabel(gateway.slice(0, slash)) && isDnsLabel(gateway.slice(slash + 1));
    return ok ? [] : [error("WEFT0334", path, `"${gateway}" is not the name of a gateway`, "write name or namespace/name")];
  }
  const fault = domainFault(gateway);
  if (fault !== undefined) return [error("WEFT0334", path, `"${gateway}" is not the name of a gateway`, "write name or namespace/name")];
  const [name, namespace] = gateway.split(".");
  if (namespace === undefined || namespace === "") return [];
  return [warning("WEFT0334", path, `"${gateway}" is an old form of a gateway's name`, `write \`${namespace}/${name}\``)];
}
