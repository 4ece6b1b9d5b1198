// The command line and the environment of the control plane in a cluster: texts in, options or what is wrong with them out.
import { parseArgs } from "node:util";

export interface ClusterSettings {
  readonly rootNamespace: string;
  readonly podName: string;
  readonly namespaces?: readonly string[];
  readonly stateFolder: string;
  readonly host: string;
  readonly xdsPort: number;
  readonly healthPort: number;
  readonly webhookPort: number;
  readonly adminPort: number;
  readonly externalCa: boolean;
  readonly certificateMs?: number;
  readonly accessLogPath?: string;
  readonly logLevel: string;
  /** The compiled filter; absent: it is built. */
  readonly filter?: string;
  /** Default: the cluster in which this process is a pod. */
  readonly kubeconfig?: string;
  readonly context?: string;
}

interface Option {
  readonly flag: string;
  readonly variable: string;
  readonly value: string;
  readonly fallback?: string;
  readonly help: string;
}

const OPTIONS = [
  { flag: "namespaces", variable: "WEFT_NAMESPACES", value: "NAMES", help: "only these namespaces, separated by commas (default: all)" },
  { flag: "root-namespace", variable: "POD_NAMESPACE", value: "NAME", fallback: "weft-system", help: "where the control planes and the mesh's settings are" },
  { flag: "pod", variable: "POD_NAME", value: "NAME", fallback: "weft-control-plane", help: "the pod that this process is" },
  { flag: "state", variable: "WEFT_STATE", value: "DIR", fallback: "/tmp/weft", help: "for what need not outlive the pod" },
  { flag: "host", variable: "WEFT_HOST", value: "ADDRESS", fallback: "0.0.0.0", help: "address to listen at" },
  { flag: "xds-port", variable: "WEFT_XDS_PORT", value: "PORT", fallback: "15012", help: "for proxies" },
  { flag: "webhook-port", variable: "WEFT_WEBHOOK_PORT", value: "PORT", fallback: "15017", help: "for the API server's questions about pods and resources" },
  { flag: "health-port", variable: "WEFT_HEALTH_PORT", value: "PORT", fallback: "15014", help: "/healthz, /readyz, /metrics" },
  { flag: "admin-port", variable: "WEFT_ADMIN_PORT", value: "PORT", fallback: "15080", help: "on loopback: what `weft --context` asks" },
  { flag: "ca", variable: "WEFT_CA", value: "WHO", fallback: "own", help: "own: made once; external: somebody else writes the Secret weft-ca" },
  { flag: "certificate-seconds", variable: "WEFT_CERTIFICATE_SECONDS", value: "SECONDS", help: "life of a proxy's certificate (default: 24 hours)" },
  { flag: "access-log", variable: "WEFT_ACCESS_LOG", value: "PATH", fallback: "/dev/stdout", help: "of the proxies; empty: none" },
  { flag: "filter", variable: "WEFT_FILTER", value: "PATH", help: "the compiled filter (default: built from its source)" },
  { flag: "log-level", variable: "WEFT_LOG_LEVEL", value: "LEVEL", fallback: "info", help: "debug, info, warn, error" },
  { flag: "kubeconfig", variable: "WEFT_KUBECONFIG", value: "PATH", help: "outside of a cluster" },
  { flag: "context", variable: "WEFT_CONTEXT", value: "NAME", help: "of the kubeconfig" },
] as const satisfies readonly Option[];

/** What `--help` prints. */
export function helpText(): string {
  const lines = OPTIONS.map(({ flag, value, variable, help, ...option }) => {
    const fallback = "fallback" in option ? ` (default: ${option.fallback})` : "";
    return `  ${`--${flag} ${value}`.padEnd(32)}${help}${fallback} [${variable}]`;
  });
  return `Usage: node --import tsx control-plane/kubernetes/main.ts [OPTIONS]

The control plane of a mesh in a Kubernetes cluster. Runs as a pod; see kind-cluster/manifests.

${lines.join("\n")}
  ${"--help".padEnd(32)}print this

Each option may stand in the environment under the name in brackets.
`;
}

/** `problem`: what is wrong, in one sentence. */
export function readSettings(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
): { readonly kind: "settings"; readonly settings: ClusterSettings } | { readonly kind: "help" } | { readonly kind: "problem"; readonly text: string } {
  const flags = Object.fromEntries([...OPTIONS.map(({ flag }) => [flag, { type: "string" }] as const), ["help", { type: "boolean" }] as const]);
  let values: Readonly<Record<string, unknown>>;
  try {
    ({ values } = parseArgs({ args: [...args], options: flags }));
  } catch (error) {
    return { kind: "problem", text: error instanceof Error ? error.message : String(error) };
  }
  if (values.help === true) return { kind: "help" };
  const text = (name: (typeof OPTIONS)[number]["flag"]): string => {
    const option: Option | undefined = OPTIONS.find(({ flag }) => flag === name);
    const given = values[name] ?? environment[option?.variable ?? ""] ?? option?.fallback ?? "";
    return String(given).trim();
  };
  const ports = (["xds-port", "webhook-port", "health-port", "admin-port"] as const).map((name) => [name, text(name)] as const);
  const wrong = ports.find(([, port]) => !/^\d{1,5}$/.test(port) || Number(port) > 65_535);
  if (wrong !== undefined) return { kind: "problem", text: `--${wrong[0]} is a number from 0 to 65535, not ${JSON.stringify(wrong[1])}` };
  if (text("ca") !== "own" && text("ca") !== "external") return { kind: "problem", text: `--ca is own or external, not ${JSON.stringify(text("ca"))}` };
  const seconds = text("certificate-seconds");
  if (seconds !== "" && !(Number(seconds) >= 1)) return { kind: "problem", text: `--certificate-seconds is a number from 1, not ${JSON.stringify(seconds)}` };
  const namespaces = text("namespaces")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const [xdsPort = 0, webhookPort = 0, healthPort = 0, adminPort = 0] = ports.map(([, port]) => Number(port));
  const settings: ClusterSettings = {
    rootNamespace: text("root-namespace"),
    podName: text("pod"),
    stateFolder: text("state"),
    host: text("host"),
    xdsPort,
    webhookPort,
    healthPort,
    adminPort,
    externalCa: text("ca") === "external",
    logLevel: text("log-level"),
    ...(namespaces.length === 0 ? {} : { namespaces }),
    ...(seconds === "" ? {} : { certificateMs: Number(seconds) * 1_000 }),
    ...(text("access-log") === "" ? {} : { accessLogPath: text("access-log") }),
    ...(text("filter") === "" ? {} : { filter: text("filter") }),
    ...(text("kubeconfig") === "" ? {} : { kubeconfig: text("kubeconfig") }),
    ...(text("context") === "" ? {} : { context: text("context") }),
  };
  return { kind: "settings", settings };
}
