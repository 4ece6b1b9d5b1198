// What VirtualServices that speak for one host take from each other, which Istio leaves to chance and silence; and delegation that leads nowhere.
import type { Diagnostic } from "../model/diagnostic.ts";
import { nearest } from "../model/nearest.ts";
import { type FieldPath, resourceLabel, type VirtualService } from "../model/resource.ts";
import type { HttpRoute } from "../model/virtual-service.ts";
import { type DelegationFault, expandDelegates } from "./delegates.ts";
import { gatewaysOf, MESH_GATEWAY } from "./gateways.ts";
import { resolveHostname } from "./hosts.ts";
import type { Mesh } from "./mesh.ts";
import { covers, type MatchedRoute, orderedRoutes } from "./route-order.ts";

/** Routes of several VirtualServices for one host merge, on the mesh as at gateways. A route that another VirtualService's takes everything from is named, with both places. */
export function virtualServicesDoNotConflict(mesh: Mesh): readonly Diagnostic[] {
  const findings = new Map<string, Diagnostic>();
  for (const [{ hostname, gateway }, group] of groups(mesh)) {
    for (const virtualService of group) {
      const others = group.filter((other) => other !== virtualService && meet(other, virtualService));
      if (others.length === 0) continue;
      const ordered = orderedRoutes(
        mesh,
        group.filter((member) => member === virtualService || others.includes(member)),
      );
      for (const finding of hiddenRoutes(ordered, virtualService, hostname, gateway)) findings.set(JSON.stringify(finding), finding);
    }
  }
  return [...findings.values()];
}

/** VirtualServices by what they are bound to: one host, on the mesh or at one gateway; only where there are several. */
function groups(mesh: Mesh): readonly (readonly [{ readonly hostname: string; readonly gateway: string }, readonly VirtualService[]])[] {
  const byBinding = new Map<string, { readonly binding: { readonly hostname: string; readonly gateway: string }; readonly members: VirtualService[] }>();
  for (const virtualService of mesh.virtualServices) {
    if (virtualService.spec.http.length === 0) continue;
    for (const gateway of gatewaysOf(virtualService)) {
      for (const written of virtualService.spec.hosts) {
        const hostname = resolveHostname(mesh, written, virtualService.namespace);
        const key = `${gateway} ${hostname}`;
        const group = byBinding.get(key) ?? { binding: { hostname, gateway }, members: [] };
        if (!group.members.includes(virtualService)) group.members.push(virtualService);
        byBinding.set(key, group);
      }
    }
  }
  return [...byBinding.values()].filter(({ members }) => members.length > 1).map(({ binding, members }) => [binding, members]);
}

/** The routes of one VirtualService that get no request because of another's before them, and that would do something else with it. */
function hiddenRoutes(ordered: readonly MatchedRoute[], virtualService: VirtualService, hostname: string, gateway: string): readonly Diagnostic[] {
  return ordered.flatMap((route, index) => {
    if (route.root !== virtualService) return [];
    const before = ordered.slice(0, index).filter((earlier) => covers(earlier.match, route.match));
    const [first] = before;
    if (first === undefined || before.some(({ root }) => root === virtualService) || actionText(first.route) === actionText(route.route)) return [];
    const place = first.owner.locate(matchPath(first));
    const where = gateway === MESH_GATEWAY ? hostname : `${hostname} at gateway ${gateway}`;
    return [
      {
        code: "WEFT0406",
        severity: "warning" as const,
        origin: route.owner.locate(matchPath(route)),
        resource: resourceLabel(route.owner),
        what: `for ${where}, ${resourceLabel(first.owner)} (${place.file}:${place.line}) has a route for the same requests, which comes first: no request reaches this one`,
        fix: "give the two different matches, or keep one of them",
      },
    ];
  });
}

function matchPath({ route, match, index }: MatchedRoute): FieldPath {
  const position = match === undefined ? -1 : route.match.indexOf(match);
  return position < 0 ? ["spec", "http", index] : ["spec", "http", index, "match", position];
}

/** What a route does, without what it matches and is called. */
function actionText({ name: _, match: __, ...action }: HttpRoute): string {
  return JSON.stringify(action);
}

/** Whether some namespace sees both. */
function meet(a: VirtualService, b: VirtualService): boolean {
  const targets = ({ spec, namespace }: VirtualService): readonly string[] =>
    spec.exportTo.length === 0 ? ["*"] : spec.exportTo.map((target) => (target === "." ? namespace : target));
  const [left, right] = [targets(a), targets(b)];
  return left.some((target) => target === "*" || right.includes(target)) || right.includes("*");
}

/** A delegate that is not there, or whose routes cannot apply inside the delegating one. */
export function delegatesFit(mesh: Mesh): readonly Diagnostic[] {
  return mesh.virtualServices
    .filter(({ spec }) => spec.hosts.length > 0)
    .flatMap((root) => expandDelegates(mesh.virtualServices, root).faults.map((fault) => delegationFinding(mesh, fault)));
}

function delegationFinding(mesh: Mesh, fault: DelegationFault): Diagnostic {
  const at = fault.root.locate(["spec", "http", fault.index, "delegate"]);
  if (fault.kind === "conflict") {
    return {
      code: "WEFT0431",
      severity: "warning",
      origin: fault.owner.locate(["spec", "http", fault.ownerIndex]),
      resource: resourceLabel(fault.owner),
      what: `this route's match is no part of the match of the route that delegates to it, ${resourceLabel(fault.root)} (${at.file}:${at.line}), so it takes no request from there`,
      fix: "match only what the delegating route matches: a longer prefix, or an exact path inside its prefix",
    };
  }
  const delegates = mesh.virtualServices.filter(({ spec }) => spec.hosts.length === 0).map(({ namespace, name }) => `${namespace}/${name}`);
  const near = nearest(fault.key, delegates);
  return {
    code: "WEFT0430",
    severity: "warning",
    origin: at,
    resource: resourceLabel(fault.root),
    what: fault.hasHosts
      ? `the VirtualService ${fault.key} has hosts of its own, and only one without hosts can be delegated to: this route is left out`
      : `there is no VirtualService ${fault.key} for this namespace, so this route is left out`,
    fix: fault.hasHosts ? "remove the hosts there, or write the routes here" : near === undefined ? "create it, without hosts" : `did you mean ${near}`,
  };
}
