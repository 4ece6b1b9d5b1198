// All objects of a collection as they are now, page by page.
import type { KubernetesApi, KubernetesObject } from "./kubernetes-api.ts";

const PAGE = 500;

interface ListBody {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly KubernetesObject[];
}

export interface Listed {
  readonly objects: readonly KubernetesObject[];
  /** Where a watch goes on. */
  readonly resourceVersion: string;
}

/** Rejects as the client does. `query` may hold selectors. */
export async function listObjects(api: KubernetesApi, path: string, query: Readonly<Record<string, string>> = {}, signal?: AbortSignal): Promise<Listed> {
  const objects: KubernetesObject[] = [];
  let next = "";
  let resourceVersion = "";
  do {
    const page = { ...query, limit: String(PAGE), ...(next === "" ? {} : { continue: next }) };
    const { metadata = {}, items = [] } = (await api.ask({ path, query: page, ...(signal === undefined ? {} : { signal }) })).body as ListBody;
    objects.push(...items);
    next = metadata.continue ?? "";
    resourceVersion = metadata.resourceVersion ?? "";
  } while (next !== "");
  return { objects, resourceVersion };
}
