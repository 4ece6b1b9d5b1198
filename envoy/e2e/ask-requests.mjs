// Sends the requests that stand on stdin as JSON, `[{ url, method?, headers?, withHeaders? }]`, and prints what was answered. For tests that send from another network.
import { request } from "node:http";

let text = "";
for await (const chunk of process.stdin) text += chunk;

const ask = ({ url, proxy, method = "GET", headers = {}, withHeaders = false }) =>
  new Promise((resolve) => {
    const to = proxy === undefined ? new URL(url) : new URL(proxy);
    const path = proxy === undefined ? `${to.pathname}${to.search}` : url;
    const own = proxy === undefined ? headers : { host: new URL(url).host, ...headers };
    const call = request({ host: to.hostname, port: to.port || 80, path, method, headers: own, agent: false, timeout: 20_000 }, (response) => {
      let body = "";
      response.on("data", (chunk) => {
        body += chunk;
      });
      const answered = withHeaders ? { headers: response.headers } : {};
      response.on("end", () => resolve({ status: response.statusCode, location: response.headers.location, ...answered, body }));
      response.on("error", (error) => resolve({ error: error.code }));
    });
    call.on("timeout", () => call.destroy());
    call.on("error", (error) => resolve({ error: error.code ?? error.message }));
    call.end();
  });

const answers = [];
for (const each of JSON.parse(text)) answers.push(await ask(each));
process.stdout.write(JSON.stringify(answers));
