import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.js";
import type { Mesh } from "../mesh/mesh.ts";
import { wiredMesh } from "../test/wired-mesh.ts";
import { translate } from "./translate.ts";

const YAML = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: database}
spec: {clusterIP: 10.96.0.2, selector: {app: web}, ports: [{name: tcp-main, port: 5432, targetPort: 80}, {name: udp, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: peers}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: tcp, port: 7000, targetPort: 80}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: mainframe}
spec: {hosts: [mainframe.example], addresses: [192.0.2.1, 192.0.2.0/24], ports: [{number: 3270, name: tcp, protocol: TCP}], resolution: STATIC, endpoints: [{address: 198.51.100.1}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: main, ports: [{containerPort: 80}]}]}}
`;

function podMesh(): Mesh {
  const mesh = wiredMesh(YAML, { httpProxy: true });
  const proxies = mesh.proxies.map((proxy) => ({
    ...proxy,
    outbound: [],
    captures: true,
    capture: { outboundPort: 15_001, inboundPort: 15_006, byAddress: true as const },
  }));
  return { ...mesh, proxies };
}

const options = { filter: { wasm: Uint8Array.of(0), generationOf: () => 0 } };

describe("connections to any address", () => {
  it("have a listener at each address of a host that speaks no HTTP, bound nowhere", () => {
    const [resources] = translate(podMesh(), options).proxies.values();
    const listeners = (resources?.resources ?? []).flatMap(({ type, body }) => (type === "listener" ? [fromBinary(ListenerSchema, body)] : []));
    const places = listeners.flatMap(({ name, address, bindToPort }) => {
      const socket = address?.address.case === "socketAddress" ? address.address.value : undefined;
      const port = socket?.portSpecifier.case === "portValue" ? socket.portSpecifier.value : 0;
      return name.startsWith("outbound|") ? [`${name} at ${socket?.address}:${port}${bindToPort === false ? "" : " bound"}`] : [];
    });
    expect(places.sort()).toEqual([
      "outbound|3270||mainframe.example at 192.0.2.1:3270",
      "outbound|5432||database.default.svc.cluster.local at 10.96.0.2:5432",
    ]);
  });

  it("are made again only when a host's own document changes", () => {
    const mesh = podMesh();
    const first = translate(mesh, options);
    const second = translate({ ...mesh }, { ...options, former: first.memory });
    for (const [id, { resources }] of second.proxies)
      expect(resources.every((resource, index) => resource === first.proxies.get(id)?.resources[index])).toBe(true);
  });
});
