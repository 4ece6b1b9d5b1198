// Two plain values, and the fields in which they differ, by path. Pure.

/** One field. Values are as JSON writes them; absent on the side that has none. */
export interface FieldChange {
  /** `http[0].route[1].weight`. */
  readonly path: string;
  readonly before?: string;
  readonly after?: string;
}

/** The smallest parts that differ, in the order of `after`, then what is gone. Lists are compared place by place. */
export function fieldChanges(before: unknown, after: unknown, path = ""): readonly FieldChange[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  const [was, is] = [partsOf(before), partsOf(after)];
  if (was === undefined || is === undefined || was.list !== is.list) {
    return [{ path, ...(before === undefined ? {} : { before: text(before) }), ...(after === undefined ? {} : { after: text(after) }) }];
  }
  const names = [...new Set([...is.parts.keys(), ...was.parts.keys()])];
  return names.flatMap((name) => fieldChanges(was.parts.get(name), is.parts.get(name), is.list ? `${path}[${name}]` : path === "" ? name : `${path}.${name}`));
}

function partsOf(value: unknown): { readonly list: boolean; readonly parts: ReadonlyMap<string, unknown> } | undefined {
  if (Array.isArray(value)) return { list: true, parts: new Map(value.map((item: unknown, index) => [String(index), item])) };
  return typeof value === "object" && value !== null ? { list: false, parts: new Map(Object.entries(value)) } : undefined;
}

function text(value: unknown): string {
  return JSON.stringify(value) ?? "undefined";
}
