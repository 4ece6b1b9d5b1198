import { createServer, type Server } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAddressSpace } from "./address-space.ts";
import { desiredWorkload } from "./fixtures.ts";
import { placesOf } from "./layout.ts";
import { check, type Probe, probeOf, watchReadiness } from "./readiness.ts";

describe("readiness probe", () => {
  const ports = [
    { name: "http", containerPort: 80 },
    { name: "health", containerPort: 9_000 },
  ];
  it.each<{ name: string; probe: object | undefined; ports?: readonly object[]; expected: (first: object, second: object) => object }>([
    {
      name: "of a named port",
      probe: { httpGet: { path: "/h", port: "health" }, periodSeconds: 2 },
      expected: (_, target) => ({ kind: "http", target, path: "/h", tls: false, periodMs: 1_000 }),
    },
    {
      name: "of a numbered port",
      probe: { httpGet: { port: 80, scheme: "HTTPS" }, periodSeconds: 1 },
      expected: (target) => ({ kind: "http", target, path: "/", tls: true, periodMs: 1_000 }),
    },
    { name: "of a connection", probe: { tcpSocket: { port: 9_000 } }, expected: (_, target) => ({ kind: "tcp", target, periodMs: 1_000 }) },
    {
      name: "that is a command: the first port is asked instead",
      probe: { exec: { command: ["true"] } },
      expected: (target) => ({ kind: "tcp", target, periodMs: 1_000 }),
    },
    { name: "that is not there: likewise", probe: undefined, expected: (target) => ({ kind: "tcp", target, periodMs: 1_000 }) },
    { name: "of a workload without ports: none", probe: undefined, ports: [], expected: () => ({ kind: "none" }) },
  ])("goes to the application: $name", ({ probe, ports: declared = ports, expected }) => {
    const workload = desiredWorkload("product", { container: { ports: declared, ...(probe === undefined ? {} : { readinessProbe: probe }) } });
    const [container] = workload.spec.template.spec.containers;
    const places = placesOf(createAddressSpace({ network: 80, isTaken: () => false }), {
      name: "product-1",
      ordinal: 1,
      workload,
      locality: { region: "", zone: "", subzone: "" },
    });
    const [first, second] = places.ports;
    if (container === undefined) throw new Error("the fixture has a container");
    expect(probeOf(container, places)).toEqual(expected(first?.application ?? {}, second?.application ?? {}));
  });

  describe("asks", () => {
    let server: Server;
    let status = 200;
    let port = 0;
    beforeEach(async () => {
      server = createServer((_request, response) => response.writeHead(status).end());
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const address = server.address();
      port = typeof address === "object" && address !== null ? address.port : 0;
    });
    afterEach(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    const http = (): Probe => ({ kind: "http", target: { address: "127.0.0.1", port }, path: "/", tls: false, periodMs: 20 });

    it.each([
      [200, true],
      [302, true],
      [404, false],
      [503, false],
    ])("and takes status %i as %s", async (answered, ready) => {
      status = answered;
      expect(await check(http())).toBe(ready);
    });

    it("and takes a refused connection as not ready", async () => {
      const closed: Probe = { kind: "tcp", target: { address: "127.0.0.1", port }, periodMs: 20 };
      expect(await check(closed)).toBe(true);
      await new Promise((resolve) => server.close(resolve));
      expect(await check(closed)).toBe(false);
      expect(await check(http())).toBe(false);
    });

    it("again and again, and reports only changes", async () => {
      status = 503;
      const seen: boolean[] = [];
      let wake: () => void = () => undefined;
      const change = () =>
        new Promise<void>((resolve) => {
          wake = resolve;
        });
      const first = change();
      const watch = watchReadiness(http(), (ready) => {
        seen.push(ready);
        wake();
      });
      status = 200;
      await first;
      const second = change();
      status = 503;
      await second;
      watch.close();
      expect(seen).toEqual([true, false]);
    });
  });
});
