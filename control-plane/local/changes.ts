// Lets a condition be awaited: it is asked again whenever somebody says that something has changed.

export interface Changes {
  readonly notify: () => void;
  /** Resolves as soon as `done` answers true. */
  readonly until: (done: () => boolean) => Promise<void>;
}

export function createChanges(): Changes {
  const waiting = new Set<() => void>();
  return {
    notify: () => {
      for (const look of [...waiting]) look();
    },
    until: (done) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!done()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}
