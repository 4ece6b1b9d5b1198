// An object of the API server as the file that it would be in a folder: the same text for the same object, without what the server itself writes on it.
import { stringify } from "yaml";
import type { KubernetesObject } from "./kubernetes-api.ts";
import type { ServedKind } from "./kubernetes-discovery.ts";

/** An object of the mesh, and the file that stands for it. */
export interface ClusterFile {
  /** `default/VirtualService/product`; `Namespace/default` for what is in no namespace. */
  readonly file: string;
  readonly text: string;
  readonly kind: ServedKind;
  readonly namespace: string;
  readonly name: string;
  /** Counts the versions of its spec. */
  readonly generation: number;
  /** The object as the server gave it, without the lists of who manages which field. */
  readonly object: KubernetesObject;
}

/** The name of an object's file. */
export function fileName(kind: string, namespace: string, name: string): string {
  return namespace === "" ? `${kind}/${name}` : `${namespace}/${kind}/${name}`;
}

/** What `kubectl apply` writes down of the former document. */
const NOISE: ReadonlySet<string> = new Set(["kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"]);

/** The file of an object, in the version in which it is watched: lists leave apiVersion and kind out. */
export function clusterFile(kind: ServedKind, object: KubernetesObject): ClusterFile {
  const { metadata, status: _status, apiVersion: _apiVersion, kind: _kind, ...content } = object;
  const { name, namespace = "", labels = {}, annotations = {}, generation = 0 } = metadata;
  const kept = Object.fromEntries(Object.entries(annotations).filter(([key]) => !NOISE.has(key)));
  const document = {
    apiVersion: kind.group === "" ? kind.version : `${kind.group}/${kind.version}`,
    kind: kind.kind,
    metadata: {
      name,
      ...(namespace === "" ? {} : { namespace }),
      ...(Object.keys(labels).length === 0 ? {} : { labels: sorted(labels) }),
      ...(Object.keys(kept).length === 0 ? {} : { annotations: sorted(kept) }),
    },
    ...(kind.kind === "Namespace" ? {} : content),
  };
  const { managedFields: _managedFields, ...about } = metadata as KubernetesObject["metadata"] & { readonly managedFields?: unknown };
  return {
    file: fileName(kind.kind, namespace, name),
    text: stringify(document, { lineWidth: 0, aliasDuplicateObjects: false }),
    kind,
    namespace,
    name,
    generation,
    object: { ...object, metadata: about },
  };
}

function sorted(texts: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(texts).sort(([a], [b]) => (a < b ? -1 : 1)));
}
