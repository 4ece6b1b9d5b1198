// The HTTPS server of the webhooks: certificates come in, and may be renewed; what is asked goes to injection and validation. Only the API server has a reason to
// call it, and nothing that it answers is secret.

import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { KeyedCertificate } from "../../ca/certificates.ts";
import { type AdmissionRequest, type AdmissionVerdict, admissionAnswer, admissionReview } from "./admission-review.ts";
import { injectPod, type PodInjection } from "./injection.ts";
import { type ResourceValidation, validateResource } from "./validation.ts";

export interface WebhookOptions {
  readonly address: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** Of the mesh's authority, for the names of {@link webhookNames}. */
  readonly certificate: KeyedCertificate;
  readonly injection: PodInjection;
  readonly validation: ResourceValidation;
  /** Something went wrong here; the API server is told, and does as the webhook's failurePolicy says. */
  readonly onError: (error: Error) => void;
}

export interface WebhookServer {
  readonly port: number;
  /** For new connections; open ones go on. */
  readonly setCertificate: (certificate: KeyedCertificate) => void;
  readonly close: () => Promise<void>;
}

/** The names by which the API server calls the webhooks' Service. */
export function webhookNames(service = "weft-control-plane", namespace = "weft-system"): readonly string[] {
  return [`${service}.${namespace}.svc`, `${service}.${namespace}.svc.cluster.local`, `${service}.${namespace}`];
}

/** An object of the API server has 3 MiB at most (etcd's 1.5 MiB, old and new one). */
const BODY_BYTES = 8 * 1_024 * 1_024;
const REQUEST_MS = 30_000;

/** Rejects where the port is taken. */
export async function startWebhooks(options: WebhookOptions): Promise<WebhookServer> {
  const { injection, validation, onError } = options;
  const verdicts: Readonly<Record<string, (request: AdmissionRequest) => AdmissionVerdict>> = {
    "/inject": (request) => injectPod(request, injection),
    "/validate": (request) => validateResource(request, validation),
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const verdict = verdicts[(request.url ?? "").split("?")[0] ?? ""];
    if (verdict === undefined) return end(response, 404, { error: "the webhooks are /inject and /validate" });
    if (request.method !== "POST") return end(response, 405, { error: "an AdmissionReview is posted" });
    const body = await readBody(request);
    if (body === undefined) return end(response, 413, { error: "larger than anything of an API server" });
    const review = admissionReview.safeParse(parsedJson(body));
    if (!review.success) return end(response, 400, { error: "no AdmissionReview of admission.k8s.io/v1" });
    end(response, 200, admissionAnswer(review.data.request.uid, verdict(review.data.request)));
  };
  const server = createServer({ ...contextOf(options.certificate), minVersion: "TLSv1.2", requestTimeout: REQUEST_MS }, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      onError(error instanceof Error ? error : new Error(String(error)));
      if (!response.headersSent) end(response, 500, { error: "something is wrong with the webhook itself; its log says what" });
    });
  });
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(options.port, options.address, resolve));
  return { port: portOf(server), setCertificate: (certificate) => server.setSecureContext(contextOf(certificate)), close: () => closed(server) };
}

function contextOf({ chainPem, privateKey }: KeyedCertificate): { readonly cert: string; readonly key: string } {
  return { cert: chainPem, key: privateKey.reveal() };
}

function end(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** Undefined where it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    sizeBytes += bytes.length;
    if (sizeBytes > BODY_BYTES) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the webhooks have no port");
  return address.port;
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}
