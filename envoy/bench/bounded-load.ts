// A load that sends an exact number of requests over connections that stay open, and costs little itself: it makes short rounds possible,
// at whose end the proxy is idle and has been charged for all of its work. wrk has neither a count nor rounds below a second.
import { connect, type Socket } from "node:net";

/** Connections to one listener. */
export interface BoundedLoad {
  /** Sends `count` requests, each as soon as the answer before it on its connection has come. Rejects when one is answered by anything but 200 and `body`. */
  run(count: number): Promise<void>;
  close(): void;
}

export interface BoundedLoadOptions {
  readonly url: string;
  readonly connections: number;
  /** What the upstream answers. */
  readonly body: string;
  /** Headers of the requests, in turn. */
  readonly headers: readonly Readonly<Record<string, string>>[];
}

/** Opens the connections. Rejects when one is refused. */
export async function openBoundedLoad({ url, connections, body, headers }: BoundedLoadOptions): Promise<BoundedLoad> {
  const { host, hostname, port } = new URL(url);
  const requests = headers.map((fields) => {
    const lines = Object.entries({ host, ...fields }).map(([name, value]) => `${name}: ${value}\r\n`);
    return Buffer.from(`GET / HTTP/1.1\r\n${lines.join("")}\r\n`);
  });
  const sockets = await Promise.all(Array.from({ length: connections }, () => openSocket(hostname, Number(port))));
  let turn = 0;
  return {
    run: (count) =>
      new Promise((resolve, reject) => {
        let unsent = count;
        let unanswered = count;
        const send = (socket: Socket): void => {
          const request = requests[turn++ % requests.length];
          if (unsent === 0 || request === undefined) return;
          unsent--;
          socket.write(request);
        };
        for (const socket of sockets) {
          let answer = "";
          socket.removeAllListeners();
          socket.on("error", reject).on("close", () => reject(new Error(`${url} closed a connection`)));
          socket.on("data", (text: string) => {
            answer += text;
            if (!answer.endsWith(`\r\n\r\n${body}`)) return;
            if (!answer.startsWith("HTTP/1.1 200")) reject(new Error(`${url} answered ${answer}`));
            answer = "";
            if (--unanswered === 0) resolve();
            send(socket);
          });
          send(socket);
        }
      }),
    close: () => {
      for (const socket of sockets) socket.removeAllListeners().destroy();
    },
  };
}

function openSocket(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true }, () => resolve(socket.setEncoding("latin1")));
    socket.once("error", reject);
  });
}
