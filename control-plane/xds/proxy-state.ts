// How far each proxy is, as the server reports it.

/** How far one proxy is behind what was published for it. */
export interface ProxyState {
  readonly proxyId: string;
  readonly connected: boolean;
  /** The last revision of which this proxy has ACKed everything that concerns it. */
  readonly ackedRevision: number;
  readonly nacks: number;
}

/** The same, with what the stream has cost: for the admin API. Counters are those of the newest open stream; all 0 without one. */
export interface ProxyReport extends ProxyState {
  /** The revision that is being served; 0 where no snapshot has this proxy. */
  readonly targetRevision: number;
  /** Connected, and everything of the target is ACKed. */
  readonly upToDate: boolean;
  readonly responsesSent: number;
  readonly resourcesSent: number;
  readonly removalsSent: number;
  readonly bytesSent: number;
}
