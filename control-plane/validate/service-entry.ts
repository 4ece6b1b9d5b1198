// A ServiceEntry as a whole. Source: Istio ValidateServiceEntry, and the CEL rules of its CustomResourceDefinition.
import type { FieldPath, ServiceEntry } from "../model/resource.ts";
import { checkExportTo } from "./export-to.ts";
import { domainFault, isIpAddress, labelsOfFault, subnetFault, wildcardDomainFault } from "./names.ts";
import { checkPortName, checkProtocol } from "./ports.ts";
import { error, type Problem, warning } from "./problem.ts";
import { isHttpProtocol, isTlsProtocol } from "./protocols.ts";
import { checkSelectorLabels } from "./selectors.ts";
import { checkEndpoint } from "./workload-entry.ts";

const CODE = "WEFT0383";
const SPEC: FieldPath = ["spec"];
type Entry = Pick<ServiceEntry, "namespace" | "spec" | "labels" | "annotations">;

/** Everything that a ServiceEntry by itself can get wrong. */
export function checkServiceEntry(entry: Entry): readonly Problem[] {
  const { spec, namespace } = entry;
  const { workloadSelector, endpoints } = spec;
  return [
    ...(workloadSelector === undefined ? [] : checkSelectorLabels(workloadSelector.labels, [...SPEC, "workloadSelector", "labels"])),
    ...(workloadSelector !== undefined && endpoints.length > 0
      ? [error(CODE, [...SPEC, "endpoints"], "a ServiceEntry has either a workloadSelector or endpoints, not both", "remove one of them")]
      : []),
    ...checkHosts(entry),
    ...checkAddresses(entry),
    ...checkPorts(entry),
    ...checkResolution(entry),
    ...checkSharedPorts(entry),
    ...checkExportTo(spec.exportTo, namespace, [...SPEC, "exportTo"], { mayBeNobody: true }),
  ];
}

function checkHosts({ spec }: Entry): readonly Problem[] {
  if (spec.hosts.length === 0) return [error(CODE, SPEC, "the ServiceEntry has no hosts", "add `hosts:`")];
  return spec.hosts.flatMap((host, index) => {
    const at = [...SPEC, "hosts", index];
    if (host === "*") return [error(CODE, at, "a ServiceEntry cannot be for every host (*)", "name the hosts, or write *.example.com")];
    const fault = wildcardDomainFault(host);
    if (fault !== undefined) return [error(CODE, at, fault, "write a host name, or *.example.com")];
    const partial = host.includes("*") && !host.startsWith("*.");
    return partial && spec.resolution !== "DYNAMIC_DNS"
      ? [warning(CODE, at, `"${host}" has a wildcard that is not its whole first label`, "write *.example.com")]
      : [];
  });
}

function checkAddresses({ spec }: Entry): readonly Problem[] {
  const { addresses, resolution } = spec;
  const block = addresses.findIndex((address) => address.includes("/"));
  return [
    ...addresses.flatMap((address, index) => {
      const fault = subnetFault(address);
      return fault === undefined ? [] : [error(CODE, [...SPEC, "addresses", index], fault, "write an address, or a block such as 10.0.0.0/8")];
    }),
    ...(block >= 0 && resolution !== "NONE" && resolution !== "STATIC"
      ? [
          error(
            CODE,
            [...SPEC, "addresses", block],
            `a block of addresses has no meaning with resolution ${resolution}`,
            "write single addresses, or use resolution NONE or STATIC",
          ),
        ]
      : []),
  ];
}

function checkPorts({ spec }: Entry): readonly Problem[] {
  const names = new Set<string>();
  const numbers = new Set<number>();
  return spec.ports.flatMap(({ name, number, protocol }, index) => {
    const at = [...SPEC, "ports", index];
    const problems: Problem[] = [];
    if (names.has(name)) problems.push(error(CODE, [...at, "name"], `the port name "${name}" stands twice`, "give each port a name of its own"));
    if (numbers.has(number)) problems.push(error(CODE, [...at, "number"], `the port ${number} stands twice`, "remove one of the two"));
    names.add(name);
    numbers.add(number);
    return [...problems, ...checkPortName(CODE, name, [...at, "name"]), ...checkProtocol(CODE, protocol, [...at, "protocol"])];
  });
}

function checkResolution(entry: Entry): readonly Problem[] {
  const { endpoints, workloadSelector, resolution, ports } = entry.spec;
  switch (resolution) {
    case "NONE":
      return [
        ...(endpoints.length > 0
          ? [
              error(
                CODE,
                [...SPEC, "endpoints"],
                "with resolution NONE a connection goes where its caller sends it, and endpoints have no meaning",
                "write `resolution: STATIC`, or remove the endpoints",
              ),
            ]
          : []),
        ...(workloadSelector !== undefined
          ? [warning(CODE, [...SPEC, "workloadSelector"], "with resolution NONE the selected workloads are not used", "write `resolution: STATIC`")]
          : []),
      ];
    case "STATIC": {
      const names = new Set(ports.map(({ name }) => name));
      return endpoints.flatMap((endpoint, index) => checkEndpoint(endpoint, [...SPEC, "endpoints", index], { servicePorts: names, mayBeName: false }));
    }
    case "DNS":
    case "DNS_ROUND_ROBIN":
      return checkDns(entry);
    case "DYNAMIC_DNS":
      return checkDynamicDns(entry);
  }
}

function checkDns({ spec }: Entry): readonly Problem[] {
  const { hosts, addresses, ports, endpoints, resolution } = spec;
  const problems: Problem[] = [];
  const names = new Set(ports.map(({ name }) => name));
  const unresolvable = endpoints.length > 0 ? -1 : hosts.findIndex((host) => domainFault(host) !== undefined);
  if (unresolvable >= 0) {
    problems.push(
      error(
        CODE,
        [...SPEC, "hosts", unresolvable],
        `"${hosts[unresolvable]}" cannot be asked of DNS`,
        "write full host names, or add `endpoints:` with the names to ask for",
      ),
    );
  }
  if (resolution === "DNS_ROUND_ROBIN" && endpoints.length > 1)
    problems.push(error(CODE, [...SPEC, "endpoints"], "resolution DNS_ROUND_ROBIN takes one endpoint at most", "write `resolution: DNS`, or keep one"));
  for (const [index, { address = "", labels, ports: endpointPorts }] of endpoints.entries()) {
    const at = [...SPEC, "endpoints", index];
    if (!isIpAddress(address) && domainFault(address) !== undefined)
      problems.push(
        error(
          CODE,
          [...at, "address"],
          address === "" ? "the endpoint has no address" : `"${address}" is neither a host name nor an IP address`,
          "write one that DNS knows",
        ),
      );
    const fault = labelsOfFault(labels);
    if (fault !== undefined) problems.push(error(CODE, [...at, "labels"], fault, "use letters, digits, -, _ and ., at most 63"));
    for (const name of Object.keys(endpointPorts)) {
      if (!names.has(name))
        problems.push(error(CODE, [...at, "ports", name], `the ServiceEntry has no port "${name}"`, `use ${[...names].join(", ") || "a port that it has"}`));
      problems.push(...checkPortName(CODE, name, [...at, "ports", name]));
    }
  }
  if (addresses.length > 0 && hosts.length > 1 && ports.some(({ protocol = "" }) => protocol !== "" && !isHttpProtocol(protocol)))
    problems.push(warning(CODE, [...SPEC, "hosts"], "connections to an address cannot be told apart by their host", "write one ServiceEntry for each host"));
  return problems;
}

const DYNAMIC_PROTOCOLS: ReadonlySet<string> = new Set(["HTTP", "TLS", "GRPC", "HTTP2"]);

function checkDynamicDns({ spec, labels }: Entry): readonly Problem[] {
  const { hosts, addresses, endpoints, ports, location } = spec;
  const problems: Problem[] = hosts.flatMap((host, index) =>
    host.startsWith("*")
      ? []
      : [error(CODE, [...SPEC, "hosts", index], `resolution DYNAMIC_DNS is for wildcards, and "${host}" is none`, "write `resolution: DNS`")],
  );
  if (addresses.length > 0) problems.push(error(CODE, [...SPEC, "addresses"], "resolution DYNAMIC_DNS takes no addresses", "remove them"));
  if (endpoints.length > 0)
    problems.push(error(CODE, [...SPEC, "endpoints"], "resolution DYNAMIC_DNS finds its endpoints by each request's host", "remove them"));
  for (const [index, { protocol = "" }] of ports.entries()) {
    if (!DYNAMIC_PROTOCOLS.has(protocol.toUpperCase()))
      problems.push(
        error(CODE, [...SPEC, "ports", index, "protocol"], "resolution DYNAMIC_DNS needs a protocol that carries the host", "use HTTP, HTTP2, GRPC or TLS"),
      );
  }
  const waypoint = labels["istio.io/use-waypoint"] ?? "";
  if (location === "MESH_INTERNAL" && waypoint !== "" && waypoint.toLowerCase() !== "none")
    problems.push(error(CODE, [...SPEC, "location"], "a waypoint serves no MESH_INTERNAL hosts of resolution DYNAMIC_DNS", "write `location: MESH_EXTERNAL`"));
  return problems;
}

/** Connections of plain TCP carry no host, so that several hosts cannot be told apart; with resolution NONE they need not be. */
function checkSharedPorts({ spec }: Entry): readonly Problem[] {
  if (spec.resolution === "NONE" || spec.hosts.length < 2) return [];
  const index = spec.ports.findIndex(({ protocol = "" }) => !isHttpProtocol(protocol) && !isTlsProtocol(protocol));
  if (index < 0) return [];
  return [
    error(
      CODE,
      [...SPEC, "ports", index],
      "several hosts cannot share a port that is neither HTTP nor TLS",
      "write one ServiceEntry for each host, or give the port's protocol",
    ),
  ];
}
