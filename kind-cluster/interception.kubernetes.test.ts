// The init container's rules in a network namespace, asked from inside and from outside: where does a connection arrive?
import { type ChildProcess, spawn } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { interceptionOf } from "../control-plane/kubernetes/inject/interception.ts";
import { interceptionScript } from "../control-plane/kubernetes/inject/iptables.ts";
import { runTool } from "../control-plane/local/isolation/commands.ts";

const POD = `weft-rules-${process.pid}`;
/** In a namespace of its own too, so that nothing of this machine is touched. */
const OUTSIDE = `${POD}-outside`;
const POD_ADDRESS = "10.213.0.2";
const POD_IPV6 = "fd00:213::2";
const FAR = "10.213.0.1";
const PORTS = [15_001, 15_006, 15_020, 15_021, 15_090, 8_080, 9_091];

/** Answers every connection with the port at which it arrived. */
const SERVERS = (ports: readonly number[]) => `
const { createServer } = require("node:net");
Promise.all(${JSON.stringify(ports)}.map((port) => new Promise((resolve) => createServer((socket) => socket.end(String(port))).listen(port, "::", resolve)))).then(() => console.log("ready"));
`;
/** Prints what answers, or the error's code. */
const CALL = `
const [host, port, user, from] = process.argv.slice(1);
if (Number(user) > 0) { process.setgid(Number(user)); process.setuid(Number(user)); }
const socket = require("node:net").connect({ host, port: Number(port), ...(from ? { localAddress: from } : {}) });
const end = (text) => { console.log(text); process.exit(0); };
socket.setTimeout(1500, () => end("silence"));
socket.on("data", (data) => end(String(data))).on("error", (error) => end(error.code)).on("close", () => end("closed"));
`;

const inside = (namespace: string, program: string, args: readonly string[], input = ""): Promise<string> =>
  runTool("ip", ["netns", "exec", namespace, program, ...args], input);
const call = async (namespace: string, host: string, port: number, user = 0, from = ""): Promise<string> =>
  (await inside(namespace, process.execPath, ["-e", CALL, host, String(port), String(user), from])).trim();

describe("the rules of a pod", () => {
  const servers: ChildProcess[] = [];
  const serve = async (namespace: string, ports: readonly number[]): Promise<void> => {
    const child = spawn("ip", ["netns", "exec", namespace, process.execPath, "-e", SERVERS(ports)], { stdio: ["ignore", "pipe", "inherit"] });
    servers.push(child);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
  };
  const script = interceptionScript(
    interceptionOf({
      "traffic.sidecar.istio.io/excludeInboundPorts": "9091",
      "traffic.sidecar.istio.io/excludeOutboundPorts": "81",
      "weft.mesh/excludeOutboundUIDs": "1001",
    }).interception,
  );

  beforeAll(async () => {
    for (const namespace of [POD, OUTSIDE]) await runTool("ip", ["netns", "add", namespace]);
    await runTool("ip", ["link", "add", "eth0", "netns", POD, "type", "veth", "peer", "name", "eth0", "netns", OUTSIDE]);
    for (const [namespace, address, ipv6] of [
      [POD, POD_ADDRESS, POD_IPV6],
      [OUTSIDE, FAR, "fd00:213::1"],
    ] as const) {
      const commands = ["link set lo up", `addr add ${address}/24 dev eth0`, `addr add ${ipv6}/64 dev eth0 nodad`, "link set eth0 up"];
      await runTool("ip", ["-n", namespace, "-batch", "-"], commands.join("\n"));
    }
    await inside(POD, "/bin/sh", ["-ec", script]);
    await serve(POD, PORTS);
    await serve(OUTSIDE, [80, 81]);
  });
  afterAll(async () => {
    for (const child of servers) child.kill("SIGKILL");
    for (const namespace of [POD, OUTSIDE]) await runTool("ip", ["netns", "del", namespace]).catch(() => undefined);
  });

  it.each<[string, string, number, number, string, string]>([
    ["the application's calls go to the proxy", FAR, 80, 0, "", "15001"],
    ["but for excluded ports", FAR, 81, 0, "", "81"],
    ["and excluded users", FAR, 80, 1_001, "", "80"],
    ["the proxy's own calls go out", FAR, 80, 1_337, "", "80"],
    ["the application calls itself without the proxy", POD_ADDRESS, 8_080, 0, "", "8080"],
    ["and by loopback", "127.0.0.1", 8_080, 0, "", "8080"],
    ["the proxy calls its own pod as another one", POD_ADDRESS, 8_080, 1_337, "", "15006"],
    ["but its application directly", POD_ADDRESS, 8_080, 1_337, "127.0.0.6", "8080"],
    ["nobody reaches the proxy's capture ports as such", POD_ADDRESS, 15_001, 0, "", "silence"],
  ])("from inside: %s", async (_, host, port, user, from, arrives) => {
    expect(await call(POD, host, port, user, from)).toBe(arrives);
  });

  it.each<[string, string, number, string]>([
    ["what comes in goes to the proxy", POD_ADDRESS, 8_080, "15006"],
    ["an undeclared port too", POD_ADDRESS, 1_234, "15006"],
    ["but for excluded ports", POD_ADDRESS, 9_091, "9091"],
    ["the kubelet's probes arrive", POD_ADDRESS, 15_020, "15020"],
    ["readiness arrives", POD_ADDRESS, 15_021, "15021"],
    ["metrics arrive", POD_ADDRESS, 15_090, "15090"],
    ["nobody reaches the proxy's capture ports as such", POD_ADDRESS, 15_006, "silence"],
    ["IPv6 does not pass the proxy by", POD_IPV6, 8_080, "ECONNREFUSED"],
    ["nor does it keep probes out", POD_IPV6, 15_021, "15021"],
  ])("from outside: %s", async (_, host, port, arrives) => {
    expect(await call(OUTSIDE, host, port)).toBe(arrives);
  });

  it("from inside: IPv6 does not pass the proxy by either", async () => {
    expect(await call(POD, "fd00:213::1", 80)).toBe("ECONNREFUSED");
    expect(await call(POD, "fd00:213::1", 80, 1_337)).toBe("80");
  });

  it("are the same after a second run", async () => {
    const rules = () => inside(POD, "iptables-save", ["-t", "nat"]).then((text) => text.replaceAll(/^#.*$|\[\d+:\d+\]/gm, ""));
    const before = await rules();
    await inside(POD, "/bin/sh", ["-ec", script]);
    expect(await rules()).toBe(before);
  });
});
