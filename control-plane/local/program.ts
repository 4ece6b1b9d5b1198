// From a container image to the local program that stands for it: LocalRun's entry, its variables expanded, its environment put together. Pure.
import { fileURLToPath } from "node:url";
import type { ListenAddress } from "../mesh/instance.ts";
import type { Container } from "../model/kubernetes.ts";
import type { LocalImage, StubResponse } from "../model/local-run.ts";
import type { Desired, DesiredHost } from "./protocol.ts";

/** A LocalRun entry with the folder that its paths are relative to. */
export interface LocalProgram {
  readonly folder: string;
  readonly entry: LocalImage;
}

/** What `${…}` may name. `service` gives `host:port` of a service as this instance sees it. */
export interface Variables {
  /** `${PORT}`. */
  readonly port: number;
  /** For `${PORT:NAME}` and `${PORT:9091}`, in a workload of several ports. */
  readonly ports: readonly { readonly name?: string; readonly containerPort: number; readonly port: number }[];
  readonly podIp: string;
  readonly podName: string;
  readonly namespace: string;
  readonly zone: string;
  readonly imageTag: string;
  readonly service: (host: DesiredHost, port: number) => string;
  readonly hosts: readonly DesiredHost[];
  /** Where a stub listens. */
  readonly listen: readonly ListenAddress[];
  /** Environment that every program gets, below the container's own. */
  readonly baseEnv: Readonly<Record<string, string>>;
}

/** A program that can be started, or the expressions that name no service or port. */
export type Expanded =
  | { readonly kind: "program"; readonly command: readonly string[]; readonly directory: string; readonly env: Readonly<Record<string, string>> }
  | { readonly kind: "unknown-names"; readonly expressions: readonly string[] };

/** The entry for an image: one with its tag wins over one without; among equals the first document counts. */
export function localProgramFor(image: string, localRuns: Desired["localRuns"]): LocalProgram | undefined {
  const programs = localRuns.flatMap(({ folder, spec }) => spec.images.map((entry) => ({ folder, entry })));
  const name = imageName(image);
  return programs.find(({ entry }) => entry.image === image) ?? programs.find(({ entry }) => entry.image === name);
}

/** `color` of `color:blue` and of `color@sha256:…`; a registry's port is part of the name. */
export function imageName(image: string): string {
  const [withTag = ""] = image.split("@");
  return withTag.replace(/:[^:/]*$/, "");
}

/** `blue` of `color:blue`; `latest`, as container runtimes take it, where there is none. */
export function imageTag(image: string): string {
  const [withTag = ""] = image.split("@");
  return /:([^:/]*)$/.exec(withTag)?.[1] ?? "latest";
}

/**
 * Expands an entry for one instance. The environment, later wins: `baseEnv`, PORT, POD_IP and POD_NAME, the container's own values, LocalRun's.
 * Other `${…}` stay as they are: they may be the program's own.
 */
export function expandProgram(entry: LocalImage, container: Container, variables: Variables): Expanded {
  const unknown = new Set<string>();
  const expand = (text: string): string => expandText(text, variables, unknown);
  const command = entry.command === undefined ? RESPONDER : entry.command.map(expand);
  const local = Object.fromEntries(Object.entries(entry.env).map(([name, value]) => [name, expand(value)]));
  if (unknown.size > 0) return { kind: "unknown-names", expressions: [...unknown].sort() };
  const own = { PORT: String(variables.port), POD_IP: variables.podIp, POD_NAME: variables.podName };
  const declared = Object.fromEntries(container.env.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]])));
  const stub = entry.stub === undefined ? {} : { WEFT_STUB: JSON.stringify({ listen: variables.listen, responses: expandedResponses(entry.stub, expand) }) };
  return { kind: "program", command, directory: entry.directory, env: { ...variables.baseEnv, ...own, ...declared, ...local, ...stub } };
}

/** The program that gives a stub's answers. */
const RESPONDER: readonly string[] = [process.execPath, fileURLToPath(new URL("stub/responder.mjs", import.meta.url))];

/** A body that is no text is expanded as the JSON that is sent. */
function expandedResponses(responses: readonly StubResponse[], expand: (text: string) => string): readonly object[] {
  return responses.map(({ headers, body, ...response }) => ({
    ...response,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, expand(value)])),
    body: typeof body === "string" ? expand(body) : JSON.parse(expand(JSON.stringify(body))),
  }));
}

function expandText(text: string, variables: Variables, unknown: Set<string>): string {
  return text.replace(/\$\{([A-Z_]+|(?:service|PORT):[^}]+)\}/g, (expression, name: string) => {
    switch (name) {
      case "PORT":
        return String(variables.port);
      case "POD_IP":
        return variables.podIp;
      case "POD_NAME":
        return variables.podName;
      case "NAMESPACE":
        return variables.namespace;
      case "ZONE":
        return variables.zone;
      case "IMAGE_TAG":
        return variables.imageTag;
    }
    const [kind = "", wanted = ""] = [name.split(":", 1)[0], name.slice(name.indexOf(":") + 1)];
    if (kind !== "service" && kind !== "PORT") return expression;
    const found =
      kind === "service"
        ? serviceAddress(wanted, variables)
        : variables.ports.find((port) => port.name === wanted || String(port.containerPort) === wanted)?.port;
    if (found === undefined) unknown.add(expression);
    return String(found ?? expression);
  });
}

/** `NAME[.NAMESPACE][:PORT]`; PORT is a number or a name, the service's first port where it is left out. */
function serviceAddress(text: string, { hosts, namespace, service }: Variables): string | undefined {
  const [hostText = "", portText] = text.split(":");
  const host = hosts.find(
    (candidate) =>
      candidate.hostname === hostText ||
      `${candidate.name}.${candidate.namespace}` === hostText ||
      (candidate.name === hostText && candidate.namespace === namespace),
  );
  const port = host?.ports.find(({ name, number }) => portText === undefined || portText === name || portText === String(number));
  return host === undefined || port === undefined ? undefined : service(host, port.number);
}
