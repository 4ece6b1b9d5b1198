// How a command says that it could not do what was asked: what is wrong and what to do next. Caught once, in main.ts.

/** Exit codes of every command: it did what was asked, it could not, or the command line itself was wrong. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** Ends a command with a message for its user. `next` is the next step to take, a sentence without a full stop. */
export class CommandError extends Error {
  readonly next: string;
  readonly exitCode: number;

  constructor(what: string, next: string, exitCode: number = EXIT.failed) {
    super(what);
    this.name = "CommandError";
    this.next = next;
    this.exitCode = exitCode;
  }
}
