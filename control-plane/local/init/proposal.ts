// From the workloads of a folder and the source folders around it to a proposal for each image: a command, or a stub where nothing is known. Pure.
import type { Deployment, KubernetesService, LocalRun } from "../../model/resource.ts";
import { imageName } from "../program.ts";
import { type Guess, guessProgram } from "./guess.ts";
import type { SourceFolder } from "./source-folder.ts";

export interface Proposal {
  /** Without its tag. */
  readonly image: string;
  /** Deployments that run it. */
  readonly workloads: readonly string[];
  /** Absent where the image becomes a stub. */
  readonly program?: Guess & { readonly directory: string };
  /** Addresses of services in the Deployments' environment, as they are on this machine. */
  readonly env: Readonly<Record<string, string>>;
  /** Why there is no program. */
  readonly missing?: string;
}

/** One proposal for each image that no LocalRun stands for yet, in byte order. */
export function proposals(
  resources: { readonly deployments: readonly Deployment[]; readonly services: readonly KubernetesService[]; readonly localRuns: readonly LocalRun[] },
  folders: readonly SourceFolder[],
): readonly Proposal[] {
  const covered = new Set(resources.localRuns.flatMap(({ spec }) => spec.images.map(({ image }) => imageName(image))));
  const byImage = new Map<string, Deployment[]>();
  for (const deployment of resources.deployments) {
    const image = imageName(deployment.spec.template.spec.containers[0]?.image ?? "");
    if (image !== "" && !covered.has(image)) byImage.set(image, [...(byImage.get(image) ?? []), deployment]);
  }
  return [...byImage]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([image, deployments]) => ({
      image,
      workloads: deployments.map(({ name }) => name).sort(),
      env: serviceAddresses(deployments, resources.services),
      ...programOf(image, deployments, folders),
    }));
}

function programOf(image: string, deployments: readonly Deployment[], folders: readonly SourceFolder[]): Pick<Proposal, "program" | "missing"> {
  const names = namesOf(image, deployments);
  const named = folders.filter(({ name }) => names.includes(plainName(name)) || names.includes(shortName(plainName(name))));
  for (const folder of named) {
    const guess = guessProgram(folder);
    if (guess !== undefined) return { program: { ...guess, directory: folder.path } };
  }
  const [first] = named;
  if (first !== undefined) return { missing: `nothing in ${first.path} says how its program is started` };
  return { missing: `no folder is called ${names[0]}` };
}

/** What the source folder may be called: as the image, as its Deployment or container, each also without what people append. */
function namesOf(image: string, deployments: readonly Deployment[]): readonly string[] {
  const written = [
    image.split("/").at(-1) ?? image,
    ...deployments.map(({ name }) => name),
    ...deployments.flatMap(({ spec }) => spec.template.spec.containers.slice(0, 1).map(({ name }) => name)),
  ];
  const plain = written.map(plainName);
  return [...new Set([...plain, ...plain.map(shortName)])];
}

function shortName(name: string): string {
  return name.replace(/-(?:service|svc|server|app|api)$/, "");
}

function plainName(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/** A value that is the address of a service in a cluster: `order-history:9090`, `http://order-history.shop/x`. */
const ADDRESS = /^((?:https?|grpc):\/\/)?([a-z0-9][a-z0-9.-]*)(?::(\d{1,5}))?(\/\S*)?$/;

function serviceAddresses(deployments: readonly Deployment[], services: readonly KubernetesService[]): Readonly<Record<string, string>> {
  const env: Record<string, string> = {};
  for (const deployment of deployments) {
    for (const { name, value } of deployment.spec.template.spec.containers[0]?.env ?? []) {
      const local = value === undefined ? undefined : localAddress(value, deployment.namespace, services);
      if (local !== undefined) env[name] = local;
    }
  }
  return env;
}

function localAddress(value: string, namespace: string, services: readonly KubernetesService[]): string | undefined {
  const [, scheme = "", host = "", portText, path = ""] = ADDRESS.exec(value) ?? [];
  // A bare word is a word.
  if (host === "" || (scheme === "" && portText === undefined)) return undefined;
  const [name = "", ownNamespace = namespace, ...more] = host.split(".");
  if (more.length > 0 && more[0] !== "svc") return undefined;
  const port = Number(portText ?? (scheme === "https://" ? 443 : 80));
  const service = services.find((candidate) => candidate.name === name && candidate.namespace === ownNamespace);
  if (!service?.spec.ports.some((candidate) => candidate.port === port)) return undefined;
  const place = ownNamespace === namespace ? name : `${name}.${ownNamespace}`;
  return `${scheme}\${service:${place}:${port}}${path}`;
}
