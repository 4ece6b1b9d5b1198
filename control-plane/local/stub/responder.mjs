// Stands for a service that does not run here: gives the answers that LocalRun declares for it. Plain JavaScript, since many of them start at once.
// In: WEFT_STUB, `{ listen: [{ address, port }], responses: [{ method?, path, status, headers, body, delay }] }` as JSON. Out: one line for each request.
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer } from "node:net";

const { listen, responses } = JSON.parse(process.env.WEFT_STUB ?? "{}");
const HTTP2_PREFACE = "PRI";

/** The first declared answer for a request. */
function responseFor(method, path) {
  return responses.find((response) => {
    if (response.method !== undefined && response.method !== method) return false;
    return response.path.endsWith("*") ? path.startsWith(response.path.slice(0, -1)) : path === response.path;
  });
}

/** Text as it is, anything else as JSON. */
function bodyOf({ body, headers }) {
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  const type = typeof body === "string" ? "text/plain; charset=utf-8" : "application/json";
  const text = typeof body === "string" ? body : `${JSON.stringify(body)}\n`;
  return { text, type: text === "" || names.includes("content-type") ? {} : { "content-type": type } };
}

function answer(request, reply) {
  const [path = "/"] = (request.url ?? "/").split("?");
  const declared = responseFor(request.method, path);
  request.resume();
  if (declared === undefined) {
    console.log(`${request.method} ${request.url} 404 not declared`);
    reply.writeHead(404, { "content-type": "text/plain; charset=utf-8" });
    reply.end(`this is a stub, and its LocalRun declares no answer for ${request.method} ${path}\n`);
    return;
  }
  const { text, type } = bodyOf(declared);
  setTimeout(() => {
    console.log(`${request.method} ${request.url} ${declared.status}`);
    reply.writeHead(declared.status, { ...type, ...declared.headers });
    reply.end(request.method === "HEAD" ? undefined : text);
  }, declared.delay);
}

const http = createHttpServer(answer);
const http2 = createHttp2Server(answer);
// A caller's proxy speaks HTTP/2 where the Service's port says so.
const server = () =>
  createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", (first) => {
      socket.pause();
      socket.unshift(first);
      const isHttp2 = first.subarray(0, HTTP2_PREFACE.length).toString("latin1") === HTTP2_PREFACE;
      (isHttp2 ? http2 : http).emit("connection", socket);
      if (!isHttp2) socket.resume();
    });
  });

for (const { address, port } of listen) server().listen(port, address);
process.on("SIGTERM", () => process.exit(0));
