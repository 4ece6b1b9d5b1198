// The process of a load that runs in a pod's network: options come as JSON in the only argument; every answer is a line of JSON on standard output, as it comes,
// and the report is the last one. SIGTERM ends the load.
import { type LoadOptions, startLoad } from "../../envoy/e2e/load.ts";

/** What a load in a pod may be told. `key`: what is counted of an answer, a header by its name or the whole body. */
export type PodLoadOptions = Pick<LoadOptions, "url" | "connections" | "ratePerSecond" | "total" | "timeoutMs"> & {
  readonly key: string;
  readonly headers?: Readonly<Record<string, string>>;
};

const { key, headers, ...options }: PodLoadOptions = JSON.parse(process.argv[2] ?? "{}");
const say = (value: object): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);
const load = startLoad({
  ...options,
  headers: (index) => ({ ...headers, "x-index": String(index) }),
  onResponse: ({ status, headers: answered, body }) => say({ status, key: key === "body" ? body : String(answered[key] ?? "") }),
});
process.once("SIGTERM", () => void load.stop());
say({ report: await load.finished });
