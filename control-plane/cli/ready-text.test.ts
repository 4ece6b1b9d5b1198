import { describe, expect, it } from "vitest";
import type { ReadyEvent, ReadyWorkload } from "../local/events.ts";
import { readyText } from "./ready-text.ts";
import { PLAIN } from "./style.ts";

const workload = (name: string, zone: string): ReadyWorkload => ({
  workload: name,
  namespace: "default",
  instance: `${name}-1`,
  zone,
  address: "127.80.0.1",
  pid: 1,
  url: `http://${name}:9090`,
  log: "",
  accessLog: "",
  sidecar: { id: "", pid: 2, admin: "", log: "" },
  httpProxy: "",
  services: { "order-history.default.svc.cluster.local:9090": "", "product.shop.svc.cluster.local:80": "" },
  explain: {},
});
const empty: ReadyEvent = {
  event: "ready",
  folder: "/home/user/shop",
  stateFolder: "/state",
  logs: "/state/logs",
  workloads: [],
  gateways: [],
  controlPlane: { pid: 1, xds: "", admin: "", log: "" },
  elapsedMs: 4_180,
};

describe("what weft up prints once all is ready", () => {
  it("is where everything is reached, and commands that work as they stand", () => {
    const workloads = [workload("order-history-a", "ap-northeast-2a"), workload("product", "")];
    expect(readyText({ ...empty, workloads }, "my shop", PLAIN)).toBe(`
my shop is ready after 4.2 s.

  order-history-a-1  ap-northeast-2a  http://order-history-a:9090
  product-1          -                http://product:9090

In a second terminal:
  npx weft ps --dir 'my shop'                                                            what runs, and where
  npx weft logs -f --dir 'my shop'                                                       what they write
  npx weft stop order-history-a --dir 'my shop'                                          what happens without it; \`start\` brings it back
  npx weft explain --live --from product GET http://order-history:9090/ --dir 'my shop'  where a request goes, and why

Edit any file of my shop: the change is in force at once, or refused with the line and the fix. Logs: /state/logs
Ctrl-C ends everything.
`);
  });

  it("explains through the gateway where there is one", () => {
    const gateway = { name: "istio=ingressgateway", namespace: "default", id: "", pid: 3, admin: "", log: "", accessLog: "" };
    const text = readyText(
      { ...empty, workloads: [workload("page", "")], gateways: [{ ...gateway, ports: [{ number: 80, url: "http://127.0.0.1:8080", explain: "" }] }] },
      "shop",
      PLAIN,
    );
    expect(text).toContain("gateway istio=ingressgateway  port 80  http://127.0.0.1:8080");
    expect(text).toContain("--from ingressgateway GET http://127.0.0.1:8080/ --dir shop");
  });

  it("names what is not ready and is not waited for", () => {
    const workloads = [workload("page", ""), { ...workload("color", ""), notReady: "crashed" }];
    expect(readyText({ ...empty, workloads }, "shop", PLAIN)).toContain("shop is ready after 4.2 s, but for color-1 (crashed).");
  });

  it("says that a folder without Deployments runs nothing", () => {
    expect(readyText(empty, "shop", PLAIN)).toContain("Nothing is to run");
  });
});
