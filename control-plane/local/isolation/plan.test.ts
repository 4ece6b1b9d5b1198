import { describe, expect, it } from "vitest";
import { createAddressSpace } from "../address-space.ts";
import { desiredHost } from "../fixtures.ts";
import { createIsolatedAddresses } from "./address-space.ts";
import { hostsFile, instanceCommands, machineRules, namespaceName, networkOfNamespace, proxyNamespaceName, redirectRules } from "./plan.ts";

const mesh = { network: 80 };
const instance = { slot: "product-1", index: 3, address: "10.80.0.3", redirected: true };

describe("plan of an isolated mesh", () => {
  it("names everything after the mesh, so that only its own is ever taken away", () => {
    const { machine } = instanceCommands(mesh, instance);
    const rules = machineRules(mesh).map(({ rule }) => rule.join(" "));
    for (const command of [...machine, ...rules]) expect(command).toMatch(/weft-?80/);
    expect(networkOfNamespace(namespaceName(mesh, "product-1"))).toBe(80);
    expect(networkOfNamespace(proxyNamespaceName(mesh, "product-1"))).toBe(80);
    for (const other of ["weft", "weft-", "my-weft-80-x", "weft-x-1", "cni-80"]) expect(networkOfNamespace(other)).toBeUndefined();
  });

  it("redirects everything but the proxy's own connections, what stays inside, and this machine's questions", () => {
    const rules = redirectRules(mesh, instance).split("\n");
    expect(rules.filter((rule) => rule.includes("OUTPUT"))).toEqual([
      "-A OUTPUT -p tcp -m owner --gid-owner 1337 -j RETURN",
      "-A OUTPUT -p tcp -d 127.0.0.0/8 -j RETURN",
      "-A OUTPUT -p tcp -d 10.80.0.3/32 -j RETURN",
      "-A OUTPUT -p tcp -j REDIRECT --to-ports 15001",
    ]);
    expect(rules).toContain("-A PREROUTING -i eth0 -s 10.80.255.253 -j RETURN");
    expect(rules).toContain("-A PREROUTING -i eth0 -p tcp -j REDIRECT --to-ports 15006");
  });

  it("tells an instance the names that a program in a cluster would use", () => {
    const hosts = [
      { ...desiredHost("orders", [80], "shop"), address: "10.80.128.1" },
      { ...desiredHost("pay", [80], "bank"), address: "10.80.128.2" },
      { hostname: "api.example.com", name: "example", namespace: "shop", ports: [], address: "10.80.128.3" },
      { hostname: "*.example.com", name: "wide", namespace: "shop", ports: [], address: "10.80.128.4" },
    ];
    expect(hostsFile({ name: "web-1", namespace: "shop", address: "10.80.0.1" }, hosts).split("\n").slice(2, -1)).toEqual([
      "10.80.0.1 web-1",
      "10.80.128.1 orders.shop.svc.cluster.local orders.shop.svc orders.shop orders",
      "10.80.128.2 pay.bank.svc.cluster.local pay.bank.svc pay.bank",
      "10.80.128.3 api.example.com",
    ]);
  });
});

describe("addresses of an isolated mesh", () => {
  it("leave every port of an instance as the YAML says, and its proxy's capture ports free", () => {
    const { inside, outside } = createIsolatedAddresses(mesh, createAddressSpace({ network: 80, isTaken: () => false }));
    expect(inside.inbound("default/a-1", 80)).toEqual({ address: "10.80.0.1", port: 80, captured: true });
    expect(inside.application("default/a-1", 80)).toEqual({ address: "10.80.0.1", port: 80 });
    expect(inside.listen("default/a-1", "admin", 15_000)).toEqual({ address: "10.80.0.1", port: 15_000 });
    expect(inside.listen("default/a-1", "http-proxy", 15_001).port).toBe(15_002);
    const place = inside.service("default/a-1", "orders", 80);
    expect(place).toEqual({ listen: { address: "10.80.128.1", port: 80, captured: true }, explain: { address: "10.80.0.1", port: 15_010 } });
    expect(inside.service("default/b-1", "orders", 80).listen).toEqual(place.listen);
    expect(inside.service("default/a-1", "pay", 80)).toMatchObject({ listen: { address: "10.80.128.2" }, explain: { port: 15_011 } });
    expect(outside.inbound("default/a-attached", 80)).toEqual({ address: "10.80.254.1", port: 80 });
    expect(outside.service("default/a-attached", "orders", 80).listen.address).toMatch(/^127\.80\./);
  });
});
