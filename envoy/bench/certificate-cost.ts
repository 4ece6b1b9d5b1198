// How many certificates the authority issues in a second: a key, a certificate signed with it, and the secret for the proxy's stream, as for one proxy that asks.
import { createRoot, issueLeaf } from "../../control-plane/ca/certificates.ts";
import { leafSecret } from "../../control-plane/ca/secrets.ts";
import { median } from "./statistics.ts";

export interface CertificateCost {
  /** In one process, as many at once as `concurrency`. */
  readonly perSecond: number;
  readonly concurrency: number;
  /** From asking to having, one at a time: median. */
  readonly millisecondsAlone: number;
}

const DAY_MS = 86_400_000;
const ALONE = 100;

/** Issues `count` certificates one by one, then as many again `concurrency` at a time. */
export async function measureCertificates(count: number, concurrency = 16): Promise<CertificateCost> {
  const root = await createRoot(1, Date.now());
  const issue = async (index: number): Promise<void> => {
    const uri = `spiffe://cluster.local/ns/default/sa/workload-${index}`;
    leafSecret(await issueLeaf(root, { uri, nowMs: Date.now(), lifetimeMs: DAY_MS }));
  };
  // The compiler has seen it all before the clock starts.
  for (let index = 0; index < ALONE; index++) await issue(index);
  const times: number[] = [];
  for (let index = 0; index < ALONE; index++) {
    const startedMs = performance.now();
    await issue(index);
    times.push(performance.now() - startedMs);
  }
  const startedMs = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await issue(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { perSecond: (count / (performance.now() - startedMs)) * 1_000, concurrency, millisecondsAlone: median(times) };
}
