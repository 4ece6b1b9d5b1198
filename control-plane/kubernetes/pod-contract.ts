// What every pod of the mesh has in common: the ports of its proxy, the proxy's user, and the files by which it proves itself.
import { ROOTS_SECRET } from "../translate/names.ts";

/** Ports of a sidecar, the same as Istio's. */
export const POD_PORTS = {
  /** Envoy's admin port, on loopback. */
  admin: 15_000,
  /** Connections of the application are redirected here. */
  outbound: 15_001,
  /** Connections to the application are redirected here. */
  inbound: 15_006,
  /** Where the kubelet's probes of the application arrive. */
  probes: 15_020,
  /** `/healthz/ready` of the proxy itself. */
  ready: 15_021,
  /** `/stats/prometheus`. */
  metrics: 15_090,
} as const;

/** User and group of the proxy: connections of theirs are not redirected again. */
export const PROXY_USER = 1_337;

/**
 * Inbound connections that a proxy makes to its own application come from here, which tells them from calls of the application to itself: those go through
 * the inbound port once more. Source: Istio, tools/istio-iptables, InboundPassthroughCluster.
 */
export const INBOUND_SOURCE = "127.0.0.6";

/** Where the volume with token and roots is mounted. */
export const IDENTITY_FOLDER = "/var/run/secrets/weft";
/** What the service account's token there may be used for: the control plane alone takes it. */
export const TOKEN_AUDIENCE = "weft-xds";

/** The ConfigMap that the leader keeps in every namespace of the mesh. */
export const ROOTS_CONFIG_MAP = "weft-roots";
/** Its keys: the mesh's roots for whoever wants them, and how Envoy is told to read and to watch roots and token. */
export const ROOTS_KEY = "root.pem";
export const ROOTS_SOURCE_KEY = "roots.json";
export const TOKEN_SOURCE_KEY = "token.json";
/** Where the ConfigMap's keys are found in a pod. */
export const ROOTS_FOLDER = `${IDENTITY_FOLDER}/roots`;

/**
 * What stands in the ConfigMap `weft-roots`. The kubelet renews token and roots by moving the symbolic link `..data`; an Envoy notices only where the secret
 * itself names the folder to watch, and only an SDS resource in a file can (seen with Envoy 1.40: a static secret is read once). `folder` is another one in
 * tests only.
 */
export function rootsConfigMap(roots: readonly string[], folder = IDENTITY_FOLDER): Readonly<Record<string, string>> {
  const watched_directory = { path: folder };
  return {
    [ROOTS_KEY]: roots.join(""),
    [ROOTS_SOURCE_KEY]: secretSource({
      name: ROOTS_SECRET,
      validation_context: { trusted_ca: { filename: `${folder}/roots/${ROOTS_KEY}` }, watched_directory },
    }),
    [TOKEN_SOURCE_KEY]: secretSource({ name: "token", generic_secret: { secret: { filename: `${folder}/token`, watched_directory } } }),
  };
}

function secretSource(secret: object): string {
  return JSON.stringify({ resources: [{ "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", ...secret }] });
}
