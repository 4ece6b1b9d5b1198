// Listeners for connections that no request tells apart: where a proxy is given connections to any host's addresses, there is one for each address and port of a
// host that does not speak HTTP, bound nowhere. Source: Istio, listener_builder.go, buildSidecarOutboundListeners.
import type { Proxy, ServiceListener } from "../mesh/instance.ts";
import type { Host, Mesh } from "../mesh/mesh.ts";
import { isHttp } from "../mesh/services.ts";
import { isIpAddress } from "../mesh/workload-entries.ts";
import { sameList } from "./memo.ts";

/** The proxy with those listeners beside its own; the proxy itself where it wants none. As long as nothing changes it is the same object. */
export function withAddressListeners(mesh: Mesh, proxy: Proxy): Proxy {
  if (proxy.capture?.byAddress !== true) return proxy;
  const listeners = addressListeners(mesh);
  if (listeners.length === 0) return proxy;
  const known = MADE.get(proxy);
  if (known !== undefined && sameList(known.listeners, listeners) === known.listeners) return known.proxy;
  const made = { ...proxy, outbound: [...proxy.outbound, ...listeners] };
  MADE.set(proxy, { listeners, proxy: made });
  return made;
}

const MADE = new WeakMap<Proxy, { readonly listeners: readonly ServiceListener[]; readonly proxy: Proxy }>();
const OF_MESH = new WeakMap<Mesh, readonly ServiceListener[]>();
/** What made a host outlives many meshes, as long as nobody writes it anew. */
const OF_SERVICE = new WeakMap<Host["service"], Map<string, readonly ServiceListener[]>>();

function addressListeners(mesh: Mesh): readonly ServiceListener[] {
  const known = OF_MESH.get(mesh);
  if (known !== undefined) return known;
  const listeners = [...mesh.hosts.values()].flatMap(listenersOf);
  OF_MESH.set(mesh, listeners);
  return listeners;
}

/** A ServiceEntry may have several addresses: the first counts, since a listener has one name and one address. */
function listenersOf({ hostname, addresses, ports, service }: Host): readonly ServiceListener[] {
  const byName = OF_SERVICE.get(service) ?? new Map<string, readonly ServiceListener[]>();
  OF_SERVICE.set(service, byName);
  const known = byName.get(hostname);
  if (known !== undefined) return known;
  const address = addresses.find(isIpAddress);
  const connections = ports.filter(({ protocol }) => protocol !== "udp" && !isHttp(protocol));
  const made =
    address === undefined
      ? []
      : connections.map(({ number }): ServiceListener => ({ hostname, port: number, listen: { address, port: number, captured: true }, explainPort: 0 }));
  byName.set(hostname, made);
  return made;
}
