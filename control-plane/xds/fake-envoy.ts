// A model of what Envoy does with a delta stream, for tests: warming, subscriptions, refusals, and a complaint whenever a request would be lost.
// Its rules are those seen on Envoy 1.40; envoy/e2e/xds-rules.test.ts holds the real one against the same server.
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type EncodedResource, routeConfigurationOf } from "../snapshot/encode.ts";
import { TYPE_URLS } from "../snapshot/type-urls.ts";
import type { TranslatedResource, XdsType } from "../translate/resource.ts";
import { XDS_TYPES } from "../translate/resource.ts";
import type { DeltaRequest, DeltaResponse } from "./wire.ts";

/** What the model reads of a body: it stands, as JSON, in a field that Envoy's messages do not have. */
interface Content {
  readonly revision: string;
  /** Endpoints of a cluster, by name. */
  readonly endpoints: string;
  /** Route configurations that a listener takes. */
  readonly routes: readonly string[];
  /** Clusters that a listener, route or host sends to. */
  readonly clusters: readonly string[];
  readonly extensions: readonly string[];
  readonly vhds: boolean;
  readonly domains: readonly string[];
  /** Envoy will refuse it. */
  readonly bad: boolean;
}

const CONTENT_FIELD = 1000;
const PLAIN: Content = { revision: "1", endpoints: "", routes: [], clusters: [], extensions: [], vhds: false, domains: [], bad: false };
/** What the model reads of an assignment without endpoints, which the control plane makes by itself. */
const EMPTY: Content = { ...PLAIN, revision: "" };

/** A resource for tests, with the needs that translation would give it. */
export function testResource(type: XdsType, name: string, content: Partial<Content> = {}): TranslatedResource {
  const full: Content = { ...PLAIN, ...content };
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(name);
  if (type === "virtualHost") for (const domain of full.domains) writer.tag(2, WireType.LengthDelimited).string(domain);
  if (full.vhds) writer.tag(9, WireType.LengthDelimited).string("");
  writer.tag(CONTENT_FIELD, WireType.LengthDelimited).string(JSON.stringify(full));
  const needs = [
    ...(full.endpoints === "" ? [] : [`endpoint/${full.endpoints}`]),
    ...full.routes.map((route) => `route/${route}`),
    ...full.clusters.map((cluster) => `cluster/${cluster}`),
    ...full.extensions.map((extension) => `extension/${extension}`),
  ];
  const origin = { file: `${type}.yaml`, line: 3, column: 5 };
  return { type, name, body: writer.finish(), origins: [{ origin, resource: `VirtualService default/${name}` }], needs };
}

interface Taken {
  readonly version: string;
  readonly content: Content;
}

interface ClusterState {
  active: Taken | undefined;
  warming: Taken | undefined;
}

/** What a stream client of one type remembers: what it asked for, and the versions it took. */
interface ClientSubscription {
  readonly names: Set<string>;
  readonly versions: Map<string, string>;
}

/** The model. `complaints` lists every moment at which real traffic would have failed. */
export class FakeEnvoy {
  readonly complaints: string[] = [];
  readonly refused: string[] = [];
  readonly clusters = new Map<string, ClusterState>();
  readonly endpoints = new Map<string, string>();
  readonly listeners = new Map<string, Taken>();
  readonly routes = new Map<string, Taken & { readonly hosts: Map<string, Taken> }>();
  readonly extensions = new Map<string, string>();
  private readonly asked = new Map<XdsType, ClientSubscription>(XDS_TYPES.map((type) => [type, { names: new Set(), versions: new Map() }]));
  /** Hosts that requests are held for. */
  readonly waiting = new Set<string>();
  private outbox: DeltaRequest[] = [];
  /** Requests of clusters wait while any cluster warms. */
  private heldBack: DeltaRequest[] = [];
  private askedForHosts = false;

  /** Requests since the last call, in order. */
  takeRequests(): readonly DeltaRequest[] {
    const taken = this.outbox;
    this.outbox = [];
    return taken;
  }

  /** A new stream: all that is held is reported with its version. What was on its way is lost. */
  connect(): void {
    this.outbox = [];
    this.heldBack = [];
    this.askedForHosts = this.subscription("virtualHost").names.size > 0;
    for (const type of XDS_TYPES) {
      const { names, versions } = this.subscription(type);
      const wildcard = type === "cluster" || type === "listener";
      if (wildcard || names.size > 0) this.request(type, { subscribe: [...names], initialVersions: new Map(versions) });
    }
  }

  /** Takes a response in and answers it. */
  receive(response: DeltaResponse): void {
    const errors = this.errorsOf(response);
    const whole = response.type === "route" || response.type === "virtualHost";
    for (const { name } of errors) this.refused.push(name);
    if (errors.length === 0 || !whole) {
      const good = response.resources.filter((resource) => !errors.includes(resource));
      this.apply(response.type, good, response.removed);
      if (errors.length === 0) this.note(response);
    }
    const error = errors.length === 0 ? {} : { error: `bad: ${errors.map(({ name }) => name).join(", ")}` };
    this.request(response.type, { nonce: response.nonce, ...error });
    if (!this.isWarming()) {
      this.outbox.push(...this.heldBack);
      this.heldBack = [];
    }
  }

  /** A request comes for a host of a route configuration that is not known yet: Envoy asks for it by name, once, and holds the request. */
  call(route: string, authority: string): void {
    const name = `${route}/${authority}`;
    if (this.routes.get(route)?.hosts.has(name) === true) return;
    this.waiting.add(name);
    const { names } = this.subscription("virtualHost");
    if (names.has(name)) return;
    names.add(name);
    this.request("virtualHost", { subscribe: [name] });
  }

  isWarming(): boolean {
    return [...this.clusters.values()].some(({ warming }) => warming !== undefined);
  }

  /**
   * `initial_fetch_timeout`: a cluster whose endpoints do not come stops warming, without endpoints. Must not happen to one that is named.
   */
  giveUpWarming(): void {
    for (const [name, state] of this.clusters) {
      if (state.warming === undefined) continue;
      for (const [owner, clusters] of this.naming()) if (clusters.includes(name)) this.complaints.push(`${owner} names ${name}, which never warmed`);
      this.activate(state);
    }
    this.outbox.push(...this.heldBack);
    this.heldBack = [];
  }

  private subscription(type: XdsType): ClientSubscription {
    const found = this.asked.get(type);
    if (found === undefined) throw new Error(`no subscription of ${type}`);
    return found;
  }

  private request(type: XdsType, fields: Partial<DeltaRequest>): void {
    const request: DeltaRequest = { typeUrl: TYPE_URLS[type], subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: "", ...fields };
    if (type === "cluster" && this.isWarming()) this.heldBack.push(request);
    else this.outbox.push(request);
  }

  private errorsOf({ type, resources, removed }: DeltaResponse): readonly EncodedResource[] {
    const bad = resources.filter((resource) => contentOf(resource).bad);
    return bad.length > 0 || type !== "virtualHost" ? bad : this.repeatedDomains(resources, removed);
  }

  private repeatedDomains(resources: readonly EncodedResource[], removed: readonly string[]): readonly EncodedResource[] {
    return resources.filter((resource) => {
      const route = this.routes.get(routeConfigurationOf(resource.name));
      const after = new Map(route?.hosts ?? []);
      for (const name of removed) after.delete(name);
      for (const other of resources) if (routeConfigurationOf(other.name) === routeConfigurationOf(resource.name)) after.set(other.name, take(other));
      const others = [...after].filter(([name]) => name !== resource.name).flatMap(([, host]) => host.content.domains);
      return route !== undefined && contentOf(resource).domains.some((domain) => others.includes(domain));
    });
  }

  private note({ type, resources, removed }: DeltaResponse): void {
    const { versions } = this.subscription(type);
    for (const { name, version } of resources) versions.set(name, version);
    for (const name of removed) versions.delete(name);
  }

  private apply(type: XdsType, resources: readonly EncodedResource[], removed: readonly string[]): void {
    switch (type) {
      case "cluster":
        for (const resource of resources) this.applyCluster(resource);
        for (const name of removed) this.removeCluster(name);
        return;
      case "endpoint":
        for (const resource of resources) this.applyEndpoints(resource);
        if (removed.length > 0) this.complaints.push(`endpoints removed: ${removed.join()}`);
        return;
      case "listener":
        for (const name of removed) this.listeners.delete(name);
        for (const resource of resources) this.applyListener(resource);
        this.dropUnused();
        return;
      case "route":
        for (const resource of resources) this.applyRoute(resource);
        return;
      case "virtualHost":
        for (const name of removed) this.routes.get(routeConfigurationOf(name))?.hosts.delete(name);
        for (const resource of resources) this.applyHost(resource);
        return;
      case "extension":
        for (const { name, version } of resources) this.extensions.set(name, version);
        if (removed.length > 0) this.complaints.push(`extension removed: ${removed.join()}`);
        return;
      case "secret":
        return;
    }
  }

  private applyCluster(resource: EncodedResource): void {
    const state = this.clusters.get(resource.name) ?? { active: undefined, warming: undefined };
    if ((state.warming ?? state.active)?.version === resource.version) return;
    this.clusters.set(resource.name, state);
    state.warming = take(resource);
    const { endpoints } = state.warming.content;
    const { names } = this.subscription("endpoint");
    if (endpoints === "") this.activate(state);
    else if (!names.has(endpoints)) {
      names.add(endpoints);
      this.request("endpoint", { subscribe: [endpoints] });
    }
  }

  private activate(state: ClusterState): void {
    state.active = state.warming;
    state.warming = undefined;
    this.dropUnused();
  }

  private removeCluster(name: string): void {
    this.clusters.delete(name);
    for (const [owner, clusters] of this.naming()) if (clusters.includes(name)) this.complaints.push(`${owner} names ${name}, which was removed`);
    this.dropUnused();
  }

  private *naming(): Iterable<readonly [string, readonly string[]]> {
    for (const [name, { content }] of this.listeners) yield [name, content.clusters];
    for (const [name, { content, hosts }] of this.routes) {
      yield [name, content.clusters];
      for (const [host, taken] of hosts) yield [host, taken.content.clusters];
    }
  }

  private applyEndpoints({ name, version, body }: EncodedResource): void {
    if (!this.subscription("endpoint").names.has(name)) return;
    this.endpoints.set(name, version);
    if (contentOf({ body }) === EMPTY) this.complainAboutEmpty(name);
    for (const state of this.clusters.values()) if (state.warming?.content.endpoints === name) this.activate(state);
  }

  private complainAboutEmpty(endpoints: string): void {
    const emptied = [...this.clusters].filter(([, { active, warming }]) => (warming ?? active)?.content.endpoints === endpoints).map(([name]) => name);
    for (const [owner, clusters] of this.naming()) {
      if (clusters.some((name) => emptied.includes(name))) this.complaints.push(`${owner} names a cluster whose endpoints ${endpoints} were emptied`);
    }
  }

  private applyListener(resource: EncodedResource): void {
    const taken = take(resource);
    this.listeners.set(resource.name, taken);
    this.requireClusters(resource.name, taken.content.clusters);
    this.subscribeNew("route", taken.content.routes);
    this.subscribeNew("extension", taken.content.extensions);
  }

  private subscribeNew(type: XdsType, names: readonly string[]): void {
    const subscription = this.subscription(type);
    const fresh = names.filter((name) => !subscription.names.has(name));
    for (const name of fresh) subscription.names.add(name);
    if (fresh.length > 0) this.request(type, { subscribe: fresh });
  }

  private applyRoute(resource: EncodedResource): void {
    if (!this.subscription("route").names.has(resource.name)) return;
    const taken = take(resource);
    const former = this.routes.get(resource.name);
    this.requireClusters(resource.name, taken.content.clusters);
    this.routes.set(resource.name, { ...taken, hosts: former?.content.vhds === true && taken.content.vhds ? former.hosts : new Map() });
    if (!taken.content.vhds || former?.content.vhds === true || this.askedForHosts) return;
    this.askedForHosts = true;
    this.subscription("virtualHost").names.add(resource.name);
    this.request("virtualHost", { subscribe: [resource.name] });
  }

  private applyHost(resource: EncodedResource): void {
    const route = this.routes.get(routeConfigurationOf(resource.name));
    if (route === undefined) return;
    const taken = take(resource);
    this.requireClusters(resource.name, taken.content.clusters);
    route.hosts.set(resource.name, taken);
    this.waiting.delete(resource.name);
  }

  private requireClusters(owner: string, clusters: readonly string[]): void {
    for (const name of clusters) if (this.clusters.get(name)?.active === undefined) this.complaints.push(`${owner} names ${name}, which is not there`);
  }

  /** Unsubscribes from what no listener and no cluster uses any more. */
  private dropUnused(): void {
    const listeners = [...this.listeners.values()];
    const clusters = [...this.clusters.values()].flatMap(({ active, warming }) => [active, warming].filter((taken) => taken !== undefined));
    this.dropNames("endpoint", new Set(clusters.map(({ content }) => content.endpoints)), (name) => this.endpoints.delete(name));
    this.dropNames("route", new Set(listeners.flatMap(({ content }) => content.routes)), (name) => this.routes.delete(name));
    this.dropNames("extension", new Set(listeners.flatMap(({ content }) => content.extensions)), (name) => this.extensions.delete(name));
  }

  private dropNames(type: XdsType, used: ReadonlySet<string>, drop: (name: string) => void): void {
    const { names, versions } = this.subscription(type);
    const unused = [...names].filter((name) => !used.has(name));
    for (const name of unused) {
      names.delete(name);
      versions.delete(name);
      drop(name);
    }
    if (unused.length > 0) this.request(type, { unsubscribe: unused });
  }
}

/** What the model sees in a body. */
export function contentOf(resource: { readonly body: Uint8Array }): Content {
  const reader = new BinaryReader(resource.body);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === CONTENT_FIELD) return JSON.parse(reader.string());
    reader.skip(wireType, field);
  }
  return EMPTY;
}

function take(resource: EncodedResource): Taken {
  return { version: resource.version, content: contentOf(resource) };
}
