// Volumes and environment of a pod: ConfigMaps, Secrets, tokens of its service account, and its own fields. Kept up to date in place, as a kubelet does.
import { chmod, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Api } from "../api.ts";
import { expand } from "./container.ts";
import type { Container, Image, Pod, Volume, VolumeSource } from "./objects.ts";

const DEFAULT_TOKEN_SECONDS = 3_600;

/** What a volume holds now. */
export interface VolumeState {
  readonly content: string;
  /** By path in the volume: a token is good for most of its life. */
  readonly tokens: ReadonlyMap<string, { readonly text: string; readonly renewAtMs: number }>;
}

/** Writes a volume's files where they differ from those of `former`. Waits for nothing: rejects while a ConfigMap or a Secret is missing. */
export async function writeVolume(
  { api, tokenMs }: { readonly api: Api; readonly tokenMs?: number },
  pod: Pod,
  volume: Volume,
  folder: string,
  former: VolumeState = { content: "{}", tokens: new Map() },
): Promise<VolumeState> {
  await mkdir(folder, { recursive: true });
  // As a kubelet: whoever the container's user is may write.
  if (volume.emptyDir !== undefined) await chmod(folder, 0o777);
  const files: Record<string, string> = {};
  const tokens = new Map(former.tokens);
  for (const source of volume.projected?.sources ?? [volume]) {
    if (source.serviceAccountToken === undefined) Object.assign(files, await filesOf(api, pod, source));
    else {
      const { path, expirationSeconds = DEFAULT_TOKEN_SECONDS } = source.serviceAccountToken;
      const known = tokens.get(path);
      const text = known !== undefined && known.renewAtMs > Date.now() ? known.text : await requestToken(api, pod, source.serviceAccountToken);
      if (text !== known?.text) tokens.set(path, { text, renewAtMs: Date.now() + (tokenMs ?? expirationSeconds * 800) });
      files[path] = encode(text);
    }
  }
  const content = JSON.stringify(files);
  if (content === former.content) return { content, tokens };
  // A folder for each state and a link that is renamed: all files change at once, and whoever watches the folder sees a move. Source: Kubernetes, pkg/volume/util/atomic_writer.go
  const state = `..${Date.now()}`;
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, state, path)), { recursive: true });
    await writeFile(join(folder, state, path), Buffer.from(text, "base64"));
  }
  await symlink(state, join(folder, "..data_tmp"));
  await rename(join(folder, "..data_tmp"), join(folder, "..data"));
  for (const path of Object.keys(files))
    await symlink(join("..data", path.split("/")[0] ?? path), join(folder, path.split("/")[0] ?? path)).catch(() => undefined);
  return { content, tokens };
}

async function requestToken(api: Api, pod: Pod, asked: NonNullable<VolumeSource["serviceAccountToken"]>): Promise<string> {
  const { name, namespace, uid } = pod.metadata;
  const { audience, expirationSeconds = DEFAULT_TOKEN_SECONDS } = asked;
  const spec = { audiences: audience === undefined ? [] : [audience], expirationSeconds, boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid } };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${pod.spec.serviceAccountName}/token`;
  return (await api.post<{ status: { token: string } }>(path, { spec })).status.token;
}

/** Content in base64 by path. */
async function filesOf(api: Api, pod: Pod, { configMap, secret, downwardAPI }: VolumeSource): Promise<Readonly<Record<string, string>>> {
  const { namespace } = pod.metadata;
  if (configMap !== undefined) return select(configMap, await objectData(api, namespace, "configmaps", configMap.name, configMap.optional));
  if (secret !== undefined) return select(secret, await objectData(api, namespace, "secrets", secret.secretName ?? secret.name ?? "", secret.optional));
  return Object.fromEntries((downwardAPI?.items ?? []).map(({ path, fieldRef }) => [path, encode(fieldOf(pod, fieldRef.fieldPath))]));
}

function select(
  { items }: NonNullable<VolumeSource["configMap"] | VolumeSource["secret"]>,
  files: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return items === undefined ? files : Object.fromEntries(items.map(({ key, path }) => [path, files[key] ?? ""]));
}

interface Files {
  readonly data?: Readonly<Record<string, string>>;
  readonly binaryData?: Readonly<Record<string, string>>;
}

async function objectData(api: Api, namespace: string, collection: string, name: string, optional = false): Promise<Readonly<Record<string, string>>> {
  const found = api.get<Files>(`/api/v1/namespaces/${namespace}/${collection}/${name}`);
  const { data = {}, binaryData = {} } = await found.catch((error: Error): Files => {
    if (optional) return {};
    throw error;
  });
  return collection === "secrets" ? data : { ...Object.fromEntries(Object.entries(data).map(([key, text]) => [key, encode(text)])), ...binaryData };
}

function encode(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** The environment of a container: the image's, Kubernetes' own, the pod's. */
export async function environmentOf(api: Api, apiAddress: URL, pod: Pod, container: Container, image: Image): Promise<Readonly<Record<string, string>>> {
  const env: Record<string, string> = {
    HOSTNAME: pod.metadata.name,
    KUBERNETES_SERVICE_HOST: apiAddress.hostname,
    KUBERNETES_SERVICE_PORT: apiAddress.port,
    ...image.env,
  };
  for (const { name, value = "", valueFrom } of container.env ?? []) {
    const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom ?? {};
    const { namespace } = pod.metadata;
    if (fieldRef !== undefined) env[name] = fieldOf(pod, fieldRef.fieldPath);
    else if (resourceFieldRef !== undefined) env[name] = resourceOf(container, resourceFieldRef.resource);
    else if (configMapKeyRef !== undefined) env[name] = decode((await objectData(api, namespace, "configmaps", configMapKeyRef.name))[configMapKeyRef.key]);
    else if (secretKeyRef !== undefined) env[name] = decode((await objectData(api, namespace, "secrets", secretKeyRef.name))[secretKeyRef.key]);
    else env[name] = expand(value, env);
  }
  return env;
}

function decode(text = ""): string {
  return Buffer.from(text, "base64").toString("utf8");
}

/** The downward API. Throws for a field that it does not have. */
function fieldOf(pod: Pod, path: string): string {
  const [, map, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path) ?? [];
  if (key !== undefined) return (map === "labels" ? pod.metadata.labels : pod.metadata.annotations)?.[key] ?? "";
  const lines = (values: Readonly<Record<string, string>> = {}): string =>
    Object.entries(values)
      .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
      .join("\n");
  const fields: Readonly<Record<string, string | undefined>> = {
    "metadata.name": pod.metadata.name,
    "metadata.namespace": pod.metadata.namespace,
    "metadata.uid": pod.metadata.uid,
    "metadata.labels": lines(pod.metadata.labels),
    "metadata.annotations": lines(pod.metadata.annotations),
    "spec.nodeName": pod.spec.nodeName,
    "spec.serviceAccountName": pod.spec.serviceAccountName,
    "status.podIP": pod.status.podIP,
    "status.podIPs": pod.status.podIP,
    "status.hostIP": pod.status.podIP,
  };
  const value = fields[path];
  if (value === undefined) throw new Error(`pod ${pod.metadata.name}: the downward API has no ${path}`);
  return value;
}

/** Whole CPUs or bytes; two CPUs, as this machine may have, where nothing limits it. */
function resourceOf({ resources = {} }: Container, resource: string): string {
  const [kind = "limits", name = "cpu"] = resource.split(".");
  const amount = (kind === "limits" ? resources.limits : resources.requests)?.[name];
  if (amount === undefined) return name === "cpu" ? "2" : "0";
  const [, digits = "0", unit = ""] = /^([\d.]+)(\D*)$/.exec(amount) ?? [];
  const scale: Readonly<Record<string, number>> = { m: 0.001, "": 1, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 };
  return String(Math.ceil(Number(digits) * (scale[unit] ?? 1)));
}

/** Removes a pod's files. */
export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}
