// Secret: what a Kubernetes Secret holds, in a type that cannot be printed. Certificates and keys of gateways come from here.
// Source: Kubernetes Secret v1; Istio's `credentialName` reads `tls.crt`, `tls.key`, `ca.crt` (or `cert`, `key`, `cacert`) of one.
import { inspect } from "node:util";
import { z } from "zod";

const REDACTED = "[redacted]";

/** A text that must not be seen. Whatever prints it (a log, a dump, JSON, a failing test) prints `[redacted]`; {@link SecretText.reveal} alone gives it out. */
export class SecretText {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [inspect.custom](): string {
    return REDACTED;
  }
}

export interface SecretSpec {
  /** `kubernetes.io/tls`, `Opaque`, … */
  readonly type: string;
  /** By key, decoded. `stringData` wins over `data`. */
  readonly entries: Readonly<Record<string, SecretText>>;
  /** Keys whose value is no text, or not the base64 that `data` takes. The values are named nowhere. */
  readonly malformed: readonly string[];
}

/** The fields of a Secret's document beside its metadata. Any value is read: what is wrong with one is said without showing it. */
export const secretFields = {
  type: z.string().default("Opaque"),
  data: z.record(z.string(), z.unknown()).default({}),
  stringData: z.record(z.string(), z.unknown()).default({}),
  immutable: z.boolean().optional(),
};

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The typed content of those fields. */
export function secretSpec(fields: {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly stringData: Readonly<Record<string, unknown>>;
}): SecretSpec {
  const entries = new Map<string, SecretText>();
  const malformed: string[] = [];
  for (const [key, value] of Object.entries(fields.data)) {
    const text = typeof value === "string" ? value.replace(/\s/g, "") : value === null ? "" : undefined;
    if (text === undefined || !BASE64.test(text)) malformed.push(key);
    else entries.set(key, new SecretText(Buffer.from(text, "base64").toString("utf8")));
  }
  for (const [key, value] of Object.entries(fields.stringData)) {
    if (typeof value === "string") entries.set(key, new SecretText(value));
    else malformed.push(key);
  }
  return { type: fields.type, entries: Object.fromEntries(entries), malformed };
}
