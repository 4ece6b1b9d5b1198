// The endpoints of a cluster as one place sees them, as Envoy's ClusterLoadAssignment.
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { AddressSchema } from "../gen/envoy/config/core/v3/address_pb.js";
import { LbEndpointSchema, LocalityLbEndpointsSchema } from "../gen/envoy/config/endpoint/v3/endpoint_components_pb.js";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.js";
import type { Instance, Locality } from "../mesh/instance.ts";
import type { LocalityGroup } from "../mesh/istio-locality.ts";
import type { PlacedEndpoint } from "../mesh/priorities.ts";
import { UNIX_PREFIX } from "../mesh/workload-entries.ts";
import type { Init } from "./init.ts";
import { FILTER } from "./names.ts";
import type { ResourceOrigin, TranslatedResource } from "./resource.ts";
import { ENDPOINT_LABELS } from "./traffic-metrics.ts";
import { PLAIN_ENDPOINT } from "./transport-socket.ts";

/** The assignment under an EDS name. `weighted`: localities of one priority share by their weights. */
export function loadAssignment(
  name: string,
  groups: readonly LocalityGroup<PlacedEndpoint>[],
  weighted: boolean,
  origins: readonly ResourceOrigin[],
): TranslatedResource {
  const head = toBinary(ClusterLoadAssignmentSchema, create(ClusterLoadAssignmentSchema, { clusterName: name }));
  const places = groups.map((group) => field(ClusterLoadAssignmentSchema.field.endpoints.number, encodeGroup(group, weighted)));
  return { type: "endpoint", name, body: Buffer.concat([head, ...places]), origins, needs: [] };
}

/** An endpoint stands in an assignment for each subset, zone and namespace: it is encoded once, and its bytes are put together. */
function encodeGroup(group: LocalityGroup<PlacedEndpoint>, weighted: boolean): Uint8Array {
  const head = toBinary(LocalityLbEndpointsSchema, create(LocalityLbEndpointsSchema, groupFields(group, weighted)));
  return Buffer.concat([head, ...group.endpoints.map((endpoint) => field(LocalityLbEndpointsSchema.field.lbEndpoints.number, encodeEndpoint(endpoint)))]);
}

const ENCODED = new WeakMap<PlacedEndpoint, Uint8Array>();

function encodeEndpoint(endpoint: PlacedEndpoint): Uint8Array {
  const encoded = ENCODED.get(endpoint) ?? toBinary(LbEndpointSchema, create(LbEndpointSchema, lbEndpoint(endpoint)));
  ENCODED.set(endpoint, encoded);
  return encoded;
}

/** A field that holds a message. */
function field(number: number, message: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(message).finish();
}

/** The same as a message, for clusters that carry their endpoints themselves. */
export function assignment(name: string, groups: readonly LocalityGroup<PlacedEndpoint>[], weighted: boolean): Init<typeof ClusterLoadAssignmentSchema> {
  const endpoints = groups.map(
    (group): Init<typeof LocalityLbEndpointsSchema> => ({ ...groupFields(group, weighted), lbEndpoints: group.endpoints.map(lbEndpoint) }),
  );
  return { clusterName: name, endpoints };
}

function groupFields({ locality, priority, weight }: LocalityGroup<PlacedEndpoint>, weighted: boolean): Init<typeof LocalityLbEndpointsSchema> {
  return { locality: envoyLocality(locality), priority, ...(weighted ? { loadBalancingWeight: weight } : {}) };
}

function lbEndpoint({ address, port, instance, weight, plain }: PlacedEndpoint): Init<typeof LbEndpointSchema> {
  return {
    hostIdentifier: { case: "endpoint", value: { address: envoyAddress(address, port) } },
    metadata: { filterMetadata: { [FILTER]: endpointMetadata(instance), ...(plain ? PLAIN_ENDPOINT : {}) } },
    ...(weight === 1 ? {} : { loadBalancingWeight: weight }),
  };
}

/** A socket's address: `unix:///path`, or an IP address or name with a port. */
export function envoyAddress(address: string, port: number): Init<typeof AddressSchema> {
  return address.startsWith(UNIX_PREFIX)
    ? { address: { case: "pipe", value: { path: address.slice(UNIX_PREFIX.length) } } }
    : { address: { case: "socketAddress", value: { address, portSpecifier: { case: "portValue", value: port } } } };
}

/**
 * What metrics cannot know of an endpoint but from here (`%UPSTREAM_METADATA(weft:v)%`: a locality beside it cannot be asked for). It is sent for each
 * endpoint of each subset to every proxy, so it is no longer than it must be, and what is empty is left out.
 */
function endpointMetadata({ workload, labels, locality }: Instance): Record<string, string> {
  const version = labels.version ?? labels["app.kubernetes.io/version"] ?? "";
  const values = [
    [ENDPOINT_LABELS.workload, workload],
    [ENDPOINT_LABELS.version, version],
    [ENDPOINT_LABELS.zone, locality.zone],
  ] as const;
  return Object.fromEntries(values.filter(([, value]) => value !== ""));
}

/** Envoy spells subzone as one word with a capital inside. */
function envoyLocality({ region, zone, subzone }: Locality): { readonly region: string; readonly zone: string; readonly subZone: string } {
  return { region, zone, subZone: subzone };
}
