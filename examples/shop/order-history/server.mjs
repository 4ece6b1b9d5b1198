// order-history: GET /order-histories lists what was ordered and when.
import { answerJson, logRequest, serve } from "../serve.mjs";

const ORDER_HISTORIES = [
  { id: 1, product_id: 1, ordered_at: "2022-10-18 19:30" },
  { id: 2, product_id: 1, ordered_at: "2022-10-21 18:03" },
  { id: 3, product_id: 1, ordered_at: "2022-10-23 12:25" },
  { id: 4, product_id: 1, ordered_at: "2022-10-29 13:16" },
  { id: 5, product_id: 2, ordered_at: "2022-11-07 07:03" },
  { id: 6, product_id: 3, ordered_at: "2022-11-08 11:33" },
];

serve(9090, (request, response, path) => {
  logRequest(request);
  if (request.method === "GET" && path === "/order-histories") return answerJson(response, 200, ORDER_HISTORIES);
  answerJson(response, 404, { error: `no such page: ${request.method} ${path}` });
});
