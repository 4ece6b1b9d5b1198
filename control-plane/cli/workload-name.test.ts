import { describe, expect, it } from "vitest";
import { parseWorkloadName, selectInstances } from "./workload-name.ts";

const at = (workload: string, zone: string, namespace = "default", ordinal = 1) => ({ workload, namespace, zone, instance: `${workload}-${ordinal}` });
const INSTANCES = [
  at("product", "ap-northeast-2a"),
  at("product", "ap-northeast-2c", "default", 2),
  at("order-history-a", "ap-northeast-2a"),
  at("cart", "us-east-1a", "shop"),
  at("cart", "us-east-1a", "test"),
  at("far", "eu-1a"),
  at("far", "us-1a", "default", 2),
];

describe("WORKLOAD on the command line", () => {
  it.each([
    { text: "product", instances: ["product-1", "product-2"] },
    { text: "product@c", instances: ["product-2"] },
    { text: "product@ap-northeast-2a", instances: ["product-1"] },
    { text: "product-2", instances: ["product-2"] },
    { text: "cart", namespace: "test", instances: ["cart-1"] },
  ])("$text means $instances", ({ text, namespace, instances }) => {
    expect(selectInstances(INSTANCES, parseWorkloadName(text), namespace).map(({ instance }) => instance)).toEqual(instances);
  });

  it.each([
    { text: "produkt", what: "no workload produkt in this mesh", next: /^Did you mean product\? There are cart, far, order-history-a, product$/ },
    { text: "order", what: "no workload order in this mesh", next: /Did you mean order-history-a\?/ },
    { text: "cart", what: "cart is in the namespaces shop, test", next: /-n shop$/ },
    { text: "cart", namespace: "default", what: "namespace default has no workload cart", next: /shop, test/ },
    { text: "product@b", what: "product has no copy in a zone that ends in b", next: /ap-northeast-2a, ap-northeast-2c/ },
    { text: "far@1a", what: "zone 1a is ambiguous: eu-1a, us-1a", next: /far@eu-1a$/ },
    { text: "@a", what: '"@a" names no workload', next: /NAME@ZONE/ },
    { text: "a@b@c", what: '"a@b@c" names no workload', next: /NAME@ZONE/ },
  ])("$text $namespace: $what", ({ text, namespace, what, next }) => {
    expect(() => selectInstances(INSTANCES, parseWorkloadName(text), namespace)).toThrow(
      expect.objectContaining({ message: what, next: expect.stringMatching(next) }),
    );
  });
});
