// The requests by which two ways to run the mesh of `meshes/parity` are compared, and what of an answer must be the same.

/** One request of the caller. */
export interface MatrixRequest {
  readonly service: "echo" | "shadow" | "raw";
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** As `ask-requests.mjs` prints it. */
export interface MatrixAnswer {
  readonly status?: number;
  readonly location?: string;
  readonly body?: string;
  readonly error?: string;
}

/** Of the services in `meshes/parity`. */
export const PARITY_PORTS = { echo: 80, shadow: 80, raw: 7_000 };
/** Every kind of decision that the mesh of `meshes/parity` knows. */

/** Every kind of decision that this mesh knows. */
export const PARITY_MATRIX: readonly MatrixRequest[] = [
  ...["GET", "POST", "PUT", "DELETE"].map((method): MatrixRequest => ({ service: "echo", path: "/x?y=1", method, headers: { "x-user": "u" } })),
  ...Array.from({ length: 40 }, (_, user): MatrixRequest => ({ service: "echo", path: "/", headers: { "x-user": `user-${user}` } })),
  { service: "echo", path: "/old/thing" },
  { service: "echo", path: "/teapot" },
  { service: "echo", path: "/broken", headers: { "x-user": "u" } },
  { service: "echo", path: "/api/things", headers: { "x-beta": "yes" } },
  { service: "echo", path: "/api/things", headers: { "x-beta": "no", "x-user": "u" } },
  { service: "echo", path: "//double//slash", headers: { "x-user": "u" } },
  { service: "echo", path: "/with%2Fescaped%20parts", headers: { "x-user": "u" } },
  { service: "echo", path: "/own-headers", headers: { "x-user": "u", "x-weft-pick": "1", "x-weft-retry": "unsent" } },
  { service: "shadow", path: "/plain", method: "PATCH", headers: { "x-custom": "1" } },
  { service: "raw", path: "/through/bytes" },
];

/** What the mesh decided, without what differs from run to run. */
export function decisionOf({ status, location, body = "", error }: MatrixAnswer): object {
  if (error !== undefined) return { error };
  // A redirect leads back to whom the program called, by whatever name or address that was.
  const path = location === undefined ? undefined : new URL(location).pathname;
  const seen = body.startsWith("{") ? JSON.parse(body) : body;
  if (typeof seen === "string") return { status, path, body: seen };
  const { "x-request-id": _id, "x-forwarded-client-cert": _certificate, ...headers } = seen.headers ?? {};
  return { status, ...seen, headers };
}
