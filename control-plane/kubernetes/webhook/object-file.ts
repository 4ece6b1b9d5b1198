// An object of an admission request as the file that the source makes of it, so that both are looked at alike.
import { z } from "zod";
import { KNOWN_KINDS } from "../../source/kinds.ts";
import { type ClusterFile, clusterFile } from "../../source/kubernetes-file.ts";

const texts = z.record(z.string(), z.string()).optional();
const written = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string().optional(),
    generateName: z.string().optional(),
    namespace: z.string().optional(),
    uid: z.string().optional(),
    resourceVersion: z.string().optional(),
    labels: texts,
    annotations: texts,
  }),
});

/** Undefined for what is no resource of the mesh. */
export function objectFile(object: unknown): ClusterFile | undefined {
  const read = written.safeParse(object);
  if (!read.success) return undefined;
  const { apiVersion, kind: kindName, metadata, ...content } = read.data;
  const [group = "", version = apiVersion] = apiVersion.includes("/") ? apiVersion.split("/") : ["", apiVersion];
  const known = KNOWN_KINDS.find((candidate) => candidate.kind === kindName && candidate.group === group);
  if (known === undefined) return undefined;
  const { name = metadata.generateName ?? "", uid = "", resourceVersion = "", labels = {}, annotations = {}, namespace = "" } = metadata;
  const kind = { kind: known.kind, group, version, plural: "", namespaced: known.namespaced, hasStatus: true };
  return clusterFile(kind, { ...content, metadata: { name, namespace, uid, resourceVersion, labels, annotations } });
}
