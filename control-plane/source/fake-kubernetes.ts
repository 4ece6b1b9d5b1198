// An API server for tests, on loopback: collections with list, watch, bookmarks and the ways in which a real one fails. It knows no kinds and checks nothing.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { KubernetesObject } from "./kubernetes-api.ts";

type Stored = KubernetesObject & { readonly metadata: { readonly resourceVersion: string } };

export interface FakeKubernetes {
  readonly url: string;
  /** Creates or replaces an object of a collection (`/api/v1/pods`), as if somebody had applied it. */
  readonly put: (collection: string, object: KubernetesObject) => void;
  readonly remove: (collection: string, name: string, namespace?: string) => void;
  readonly get: (collection: string, name: string, namespace?: string) => KubernetesObject | undefined;
  /** Groups that `/apis` answers with. */
  readonly serve: (group: string, version: string, resources: readonly { readonly plural: string; readonly kind: string }[]) => void;
  /** Ends every open watch, without a word. */
  readonly breakWatches: () => void;
  /** Forgets all events so far: a watch from before is answered with 410. */
  readonly compact: () => void;
  /** Sends a bookmark on every open watch. */
  readonly bookmark: () => void;
  /** Answers everything with this status, until 0. */
  readonly refuse: (status: number) => void;
  /** Method and path with query of every request so far. */
  readonly requests: readonly string[];
  readonly openWatches: () => number;
  readonly close: () => Promise<void>;
}

interface Event {
  readonly version: number;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly collection: string;
  readonly object: Stored;
}

interface Watch {
  readonly matches: (collection: string, object: KubernetesObject) => boolean;
  readonly response: ServerResponse;
}

export async function startFakeKubernetes(): Promise<FakeKubernetes> {
  const objects = new Map<string, { readonly collection: string; readonly object: Stored }>();
  const groups = new Map<string, { readonly version: string; readonly resources: readonly { readonly plural: string; readonly kind: string }[] }[]>();
  const watches = new Set<Watch>();
  const requests: string[] = [];
  let events: Event[] = [];
  let version = 100;
  let compactedAt = 0;
  let refusing = 0;

  const idOf = (collection: string, name: string, namespace?: string): string => `${collection} ${namespace ?? ""}/${name}`;
  const emit = (type: Event["type"], collection: string, object: Stored): void => {
    const event = { version, type, collection, object };
    events.push(event);
    for (const watch of watches) if (watch.matches(collection, object)) watch.response.write(`${JSON.stringify({ type, object })}\n`);
  };
  const put = (collection: string, given: KubernetesObject): Stored => {
    version += 1;
    const id = idOf(collection, given.metadata.name, given.metadata.namespace);
    const former = objects.get(id)?.object;
    const specChanged = JSON.stringify(former?.spec) !== JSON.stringify(given.spec);
    const generation = former === undefined ? 1 : (former.metadata.generation ?? 1) + (specChanged ? 1 : 0);
    const object = { ...given, metadata: { ...given.metadata, uid: `uid-${id}`, generation, resourceVersion: String(version) } };
    objects.set(id, { collection, object });
    emit(former === undefined ? "ADDED" : "MODIFIED", collection, object);
    return object;
  };
  const remove = (collection: string, name: string, namespace?: string): void => {
    const id = idOf(collection, name, namespace);
    const former = objects.get(id);
    if (former === undefined) return;
    version += 1;
    objects.delete(id);
    emit("DELETED", collection, { ...former.object, metadata: { ...former.object.metadata, resourceVersion: String(version) } });
  };

  const answerWatch = (response: ServerResponse, from: number, matches: Watch["matches"]): void => {
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    if (from < compactedAt) {
      response.end(
        `${JSON.stringify({ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired", message: "too old resource version", metadata: {} } })}\n`,
      );
      return;
    }
    for (const { version: at, type, collection, object } of events)
      if (at > from && matches(collection, object)) response.write(`${JSON.stringify({ type, object })}\n`);
    const watch = { matches, response };
    watches.add(watch);
    response.once("close", () => watches.delete(watch));
  };
  const answerList = (response: ServerResponse, query: URLSearchParams, matches: Watch["matches"]): void => {
    const all = [...objects.values()].filter(({ collection, object }) => matches(collection, object)).map(({ object }) => object);
    const start = Number(query.get("continue") ?? 0);
    const limit = Number(query.get("limit") ?? all.length);
    const items = all.slice(start, start + limit);
    const next = start + limit < all.length ? { continue: String(start + limit) } : {};
    send(response, 200, { kind: "List", metadata: { resourceVersion: String(version), ...next }, items });
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<undefined> => {
    const url = new URL(request.url ?? "/", "http://fake");
    requests.push(`${request.method} ${url.pathname}${url.search}`);
    if (refusing > 0) return send(response, refusing, { kind: "Status", code: refusing, message: "refused" });
    if (url.pathname === "/apis") return send(response, 200, discoveryOf(groups));
    const { collection, namespace, name, subresource } = parsePath(url.pathname);
    const group = /^\/apis\/([^/]+)\/([^/]+)/.exec(collection);
    if (group !== null && groups.size > 0 && !isServed(groups, collection))
      return send(response, 404, { kind: "Status", code: 404, reason: "NotFound", message: "not found" });
    if (name !== undefined || request.method === "POST") {
      const text = await textOf(request);
      const given = text === "" ? undefined : (JSON.parse(text) as KubernetesObject);
      return answerObject(request.method ?? "GET", response, { collection, namespace, name: name ?? given?.metadata.name ?? "", subresource }, given);
    }
    const wantedName = /metadata\.name=([^,]+)/.exec(url.searchParams.get("fieldSelector") ?? "")?.[1];
    const matches: Watch["matches"] = (of, { metadata }) =>
      of === collection && (namespace === undefined || metadata.namespace === namespace) && (wantedName === undefined || metadata.name === wantedName);
    if (url.searchParams.get("watch") === "true") answerWatch(response, Number(url.searchParams.get("resourceVersion")), matches);
    else answerList(response, url.searchParams, matches);
  };
  const answerObject = (
    method: string,
    response: ServerResponse,
    at: ObjectPath & { readonly name: string },
    given: KubernetesObject | undefined,
  ): undefined => {
    const former = objects.get(idOf(at.collection, at.name, at.namespace))?.object;
    if (method === "POST") {
      if (former !== undefined) return send(response, 409, { kind: "Status", code: 409, reason: "AlreadyExists", message: "exists" });
      if (given === undefined) return send(response, 400, { kind: "Status", code: 400, message: "no body" });
      return send(
        response,
        201,
        put(at.collection, { ...given, metadata: { ...given.metadata, ...(at.namespace === undefined ? {} : { namespace: at.namespace }) } }),
      );
    }
    if (former === undefined) return send(response, 404, { kind: "Status", code: 404, reason: "NotFound", message: "not found" });
    if (method === "GET") return send(response, 200, former);
    if (method === "DELETE") {
      remove(at.collection, at.name, at.namespace);
      return send(response, 200, { kind: "Status" });
    }
    const wanted = given?.metadata?.resourceVersion;
    if (wanted !== undefined && wanted !== former.metadata.resourceVersion)
      return send(response, 409, { kind: "Status", code: 409, reason: "Conflict", message: "changed meanwhile" });
    const merged =
      method === "PUT"
        ? { ...given, metadata: { ...former.metadata, ...given?.metadata } }
        : { ...former, ...(at.subresource === "status" ? { status: given?.status } : { ...given, metadata: { ...former.metadata, ...given?.metadata } }) };
    return send(response, 200, put(at.collection, merged));
  };

  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  return {
    url: `http://127.0.0.1:${typeof bound === "object" && bound !== null ? bound.port : 0}`,
    put,
    remove,
    get: (collection, name, namespace) => objects.get(idOf(collection, name, namespace))?.object,
    serve: (group, served, resources) =>
      groups.set(group, [...(groups.get(group) ?? []).filter((other) => other.version !== served), { version: served, resources }]),
    breakWatches: () => {
      for (const { response } of [...watches]) response.destroy();
    },
    compact: () => {
      compactedAt = version;
      events = [];
    },
    bookmark: () => {
      version += 1;
      for (const { response } of watches)
        response.write(`${JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: String(version) } } })}\n`);
    },
    refuse: (status) => {
      refusing = status;
    },
    requests,
    openWatches: () => watches.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface ObjectPath {
  /** Without the namespace: `/api/v1/pods`. */
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource?: string | undefined;
}

function parsePath(path: string): ObjectPath {
  const [, root = "", rest = ""] = /^(\/api\/[^/]+|\/apis\/[^/]+\/[^/]+)\/(.*)$/.exec(path) ?? [];
  const parts = rest.split("/");
  const namespaced = parts[0] === "namespaces" && parts.length > 2;
  const [plural = "", name, subresource] = namespaced ? parts.slice(2) : parts;
  return { collection: `${root}/${plural}`, namespace: namespaced ? parts[1] : undefined, name, subresource };
}

type Groups = ReadonlyMap<string, readonly { readonly version: string; readonly resources: readonly { readonly plural: string; readonly kind: string }[] }[]>;

function isServed(groups: Groups, collection: string): boolean {
  const [, , group = "", version = "", plural = ""] = collection.split("/");
  const known = groups.get(group);
  return known === undefined
    ? !group.endsWith("istio.io")
    : known.some((served) => served.version === version && served.resources.some((resource) => resource.plural === plural));
}

function discoveryOf(groups: Groups): object {
  const items = [...groups].map(([name, versions]) => ({
    metadata: { name },
    versions: versions.map(({ version, resources }) => ({
      version,
      resources: resources.map(({ plural, kind }) => ({
        resource: plural,
        responseKind: { kind },
        verbs: ["list", "watch"],
        subresources: [{ subresource: "status" }],
      })),
    })),
  }));
  return { kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2", items };
}

function send(response: ServerResponse, status: number, body: unknown): undefined {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += chunk;
  return text;
}
