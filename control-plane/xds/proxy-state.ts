// How far each proxy is, as the server reports it.

/** How far one proxy is behind what was published for it. */
export interface ProxyState {
  readonly proxyId: string;
  readonly connected: boolean;
  /** The last revision of which this proxy has ACKed everything that concerns it. */
  readonly ackedRevision: number;
  readonly nacks: number;
}
