// color: /color answers this version's colour; /count says how often this copy has answered, and to whom.
import { answerJson, logRequest, podName, serve } from "../serve.mjs";

const COLOR = process.env.COLOR ?? "blue";
const VERSION = process.env.VERSION ?? "unknown";
// A user's name comes from outside, so the memory that names may take is bounded; the total goes on counting.
const MAX_USERS = 10_000;

let total = 0;
const answersByUser = new Map();

serve(8080, (request, response, path) => {
  if (path === "/count") return answerJson(response, 200, { color: COLOR, version: VERSION, pod: podName, total, users: Object.fromEntries(answersByUser) });
  if (path !== "/color") {
    logRequest(request);
    return answerJson(response, 404, { error: `no such page: ${request.method} ${path}` });
  }
  const user = request.headers["x-user"];
  count(user);
  logRequest(request, { user, color: COLOR, version: VERSION });
  answerJson(response, 200, { color: COLOR, version: VERSION, pod: podName }, { "cache-control": "no-store" });
});

function count(user) {
  total += 1;
  if (user === undefined) return;
  const before = answersByUser.get(user) ?? 0;
  if (before > 0 || answersByUser.size < MAX_USERS) answersByUser.set(user, before + 1);
}
