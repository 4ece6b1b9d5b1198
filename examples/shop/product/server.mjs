// product: GET /products lists the products, each with its order histories, which come from order-history.
// ORDER_HISTORY_URL says where that is: the Service's name in a cluster, the address of the sidecar's listener on a laptop.
import { answerJson, logRequest, serve } from "../serve.mjs";
import { fetchOrderHistories, UpstreamError } from "./order-history-client.mjs";

const ORDER_HISTORY_URL = process.env.ORDER_HISTORY_URL ?? "http://order-history:9090";

/** Headers that belong to the user's request and not to one hop: only the application can carry them on. */
const CARRIED_HEADERS = ["x-request-id", "traceparent", "tracestate", "x-user"];

const PRODUCTS = [
  { id: 1, name: "라즈베리파이 4 8GB + 개발 키트", price: 250000 },
  { id: 2, name: "USB 32GB", price: 12000 },
  { id: 3, name: "맥북 프로 M1X", price: 3200000 },
];

serve(9090, async (request, response, path) => {
  logRequest(request);
  if (request.method !== "GET" || path !== "/products") return answerJson(response, 404, { error: `no such page: ${request.method} ${path}` });
  try {
    const { histories, servedBy } = await fetchOrderHistories(ORDER_HISTORY_URL, carried(request.headers));
    answerJson(
      response,
      200,
      PRODUCTS.map((product) => withHistories(product, histories)),
      { "x-order-history-served-by": servedBy ?? "unknown" },
    );
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    console.error(`order-history failed: ${error.upstream}: ${error.message}`);
    answerJson(response, 502, { error: "order-history failed", upstream: error.upstream, reason: error.message });
  }
});

function withHistories(product, histories) {
  const own = histories.filter((history) => history.product_id === product.id);
  return { ...product, my_order_histories: own.map(({ id, ordered_at }) => ({ id, ordered_at })) };
}

function carried(headers) {
  return Object.fromEntries(CARRIED_HEADERS.filter((name) => headers[name] !== undefined).map((name) => [name, headers[name]]));
}
