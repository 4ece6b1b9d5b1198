// What stands behind Services that select no pods, as somebody wrote it into EndpointSlices: slices in, instances out. Pure.
// Source: Kubernetes, "Services without selectors"; EndpointSlice v1.
import { z } from "zod";
import type { Instance, Locality } from "../mesh/instance.ts";
import { SLICE_SERVICE_LABEL } from "../mesh/services.ts";
import type { KubernetesObject } from "../source/kubernetes-api.ts";
import { NOWHERE } from "./node.ts";
import type { SelectingService } from "./service-ports.ts";

/** Slices of Services that select pods say nothing that the pods do not: the server leaves them out. */
export const SLICES_OF_OTHERS = "endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io";

const slice = z.object({
  addressType: z.string().optional(),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()).default([]),
        conditions: z.object({ ready: z.boolean().nullish() }).nullish(),
        nodeName: z.string().nullish(),
        zone: z.string().nullish(),
      }),
    )
    .nullish(),
  ports: z.array(z.object({ name: z.string().nullish(), port: z.number().nullish(), protocol: z.string().nullish() })).nullish(),
});

export interface Slice {
  readonly namespace: string;
  readonly name: string;
  readonly service: string;
  readonly endpoints: readonly { readonly address: string; readonly ready: boolean; readonly node: string; readonly zone: string }[];
  readonly ports: readonly { readonly name: string; readonly port: number }[];
}

/** Undefined for a slice that is of no Service, or of names rather than addresses. */
export function sliceOf(object: KubernetesObject): Slice | undefined {
  const { name, namespace = "default", labels = {} } = object.metadata;
  const service = labels[SLICE_SERVICE_LABEL];
  const read = slice.safeParse(object);
  if (service === undefined || !read.success || read.data.addressType === "FQDN") return undefined;
  return {
    namespace,
    name,
    service,
    endpoints: (read.data.endpoints ?? []).flatMap(({ addresses, conditions, nodeName, zone }) =>
      addresses.map((address) => ({ address, ready: conditions?.ready !== false, node: nodeName ?? "", zone: zone ?? "" })),
    ),
    ports: (read.data.ports ?? []).flatMap(({ name: portName, port, protocol }) =>
      port === null || port === undefined || (protocol ?? "TCP") !== "TCP" ? [] : [{ name: portName ?? "", port }],
    ),
  };
}

/** One for each address. A port of the Service is that of its name in the slice. */
export function instancesOfSlice(
  { namespace, name, service, endpoints, ports }: Slice,
  of: SelectingService,
  localityOf: (node: string) => Locality | undefined,
): readonly Instance[] {
  const bound = of.ports.flatMap((port) => {
    const there = ports.find((candidate) => candidate.name === port.name);
    if (there === undefined) return [];
    const { targetPort } = port;
    const known = typeof targetPort === "string" ? { name: targetPort, containerPort: port.port } : { name: port.name, containerPort: targetPort };
    return [{ ...known, boundPort: there.port }];
  });
  return endpoints.map(({ address, ready, node, zone }, index) => ({
    name: `${name}-${index}`,
    namespace,
    workload: service,
    labels: { [SLICE_SERVICE_LABEL]: service },
    serviceAccount: "",
    locality: localityOf(node) ?? { ...NOWHERE, zone },
    address,
    ports: bound,
    ready,
    hasSidecar: false,
  }));
}
