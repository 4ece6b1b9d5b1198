// Who a workload is: the SPIFFE id in its certificate. Source: SPIFFE-ID specification, and Istio's "ns/<namespace>/sa/<service account>".

/** What authorization is about: a service account of a namespace. */
export interface WorkloadIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** `spiffe://cluster.local/ns/default/sa/reviews`. Kubernetes' names need no escaping in it. */
export function spiffeId(trustDomain: string, { namespace, serviceAccount }: WorkloadIdentity): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}
