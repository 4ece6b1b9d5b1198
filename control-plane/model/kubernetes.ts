// The Kubernetes kinds that a folder may hold: Service and Deployment. Kubernetes has hundreds of fields that a mesh has no say in;
// they pass through unread (looseObject), since the same file must also serve a cluster.
import { z } from "zod";
import { portNumber, stringMap, uint32 } from "./fields.ts";

const targetPort = z.union([portNumber, z.string().min(1)]);

const servicePort = z.looseObject({
  name: z.string().optional(),
  port: portNumber,
  /** Absent means the same as `port`; a name refers to a container port. */
  targetPort: targetPort.optional(),
  protocol: z.enum(["TCP", "UDP", "SCTP"]).default("TCP"),
  appProtocol: z.string().optional(),
});

export const serviceSpec = z.looseObject({
  type: z.enum(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]).default("ClusterIP"),
  clusterIP: z.string().optional(),
  externalName: z.string().optional(),
  selector: stringMap.default({}),
  ports: z.array(servicePort).default([]),
});

const probe = z.looseObject({
  httpGet: z.looseObject({ path: z.string().default("/"), port: targetPort, scheme: z.string().optional() }).optional(),
  tcpSocket: z.looseObject({ port: targetPort }).optional(),
  periodSeconds: uint32.optional(),
});

const envVar = z.looseObject({ name: z.string().min(1), value: z.string().optional(), valueFrom: z.unknown().optional() });

const container = z.looseObject({
  name: z.string().min(1),
  image: z.string().min(1),
  env: z.array(envVar).default([]),
  ports: z.array(z.looseObject({ name: z.string().optional(), containerPort: portNumber, protocol: z.string().optional() })).default([]),
  readinessProbe: probe.optional(),
});

const nodeAffinity = z.looseObject({
  nodeAffinity: z
    .looseObject({
      requiredDuringSchedulingIgnoredDuringExecution: z
        .looseObject({
          nodeSelectorTerms: z
            .array(
              z.looseObject({
                matchExpressions: z.array(z.looseObject({ key: z.string(), operator: z.string(), values: z.array(z.string()).default([]) })).default([]),
              }),
            )
            .default([]),
        })
        .optional(),
    })
    .optional(),
});

const podSpec = z.looseObject({
  serviceAccountName: z.string().optional(),
  nodeSelector: stringMap.default({}),
  affinity: nodeAffinity.optional(),
  containers: z.array(container).min(1),
  terminationGracePeriodSeconds: uint32.optional(),
});

export const deploymentSpec = z.looseObject({
  replicas: uint32.default(1),
  selector: z.looseObject({ matchLabels: stringMap.default({}) }),
  template: z.looseObject({
    metadata: z.looseObject({ labels: stringMap.default({}), annotations: stringMap.default({}) }).default({ labels: {}, annotations: {} }),
    spec: podSpec,
  }),
});

export type ServiceSpec = z.output<typeof serviceSpec>;
export type ServicePort = z.output<typeof servicePort>;
export type DeploymentSpec = z.output<typeof deploymentSpec>;
export type Container = z.output<typeof container>;
