// Key sets of issuers of tokens: where one is fetched from, and whether one that stands in a policy can be read. Source: RFC 7517, "JSON Web Key".

/** What a `jwksUri` says. */
export interface JwksLocation {
  readonly uri: string;
  readonly hostname: string;
  readonly port: number;
  readonly tls: boolean;
}

/** Undefined where it is no URL of http or https. Source: Istio, ParseJwksURI of pkg/config/security. */
export function jwksLocation(uri: string): JwksLocation | undefined {
  if (!URL.canParse(uri)) return undefined;
  const { protocol, hostname, port } = new URL(uri);
  const tls = protocol === "https:";
  if ((!tls && protocol !== "http:") || hostname === "") return undefined;
  return { uri, hostname: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? (tls ? 443 : 80) : Number(port), tls };
}

/** Whether a text is a key set with at least one key of a type that signs tokens. What is wrong inside a key is for the proxy to say. */
export function readableJwks(text: string): boolean {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return false;
  }
  if (typeof parsed !== "object" || parsed === null || !("keys" in parsed) || !Array.isArray(parsed.keys)) return false;
  const types = new Set(["RSA", "EC", "OKP", "oct"]);
  return parsed.keys.some((key: unknown) => typeof key === "object" && key !== null && "kty" in key && types.has(`${key.kty}`));
}
