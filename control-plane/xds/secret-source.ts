// Who supplies secrets, as the server sees it: it is told which proxies want some, and what they hold. The secrets themselves come with a snapshot.

export interface SecretSource {
  /** A stream of this proxy has asked for secrets of these names; `held` is name to version of those that it reports to hold already. */
  readonly asked: (proxyId: string, names: readonly string[], held: ReadonlyMap<string, string>) => void;
  /** The last stream of this proxy has ended. */
  readonly left: (proxyId: string) => void;
}
