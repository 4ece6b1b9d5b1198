// The commands that ask a running mesh: what serves, who has it, what the proxies hold; and the explanation off-line beside the live one.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EXAMPLES, startMesh, type TestMesh } from "./mesh.ts";

let mesh: TestMesh;

beforeAll(async () => {
  mesh = await startMesh(`${EXAMPLES}/blue-green`);
});

afterAll(async () => {
  await mesh?.close();
});

async function json(...args: readonly string[]) {
  const { code, stdout, stderr } = await mesh.weft(...args, "-o", "json");
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

describe("weft get, wait, proxy-status and proxy-config", () => {
  it("list what serves, and who has taken it", async () => {
    const { stdout } = await mesh.weft("get", "vs");
    expect(stdout).toMatch(/^KIND .*\nVirtualService +default +color +1\/1 +traffic\.yaml:2 +ok\n$/);
    expect((await json("get", "vs", "color")).spec.http[0].route[0].weight).toBe(100);
  });

  it("wait for what stands in the file, and fail at once where it is refused", async () => {
    await mesh.edit("traffic.yaml", (text) => text.replace("weight: 100", "weight: 60").replace("weight: 0", "weight: 40"));
    const waited = await mesh.weft("wait", "vs/color");
    expect(waited.stdout).toBe("VirtualService default/color: the one proxy that needs it has it\n");
    expect((await json("get", "vs", "color")).spec.http[0].route[0].weight).toBe(60);
    await mesh.edit("traffic.yaml", (text) => text.replace("weight: 60", "weight: -60"));
    const refused = await mesh.weft("wait", "vs/color", "--timeout", "20");
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain("weight is out of range: -60");
    await mesh.edit("traffic.yaml", (text) => text.replace("weight: -60", "weight: 60"));
    expect((await mesh.weft("wait", "vs/color")).code).toBe(0);
  });

  it("show each proxy's state, and what it holds", async () => {
    const proxies: readonly { readonly proxyId: string; readonly upToDate: boolean }[] = await json("proxy-status");
    expect(proxies.map(({ proxyId, upToDate }) => [proxyId, upToDate])).toContainEqual(["istio-ingressgateway.default", true]);
    const { stdout: routes } = await mesh.weft("proxy-config", "routes", "ingressgateway");
    expect(routes).toMatch(/http\.80 +\*:80 +\* +color\.default\/color +\/color/);
    const { stdout: endpoints } = await mesh.weft("proxy-config", "endpoints", "ingressgateway");
    expect(endpoints).toContain("outbound|80|canary|color.default.svc.cluster.local");
    const { stdout: filter } = await mesh.weft("proxy-config", "filter", "page");
    expect(filter).toMatch(/^NAME .*\nweft .*envoy\.wasm\.runtime\.v8 +\d+ bytes/);
    expect((await mesh.weft("proxy-config", "listeners", "page", "-o", "json")).stdout).toContain('"inbound|8080"');
  });

  it("explain off-line as the proxy itself does", async () => {
    const request = ["explain", "--from", "ingressgateway", "GET", "http://localhost/color", "-H", "x-user: user-7"];
    const live = await json(...request, "--live");
    const offline = await json(...request, mesh.folder);
    for (const member of ["route", "record", "key", "hash", "candidate", "entry", "candidates", "chosenCluster", "virtualService", "sticky"])
      expect(offline[member], member).toEqual(live[member]);
  });
});
