// Istio's header operations to Envoy's, for a route and for one destination of it.

import { HeaderValueOption_HeaderAppendAction, type HeaderValueOptionSchema } from "../gen/envoy/config/core/v3/base_pb.js";
import { compareText } from "../model/diagnostic.ts";
import type { HeaderOperations, Headers } from "../model/fields.ts";
import type { Init } from "./init.ts";

type HeaderValueOptionInit = Init<typeof HeaderValueOptionSchema>;

/** The header fields that Envoy's Route and ClusterWeight have in common. */
export interface HeaderChanges {
  readonly requestHeadersToAdd: HeaderValueOptionInit[];
  readonly requestHeadersToRemove: string[];
  readonly responseHeadersToAdd: HeaderValueOptionInit[];
  readonly responseHeadersToRemove: string[];
}

/** `set` comes before `add`, each in the order of the names: a YAML mapping has none of its own that a formatter would keep. */
export function headerChanges(headers: Headers | undefined): HeaderChanges {
  return {
    requestHeadersToAdd: additions(headers?.request),
    requestHeadersToRemove: headers?.request?.remove.filter((name) => !isAuthority(name)) ?? [],
    responseHeadersToAdd: additions(headers?.response),
    responseHeadersToRemove: headers?.response?.remove.filter((name) => !isAuthority(name)) ?? [],
  };
}

/** Both, the first one's first: a route with a single destination carries that destination's operations after its own. */
export function joinHeaderChanges(first: HeaderChanges, second: HeaderChanges): HeaderChanges {
  return {
    requestHeadersToAdd: [...first.requestHeadersToAdd, ...second.requestHeadersToAdd],
    requestHeadersToRemove: [...first.requestHeadersToRemove, ...second.requestHeadersToRemove],
    responseHeadersToAdd: [...first.responseHeadersToAdd, ...second.responseHeadersToAdd],
    responseHeadersToRemove: [...first.responseHeadersToRemove, ...second.responseHeadersToRemove],
  };
}

/** The authority that the operations give to the request: Envoy refuses it as a header, it has a field of its own. `set` wins over `add`, as in Istio. */
export function authorityOf(headers: Headers | undefined): string | undefined {
  return [headers?.request?.set, headers?.request?.add].flatMap((values) => Object.entries(values ?? {})).find(([name]) => isAuthority(name))?.[1];
}

/** `host` and `:authority` are the same to Envoy. */
export function isAuthority(name: string): boolean {
  return /^(host|:authority)$/i.test(name);
}

function additions(operations: HeaderOperations | undefined): HeaderValueOptionInit[] {
  if (operations === undefined) return [];
  return [
    ...options(operations.set, HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD),
    ...options(operations.add, HeaderValueOption_HeaderAppendAction.APPEND_IF_EXISTS_OR_ADD),
  ];
}

function options(values: Readonly<Record<string, string>>, appendAction: HeaderValueOption_HeaderAppendAction): HeaderValueOptionInit[] {
  return Object.entries(values)
    .filter(([name]) => !isAuthority(name))
    .sort(([a], [b]) => compareText(a, b))
    .map(([key, value]) => ({ header: { key, value }, appendAction }));
}
