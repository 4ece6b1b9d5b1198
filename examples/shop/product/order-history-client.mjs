// Asks order-history for its list. Every way in which that can fail becomes an UpstreamError that says what failed.
import { Agent, get } from "node:http";

const TIMEOUT_MS = 5_000;
const agent = new Agent({ keepAlive: true, maxSockets: 128 });

/** order-history did not give a usable answer; `upstream` is the URL that was asked. */
export class UpstreamError extends Error {
  constructor(upstream, reason) {
    super(reason);
    this.upstream = upstream;
  }
}

/** The histories and the name of the copy that answered. Throws {@link UpstreamError}. */
export async function fetchOrderHistories(baseUrl, headers) {
  const url = new URL("/order-histories", baseUrl).href;
  const { status, servedBy, body } = await ask(url, headers).catch((error) => {
    throw new UpstreamError(url, error.message);
  });
  if (status !== 200) throw new UpstreamError(url, `status ${status}: ${body.slice(0, 200)}`);
  const histories = parseJson(body);
  if (!Array.isArray(histories)) throw new UpstreamError(url, `not a list of order histories: ${body.slice(0, 200)}`);
  return { histories, servedBy };
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function ask(url, headers) {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent, headers, signal: AbortSignal.timeout(TIMEOUT_MS) }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.once("error", fail);
      response.once("end", () =>
        resolve({ status: response.statusCode, servedBy: response.headers["x-served-by"], body: Buffer.concat(chunks).toString("utf8") }),
      );
    });
    // A kept connection that the other side closed just now was never read from, and a GET may be sent again.
    const fail = (error) => {
      if (request.reusedSocket && request.res == null && ["ECONNRESET", "EPIPE"].includes(error.code)) resolve(ask(url, headers));
      else reject(error.name === "TimeoutError" || error.name === "AbortError" ? new Error(`no answer within ${TIMEOUT_MS / 1000} s`) : error);
    };
    request.once("error", fail);
  });
}
