// Test cases of istio-config-validator: which route of the VirtualServices takes a request, whatever the gateway, and whether it is written as expected.
// Source: getyourguide/istio-config-validator, internal/pkg/unit/unit.go.
import { isDeepStrictEqual } from "node:util";
import type { Resources, VirtualService } from "../model/resource.ts";
import type { HttpRoute } from "../model/virtual-service.ts";
import type { FilterInstance } from "../simulate/decide.ts";
import type { PassedOver } from "../what-if/passed.ts";
import type { WrittenRoute } from "../what-if/written-routes.ts";
import { parseRequest } from "./explain-request.ts";
import { type OfflineMesh, openOfflineMesh } from "./offline-mesh.ts";
import type { Difference } from "./routing-test-check.ts";
import type { ValidatorCase } from "./routing-test-file.ts";

/** One request of a case, and what came of it. */
export interface CaseResult {
  readonly name: string;
  readonly differences: readonly Difference[];
  readonly passed: () => readonly PassedOver[];
  readonly written: WrittenRoute | undefined;
}

/** Runs cases against one set of files. */
export function createCaseRunner(texts: ReadonlyMap<string, string>, filter: FilterInstance): (test: ValidatorCase) => readonly CaseResult[] {
  let written: readonly VirtualService[] = [];
  const roots = openOfflineMesh(texts, (resources) => {
    written = resources.virtualServices;
    return withoutGateways(resources);
  });
  const delegates = new Map<string, OfflineMesh>();
  const answerOf = (mesh: OfflineMesh, authority: string, method: string, path: string, headers: ValidatorCase["request"]["headers"]) => {
    const asked = parseRequest(method, `http://${authority}${path}`, Object.entries(headers));
    const [caller] = mesh.imagined.running.workloads;
    const route = mesh.findAt({ from: caller?.instance, namespace: undefined, asked }, caller?.httpProxy ?? "");
    return mesh.answer(route, filter);
  };
  const delegateMesh = (target: VirtualService, host: string): OfflineMesh => {
    const key = `${target.namespace}/${target.name} ${host}`;
    const known = delegates.get(key) ?? openOfflineMesh(texts, (resources) => onlyDelegate(withoutGateways(resources), target, host));
    delegates.set(key, known);
    return known;
  };
  return (test) =>
    requestsOf(test).map(({ authority, method, uri }) => {
      const path = uri.replace(/[?#].*$/s, "");
      const root = answerOf(roots, authority, method, path, test.request.headers);
      const target = asWritten(written, root.written)?.delegate;
      const found: Difference[] = [];
      let answer = root;
      if (target !== undefined && test.delegate !== undefined) found.push(...compare("delegate", test.delegate, target, test.wantMatch));
      if (target !== undefined && test.route !== undefined) {
        const delegate = written.find(({ name, namespace }) => name === target.name && (target.namespace === undefined || namespace === target.namespace));
        if (delegate === undefined) found.push({ field: "delegate", expected: `a VirtualService ${target.name}`, actual: "none" });
        else answer = answerOf(delegateMesh(delegate, authority.replace(/:\d+$/, "")), authority, method, path, test.request.headers);
      }
      const route = asWritten(written, answer.written);
      for (const field of ["route", "rewrite", "fault", "headers", "redirect"] as const) {
        if (test[field] !== undefined) found.push(...compare(field, test[field], route?.[field] ?? (field === "route" ? [] : undefined), test.wantMatch));
      }
      return { name: `${method} ${authority}${uri}`, differences: found, passed: answer.passed, written: answer.written };
    });
}

/** An entry before it was adapted. */
function asWritten(virtualServices: readonly VirtualService[], adapted: WrittenRoute | undefined): HttpRoute | undefined {
  const { namespace, name } = adapted?.virtualService ?? {};
  return virtualServices.find((virtualService) => virtualService.name === name && virtualService.namespace === namespace)?.spec.http[adapted?.index ?? -1];
}

/** All combinations, in the order of the file. */
function requestsOf({ request }: ValidatorCase): readonly { readonly authority: string; readonly method: string; readonly uri: string }[] {
  return request.uri.flatMap((uri) => request.authority.flatMap((authority) => request.method.map((method) => ({ authority, method, uri }))));
}

function compare(field: string, expected: unknown, actual: unknown, wantMatch: boolean): readonly Difference[] {
  const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));
  if (isDeepStrictEqual(plain(expected), plain(actual)) === wantMatch) return [];
  const expectedText = JSON.stringify(expected);
  return [{ field, expected: wantMatch ? expectedText : `not ${expectedText}`, actual: JSON.stringify(actual) ?? "none" }];
}

/** The validator knows no gateways and no callers: every VirtualService counts, and a route that delegates answers in the delegate's stead. */
function withoutGateways(resources: Resources): Resources {
  const virtualServices = resources.virtualServices.map((virtualService): VirtualService => {
    const http = virtualService.spec.http.map((route) => ({
      ...route,
      match: route.match.map((match) => ({ ...match, gateways: [] })),
      ...(route.delegate === undefined ? {} : { delegate: undefined, directResponse: { status: 200 } }),
    }));
    return { ...virtualService, spec: { ...virtualService.spec, gateways: [], exportTo: [], http } };
  });
  return { ...resources, virtualServices, deployments: [], services: [], gateways: [] };
}

/** The delegate alone, for one host. */
function onlyDelegate(resources: Resources, target: VirtualService, host: string): Resources {
  const virtualServices = resources.virtualServices
    .filter(({ name, namespace }) => name === target.name && namespace === target.namespace)
    .map((virtualService): VirtualService => ({ ...virtualService, spec: { ...virtualService.spec, hosts: [host] } }));
  return { ...resources, virtualServices };
}
