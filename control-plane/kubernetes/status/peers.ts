// What the other control planes' proxies have taken: a proxy has its stream at one of them, and only the leader writes statuses. Addresses in, counts out.
import { request } from "node:http";
import { z } from "zod";

const counts = z.record(z.string(), z.number());
const TIMEOUT_MS = 1_000;
const LARGEST_BYTES = 16 * 1024 * 1024;

/** The sum over all that answer, by key of a resource's version. One that does not answer counts as if nothing were taken there. */
export async function askPeers(addresses: readonly string[], port: number): Promise<ReadonlyMap<string, number>> {
  const answers = await Promise.all(addresses.map((address) => ask(address, port).catch(() => ({}))));
  const sum = new Map<string, number>();
  for (const answer of answers) for (const [key, count] of Object.entries(answer)) sum.set(key, (sum.get(key) ?? 0) + count);
  return sum;
}

function ask(host: string, port: number): Promise<Readonly<Record<string, number>>> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, path: "/programmed", timeout: TIMEOUT_MS, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
        if (text.length > LARGEST_BYTES) outgoing.destroy(new Error("the answer is too large"));
      });
      response.once("error", reject);
      response.once("end", () => {
        try {
          resolve(counts.parse(JSON.parse(text)));
        } catch (error) {
          reject(error);
        }
      });
    });
    outgoing.once("timeout", () => outgoing.destroy(new Error("no answer")));
    outgoing.once("error", reject);
    outgoing.end();
  });
}
