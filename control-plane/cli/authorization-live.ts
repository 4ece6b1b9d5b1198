// Who lets a request in, in a mesh that runs: asked of what the proxies on its way hold at this moment. Nothing is sent but questions to their admin APIs.

import type { ReadyAnswer } from "../local/api.ts";
import { act } from "../simulate/act.ts";
import type { SimulatedRequest } from "../simulate/request.ts";
import { plainConnection } from "../what-if/ask.ts";
import { type AuthorizationStep, authorizationSteps, type HeldConfiguration, type Journey, tokenOf } from "./explain-authorization.ts";
import type { Asker, ChosenListener, ExplainedRequest } from "./explain-request.ts";
import { askConfiguration, type RunningConfiguration } from "./held-configuration.ts";
import { simulatedRequest } from "./offline-mesh.ts";
import type { AskRunner } from "./running-mesh.ts";

/** A request whose route has been found. */
export interface LiveQuestion {
  readonly asker: Asker;
  readonly listener: ChosenListener;
  readonly asked: ExplainedRequest;
  readonly ready: ReadyAnswer;
  /** Names of the route that takes it and of the cluster that it goes to, as far as there are any. */
  readonly route: string | null;
  readonly cluster: string | undefined;
  readonly claims: Readonly<Record<string, unknown>> | undefined;
}

/** As {@link authorizationSteps}. Rejects with a CommandError where a proxy does not answer. */
export async function liveAuthorization(
  { asker, listener, asked, ready, route, cluster, claims }: LiveQuestion,
  ask: AskRunner,
): Promise<readonly AuthorizationStep[]> {
  const holds = await askConfiguration(asker.admin, `the proxy of ${asker.name}`);
  const workload = ready.workloads.find(({ instance, namespace }) => asker.kind === "workload" && instance === asker.name && namespace === asker.namespace);
  const sidecars = await sidecarsOf(ready, cluster === undefined ? [] : addressesIn(holds, cluster));
  const { hostname: address, port } = new URL(listener.url);
  const place = { address, port: Number(port || 80) };
  const request = simulatedRequest(asked);
  const https = request.scheme === "https" && asker.kind === "gateway";
  const connection = https
    ? { ...place, transport: "tls" as const, serverName: asked.hostname, applicationProtocols: ["h2", "http/1.1"] }
    : plainConnection(place);
  const certificates = await ask("certificates", {});
  const proxyId = workload?.sidecar.id ?? ready.gateways.find(({ name }) => name === asker.name)?.id;
  const journey: Journey = {
    caller: {
      kind: asker.kind,
      name: asker.name,
      spiffeId: certificates.find(({ kind, name, subject }) => kind === "proxy" && name === proxyId && subject !== "")?.subject,
      address: workload?.address,
      holds,
    },
    entry: { place, connection, request },
    ...(cluster === undefined ? {} : { forwarded: { cluster, ...forwardedBy(holds, route, request), isHttp: true } }),
    sidecarAt: (endpoint) => sidecars.get(endpoint.address),
    token: tokenOf(claims),
  };
  return authorizationSteps(journey);
}

/** The request as the route changes it. */
function forwardedBy({ routeConfigurations }: RunningConfiguration, name: string | null, request: SimulatedRequest): { readonly request: SimulatedRequest } {
  for (const configuration of routeConfigurations) {
    for (const virtualHost of configuration.virtualHosts) {
      const route = virtualHost.routes.find((candidate) => candidate.name !== "" && candidate.name === name);
      const action = route === undefined ? undefined : act({ configuration, virtualHost, route }, request);
      const chosen = action?.kind === "forward" ? action.destinations[action.chosen] : undefined;
      if (chosen !== undefined) return { request: { ...request, authority: chosen.authority, path: chosen.path, headers: chosen.headers } };
    }
  }
  return { request };
}

function addressesIn(holds: HeldConfiguration, cluster: string): ReadonlySet<string> {
  const endpoints = (holds.endpoints(cluster)?.endpoints ?? []).flatMap(({ lbEndpoints }) => lbEndpoints);
  return new Set(
    endpoints.flatMap(({ hostIdentifier }) => {
      const address = hostIdentifier.case === "endpoint" ? hostIdentifier.value.address?.address : undefined;
      return address?.case === "socketAddress" ? [address.value.address] : [];
    }),
  );
}

type Sidecars = ReadonlyMap<string, { readonly instance: string; readonly holds: HeldConfiguration }>;

async function sidecarsOf({ workloads }: ReadyAnswer, addresses: Iterable<string>): Promise<Sidecars> {
  const wanted = new Set(addresses);
  const meant = workloads.filter(({ address, sidecar }) => wanted.has(address) && sidecar.admin !== "");
  const asked = meant.map(async ({ address, instance, sidecar }) => {
    const holds = await askConfiguration(sidecar.admin, `the proxy of ${instance}`);
    return [address, { instance, holds }] as const;
  });
  return new Map(await Promise.all(asked));
}
