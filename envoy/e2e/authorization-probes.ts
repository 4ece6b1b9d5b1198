// Requests that are generated from the values of AuthorizationPolicies: those that a value means, and those that it just does not.
import { parseAllDocuments } from "yaml";
import { z } from "zod";

/** What a request has that a policy can ask for. */
export type Facet = "principal" | "source" | "remote" | "destination" | "port" | "sni" | "host" | "method" | "path" | "header" | "token" | "metadata";

/** One request, with its connection. */
export interface Probe {
  /** The SPIFFE id of the client's certificate; undefined without one. */
  readonly principal: string | undefined;
  readonly source: string;
  readonly remote: string;
  readonly destination: string;
  readonly port: number;
  readonly sni: string;
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Claims of a valid token; undefined without one. */
  readonly token: Readonly<Record<string, unknown>> | undefined;
  /** What the filter `envoy.filters.a.b` left under `c`. */
  readonly metadata: string | undefined;
}

/** A probe, and the facet that was varied to make it; undefined for one that meets a rule as well as it can be met. */
export interface VariedProbe {
  readonly probe: Probe;
  readonly varies: Facet | undefined;
}

const NEUTRAL: Probe = {
  principal: undefined,
  source: "127.77.0.1",
  remote: "127.77.0.2",
  destination: "127.77.0.3",
  port: 7777,
  sni: "",
  host: "neutral",
  method: "GET",
  path: "/neutral",
  headers: {},
  token: undefined,
  metadata: undefined,
};

const strings = z.array(z.string()).default([]);
const fields = z.record(z.string(), strings).default({});
const policies = z.array(
  z.object({
    spec: z.object({
      rules: z
        .array(
          z.object({
            from: z.array(z.object({ source: fields })).default([]),
            to: z.array(z.object({ operation: fields })).default([]),
            when: z.array(z.object({ key: z.string(), values: strings, notValues: strings })).default([]),
          }),
        )
        .default([]),
    }),
  }),
);

/** A value of a field, as something to do to a probe. */
interface Ask {
  readonly facet: Facet;
  readonly values: readonly string[];
  readonly notValues: readonly string[];
  readonly set: (probe: Probe, text: string) => Probe;
  readonly texts: (value: string) => readonly string[];
}

/** All probes of a file of policies, each once, in a fixed order. */
export function probesOf(yaml: string): readonly VariedProbe[] {
  const documents = parseAllDocuments(yaml).map((document): unknown => document.toJS());
  const rules = policies.parse(documents.filter((value) => value !== null)).flatMap(({ spec }) => spec.rules);
  const probes = rules.flatMap(({ from, to, when }) => {
    const conditions = when.map(({ key, values, notValues }) => ask(key, values, notValues));
    const sources = from.length === 0 ? [[]] : from.map(({ source }) => asksOf(source, SOURCE_FIELDS));
    const operations = to.length === 0 ? [[]] : to.map(({ operation }) => asksOf(operation, OPERATION_FIELDS));
    return sources.flatMap((source) => operations.flatMap((operation) => probesOfAsks([...source, ...operation, ...conditions])));
  });
  const neutral: VariedProbe = { probe: NEUTRAL, varies: undefined };
  return [...new Map([neutral, ...probes].map((varied) => [JSON.stringify(varied), varied])).values()];
}

function probesOfAsks(asks: readonly Ask[]): readonly VariedProbe[] {
  // Later fields of one facet overwrite earlier ones, so that each order of two gives another request.
  const met = (order: readonly Ask[]) =>
    order.reduce((probe, { set, texts, values: [value] }) => (value === undefined ? probe : set(probe, texts(value)[0] ?? "")), NEUTRAL);
  const bases = [met(asks), met([...asks].reverse())];
  const variants = asks.flatMap(({ facet, values, notValues, set, texts }) =>
    [...values, ...notValues].flatMap((value) => texts(value).flatMap((text) => bases.map((base): VariedProbe => ({ probe: set(base, text), varies: facet })))),
  );
  return [...bases.map((probe): VariedProbe => ({ probe, varies: undefined })), ...variants];
}

const SOURCE_FIELDS: Readonly<Record<string, string>> = {
  principals: "source.principal",
  requestPrincipals: "request.auth.principal",
  namespaces: "source.namespace",
  serviceAccounts: "source.serviceAccount",
  trustDomains: "source.trustDomain",
  ipBlocks: "source.ip",
  remoteIpBlocks: "remote.ip",
};
const OPERATION_FIELDS: Readonly<Record<string, string>> = { hosts: "host", methods: "method", paths: "path", ports: "destination.port" };

function asksOf(written: Readonly<Record<string, readonly string[]>>, names: Readonly<Record<string, string>>): readonly Ask[] {
  return Object.entries(names).flatMap(([field, key]) => {
    const not = `not${field[0]?.toUpperCase()}${field.slice(1)}`;
    const [values, notValues] = [written[field] ?? [], written[not] ?? []];
    return values.length + notValues.length === 0 ? [] : [ask(key, values, notValues)];
  });
}

function ask(key: string, values: readonly string[], notValues: readonly string[]): Ask {
  const found = ATTRIBUTES.find(({ of }) => key === of || key.startsWith(`${of}[`));
  if (found === undefined) throw new Error(`no probe for ${key}`);
  const { facet, set, texts } = found.make([...key.matchAll(/\[([^\]]*)\]/g)].map(([, name]) => name ?? ""));
  return { facet, values, notValues, set, texts };
}

type Making = Pick<Ask, "facet" | "set" | "texts">;

const principal = (uri: (text: string) => string, texts: Ask["texts"] = starred): (() => Making) => {
  return () => ({ facet: "principal", texts, set: (probe, text) => ({ ...probe, principal: text === "" ? undefined : uri(text) }) });
};
const claim = (names: readonly string[], wrap: (text: string) => unknown = (text) => text): Making => ({
  facet: "token",
  texts: starred,
  set: (probe, text) => ({ ...probe, token: withClaim(probe.token ?? { iss: "anyone", sub: "anything" }, names, wrap(text)) }),
});
const plain = (facet: "host" | "method" | "sni" | "metadata", texts: Ask["texts"] = starred): (() => Making) => {
  return () => ({ facet, texts: (value) => texts(value).filter((text) => text !== ""), set: (probe, text) => ({ ...probe, [facet]: text }) });
};
const address = (facet: "source" | "remote" | "destination"): (() => Making) => {
  return () => ({ facet, texts: addresses, set: (probe, text) => ({ ...probe, [facet]: text }) });
};

const ATTRIBUTES: readonly { readonly of: string; readonly make: (names: readonly string[]) => Making }[] = [
  { of: "source.principal", make: principal((text) => `spiffe://${text}`) },
  { of: "source.namespace", make: principal((text) => `spiffe://cluster.local/ns/${text}/sa/any`) },
  { of: "source.serviceAccount", make: principal(serviceAccountUri, serviceAccounts) },
  { of: "source.trustDomain", make: principal((text) => `spiffe://${text}/ns/any/sa/any`) },
  { of: "source.ip", make: address("source") },
  { of: "remote.ip", make: address("remote") },
  { of: "destination.ip", make: address("destination") },
  {
    of: "destination.port",
    make: () => ({
      facet: "port",
      texts: (value) => [value, `${Number(value) + 1}`, `${Number(value) - 1}`],
      set: (probe, text) => ({ ...probe, port: Number(text) }),
    }),
  },
  { of: "connection.sni", make: plain("sni") },
  { of: "experimental.envoy.filters.a.b", make: plain("metadata") },
  { of: "host", make: plain("host", (value) => [...starred(value), ...starred(value).map((text) => text.toUpperCase()), `${starred(value)[0]}:80`]) },
  { of: "method", make: plain("method") },
  { of: "path", make: () => ({ facet: "path", texts: paths, set: (probe, text) => ({ ...probe, path: text }) }) },
  {
    of: "request.headers",
    make: ([name = ""]) =>
      name === ":method"
        ? plain("method")()
        : { facet: "header", texts: starred, set: (probe, text) => ({ ...probe, headers: text === "" ? {} : { ...probe.headers, [name]: text } }) },
  },
  { of: "request.auth.audiences", make: () => claim(["aud"], (text) => [text, "another"]) },
  { of: "request.auth.presenter", make: () => claim(["azp"]) },
  { of: "request.auth.claims", make: (names) => claim(names) },
  {
    of: "request.auth.principal",
    make: () => ({
      facet: "token",
      texts: (value) => [...starred(value), ...starred(value).map((text) => `issuer/${text}`), ...starred(value).map((text) => `${text}/subject`)],
      set: (probe, text) => {
        const slash = text.lastIndexOf("/");
        const named = { iss: slash < 0 ? text : text.slice(0, slash), sub: slash < 0 ? "" : text.slice(slash + 1) };
        return { ...probe, token: text === "" ? undefined : { ...probe.token, ...named } };
      },
    }),
  },
];

/** What a value with at most one star means first, then what it nearly means. */
function starred(value: string): readonly string[] {
  if (value === "*") return ["anything", ""];
  const text = value.replace("*", "");
  const [before, after] = [value.startsWith("*") ? "x" : "", value.endsWith("*") ? "x" : ""];
  return [`${before}${text}${after}`, text, `x${text}`, `${text}x`, text.slice(1), text.slice(0, -1), text.toUpperCase(), ""];
}

function paths(value: string): readonly string[] {
  const whole = (text: string): string => (text.startsWith("/") ? text : `/${text}`);
  if (!value.includes("{")) return [...new Set(starred(value).map(whole)), `${whole(starred(value)[0] ?? "")}?query=1`];
  const filled = (one: string, many: string): string => value.replaceAll("{**}", many).replaceAll("{*}", one);
  return [filled("one", "a/b"), filled("one", "a"), filled("one/two", "a/b/c"), filled("", ""), `${filled("one", "a")}/more`, filled("one", "a").slice(0, -1)];
}

/** An address itself, the ends of a range, and those just outside of it. */
function addresses(value: string): readonly string[] {
  const [text = "", length = "32"] = value.split("/");
  const first = text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const last = first + 2 ** (32 - Number(length)) - 1;
  const written = [first, last, first - 1, last + 1].map((number) => [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join("."));
  return [...new Set(written)].filter((candidate) => candidate !== "127.0.0.0");
}

function serviceAccounts(value: string): readonly string[] {
  const name = value.includes("/") ? value : `foo/${value}`;
  return [name, `${name}x`, `x${name}`, name.replace("/", "x/"), `other/${name.split("/")[1]}`, `${name}/pod/x`];
}

function serviceAccountUri(text: string): string {
  const [namespace, account, ...rest] = text.split("/");
  return `spiffe://cluster.local/ns/${namespace}/sa/${[account, ...rest].join("/")}`;
}

function withClaim(token: Readonly<Record<string, unknown>>, [name = "", ...inner]: readonly string[], value: unknown): Readonly<Record<string, unknown>> {
  return { ...token, [name]: inner.length === 0 ? value : withClaim({}, inner, value) };
}
