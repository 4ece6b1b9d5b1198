// Each rule on the smallest resources that it speaks of, as istioctl would see them: the codes that come out, with what they are about.
import { describe, expect, it } from "vitest";
import { analyze } from "./analyze.ts";

const NETWORKING = "networking.istio.io/v1";
const document = (apiVersion: string, kind: string, metadata: string, spec = ""): string =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {${metadata}}\n${spec === "" ? "" : `spec: {${spec}}\n`}---\n`;
const istio = (kind: string, metadata: string, spec: string): string => document(NETWORKING, kind, metadata, spec);
const pod = (name: string, labels: string, more = ""): string =>
  document("v1", "Pod", `name: ${name}, labels: {${labels}}${more}`, "containers: [{name: istio-proxy, image: proxy}]");
const service = (name: string, ports: string, more = "selector: {app: a}"): string => document("v1", "Service", `name: ${name}`, `${more}, ports: [${ports}]`);
const telemetry = (name: string, spec: string): string => document("telemetry.istio.io/v1", "Telemetry", `name: ${name}`, spec);

interface Case {
  readonly of: string;
  readonly rules: readonly string[];
  readonly yaml: string;
  readonly expected: readonly string[];
}

const CASES: readonly Case[] = [
  {
    of: "two Sidecars of one pod",
    rules: ["sidecarSelectors"],
    yaml: `${pod("p", "app: a, v: b")}${istio("Sidecar", "name: s1", "workloadSelector: {labels: {app: a}}")}${istio("Sidecar", "name: s2", "workloadSelector: {labels: {v: b}}")}${istio("Sidecar", "name: s3", "workloadSelector: {labels: {v: c}}")}`,
    expected: ["IST0110 Sidecar default/s1", "IST0110 Sidecar default/s2", "IST0101 Sidecar default/s3"],
  },
  {
    of: "two Sidecars of a namespace",
    rules: ["sidecarSelectors"],
    yaml: `${istio("Sidecar", "name: s1", "egress: []")}${istio("Sidecar", "name: s2", "egress: []")}${istio("Sidecar", "name: s1, namespace: other", "egress: []")}`,
    expected: ["IST0111 Sidecar default/s1", "IST0111 Sidecar default/s2"],
  },
  {
    of: "two Telemetries of a namespace, one without a provider",
    rules: ["telemetryDefaults", "telemetryProviders"],
    yaml: `${telemetry("t1", "accessLogging: [{}]")}${telemetry("t2", "accessLogging: [{disabled: true}]")}`,
    expected: ["IST0160 Telemetry default/t1", "IST0157 Telemetry default/t1", "IST0160 Telemetry default/t2"],
  },
  {
    of: "a destination of several ports, and one port that is not there",
    rules: ["destinationHosts"],
    yaml: `${service("a", "{name: http, port: 80}, {name: grpc, port: 90}")}${istio("VirtualService", "name: v", "hosts: [a], http: [{route: [{destination: {host: a}}], mirrors: [{destination: {host: a, port: {number: 70}}}]}]")}`,
    expected: ["IST0112 VirtualService default/v", "IST0101 VirtualService default/v"],
  },
  {
    of: "hosts that a namespace does not see",
    rules: ["destinationHosts"],
    yaml: `${istio("ServiceEntry", "name: e, namespace: one", 'hosts: [a.com], exportTo: ["."], ports: [{number: 80, name: http}]')}${istio("VirtualService", "name: v, namespace: two", "hosts: [a.com], http: [{route: [{destination: {host: a.com}}]}]")}${istio("VirtualService", "name: w, namespace: one", "hosts: [a.com], http: [{route: [{destination: {host: a.com}}]}]")}`,
    expected: ["IST0101 VirtualService two/v"],
  },
  {
    of: "DestinationRules for nobody's host, and for a wildcard's",
    rules: ["subsetsSelectPods"],
    yaml: `${istio("ServiceEntry", "name: e", 'hosts: ["*.a.com"], ports: [{number: 80, name: http}]')}${istio("DestinationRule", "name: d", "host: b.com")}${istio("DestinationRule", "name: f", "host: b.a.com")}`,
    expected: ["IST0174 DestinationRule default/d"],
  },
  {
    of: "ServiceEntries that contradict each other",
    rules: ["serviceEntryProtocols"],
    yaml: `${istio("ServiceEntry", "name: e", "hosts: [a.com], ports: [{number: 80, name: p, protocol: HTTP}]")}${istio("ServiceEntry", "name: f", "hosts: [a.com], ports: [{number: 80, name: p, protocol: TCP}]")}${istio("ServiceEntry", "name: g", "hosts: [b.com], ports: [{number: 80, name: p, protocol: TCP}]")}`,
    expected: ["IST0177 ServiceEntry default/e", "IST0177 ServiceEntry default/f"],
  },
  {
    of: "a gateway's Secrets: missing, and without a certificate",
    rules: ["gatewaySecrets"],
    yaml: `${istio("Gateway", "name: g", "selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: there}}, {port: {number: 444, name: https2, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: gone}}]")}apiVersion: v1\nkind: Secret\nmetadata: {name: there, namespace: istio-system}\nstringData: {tls.crt: no, tls.key: no}\n---\n`,
    expected: ["IST0161 Gateway default/g", "IST0101 Gateway default/g"],
  },
  {
    of: "VirtualServices for one host, of which a namespace sees both",
    rules: ["meshHosts"],
    yaml: `${istio("VirtualService", "name: v", "hosts: [a.com]")}${istio("VirtualService", "name: w, namespace: two", 'hosts: [a.com], exportTo: ["."]')}${istio("VirtualService", "name: x, namespace: two", "hosts: [a.com], gateways: [g]")}`,
    expected: ["IST0109 VirtualService default/v", "IST0109 VirtualService two/w"],
  },
  {
    of: "what a cluster has written into a status",
    rules: ["conditions"],
    yaml: `apiVersion: ${NETWORKING}\nkind: ServiceEntry\nmetadata: {name: e}\nspec: {hosts: [a.com]}\nstatus: {conditions: [{type: istio.io/WaypointBound, status: "False", reason: Gone, message: no waypoint.}, {type: Other, status: "False"}]}\n`,
    expected: ["IST0171 ServiceEntry default/e"],
  },
  {
    of: "ports by their names",
    rules: ["portNames"],
    yaml: `${service("a", "{name: http-web, port: 80}, {name: web, port: 81}, {name: web2, port: 82, appProtocol: grpc}, {name: db, port: 3306}, {name: u, port: 83, protocol: UDP}")}`,
    expected: ["IST0118 Service default/a"],
  },
];

describe("the rules of an analysis", () => {
  it.each(CASES)("know $of", ({ rules, yaml, expected }) => {
    const found = analyze(new Map([["a.yaml", yaml]]), { platform: "istio", nowMs: 0, rules: new Set(rules) }).filter(
      ({ ownCode, code }) => ownCode === undefined && code.startsWith("IST"),
    );
    expect(found.map(({ code, resource }) => `${code} ${resource}`)).toEqual(expected);
  });
});
