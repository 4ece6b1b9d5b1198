// page: serves the web page and nothing else. The page asks /color of whoever served it: the gateway.
import { readFileSync } from "node:fs";
import { answerJson, logRequest, serve } from "../serve.mjs";

const FILES = new Map(
  [
    ["/", "index.html", "text/html; charset=utf-8"],
    ["/page.css", "page.css", "text/css; charset=utf-8"],
    ["/page.js", "page.js", "text/javascript; charset=utf-8"],
  ].map(([path, file, type]) => [path, { type, body: readFileSync(new URL(file, import.meta.url)) }]),
);

serve(8080, (request, response, path) => {
  logRequest(request);
  const file = request.method === "GET" ? FILES.get(path) : undefined;
  if (file === undefined) return answerJson(response, 404, { error: `no such page: ${request.method} ${path}` });
  response.writeHead(200, {
    "content-type": file.type,
    "content-length": file.body.length,
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'self'; img-src data:",
    "x-content-type-options": "nosniff",
  });
  response.end(file.body);
});
