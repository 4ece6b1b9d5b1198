import { describe, expect, it } from "vitest";
import { environmentText } from "./env.ts";

describe("weft env", () => {
  it("names every service that the program can call, and the proxy for everything else", () => {
    const text = environmentText({
      workload: "web",
      namespace: "default",
      instance: "web-attached",
      zone: "",
      address: "127.80.0.2",
      pid: 0,
      url: "http://127.80.0.2:8080",
      log: "",
      accessLog: "",
      sidecar: { id: "web-attached.default", pid: 1, admin: "", log: "" },
      httpProxy: "http://127.80.0.2:15001",
      services: {
        "order-history.default.svc.cluster.local:9090": "http://127.80.0.3:9090",
        "pay.bank.svc.cluster.local:80": "http://127.80.0.4:8080",
        "api.example.com:443": "http://127.80.0.5:8443",
      },
      explain: {},
    });
    expect(text.split("\n")).toEqual([
      "export WEFT_URL='http://127.80.0.2:8080'",
      "export WEFT_ORDER_HISTORY_9090='http://127.80.0.3:9090'",
      "export WEFT_PAY_BANK_80='http://127.80.0.4:8080'",
      "export WEFT_API_EXAMPLE_COM_443='http://127.80.0.5:8443'",
      "export HTTP_PROXY='http://127.80.0.2:15001'",
      "export NO_PROXY='localhost,127.0.0.1,127.80.0.3,127.80.0.4,127.80.0.5'",
      "",
    ]);
  });
});
