// A text that must not be seen: private keys and tokens. Whatever prints it (a log, a dump, JSON, a failing test) prints `[redacted]`.
import { inspect } from "node:util";

const REDACTED = "[redacted]";

/** Holds a secret text. Only {@link Secret.reveal} gives it out, and its callers are few: they write it to a proxy or to a file of mode 0600. */
export class Secret {
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
