import { describe, expect, it } from "vitest";
import { deployment, meshOf, sidecar } from "../test/mesh-of.ts";
import { inboundPorts } from "./ingress.ts";

const SIDECAR = (ingress: string): string => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: orders}
spec: {workloadSelector: {labels: {app: orders}}, ingress: [${ingress}], egress: [{hosts: ["*/*"]}]}
${deployment("orders", "app: orders", "eu-1a", 1, 9090)}
`;

function inbound(ingress: string) {
  const mesh = meshOf(SIDECAR(ingress));
  const proxy = sidecar(mesh, "orders");
  const own = proxy.inbound[0]?.application;
  const ports = inboundPorts(mesh, proxy).map(({ containerPort, application }) => ({
    containerPort,
    sameAsOwn: application.port === own?.port,
    port: application.port,
  }));
  return { ports, codes: mesh.diagnostics.map(({ code }) => code) };
}

describe("inboundPorts", () => {
  it.each([
    [
      "is the workload's own port where an ingress listener has it",
      "{port: {number: 9090, protocol: HTTP, name: http}}",
      [{ containerPort: 9090, sameAsOwn: true }],
      [],
    ],
    [
      "leads where defaultEndpoint says, to a declared port",
      '{port: {number: 9090, protocol: HTTP, name: http}, defaultEndpoint: "127.0.0.1:9090"}',
      [{ containerPort: 9090, sameAsOwn: true }],
      [],
    ],
    [
      "leads where defaultEndpoint says, to any other port as it is",
      '{port: {number: 9090, protocol: HTTP, name: http}, defaultEndpoint: "127.0.0.1:4000"}',
      [{ containerPort: 9090, sameAsOwn: false, port: 4000 }],
      [],
    ],
    ["is nothing at a port that nobody has", "{port: {number: 7777, protocol: HTTP, name: http}}", [], ["WEFT0434"]],
    [
      "says that sockets are not built",
      '{port: {number: 9090, protocol: HTTP, name: http}, defaultEndpoint: "unix:///run/app.sock"}',
      [{ containerPort: 9090, sameAsOwn: true }],
      ["WEFT0434"],
    ],
  ])("%s", (_, ingress, ports, codes) => {
    const found = inbound(ingress);
    expect(found.ports).toMatchObject(ports);
    expect(found.ports).toHaveLength(ports.length);
    expect(found.codes).toEqual(codes);
  });
});
