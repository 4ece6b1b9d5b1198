// Answers a second terminal on the Unix socket of the state folder. Whoever may open the socket may end the user's programs: it is the owner's alone.
import { chmod, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { z } from "zod";
import { RequestRefused, type RunnerApi } from "./api.ts";
import { answersOn } from "./api-client.ts";

/** What the mesh does for each request. */
export type ApiAnswers = { readonly [Name in keyof RunnerApi]: (request: RunnerApi[Name]["request"]) => Promise<RunnerApi[Name]["answer"]> };

export interface ApiServer {
  readonly close: () => Promise<void>;
}

const selection = z.strictObject({ workload: z.string(), namespace: z.string().exactOptional(), zone: z.string().exactOptional() });
const rotation = z.strictObject({ rotate: z.enum(["leaves", "root"]).exactOptional() });
const LARGEST_REQUEST_BYTES = 64 * 1024;

/** Listens on `socketPath`. Rejects when a mesh answers there already. */
export async function startApiServer(socketPath: string, folder: string, answers: ApiAnswers): Promise<ApiServer> {
  await refuseSecondMesh(socketPath, folder);
  await rm(socketPath, { force: true });
  const server = createServer((request, response) => {
    answer(request, answers).then(
      (value) => send(response, 200, value),
      (error: Error) => send(response, error instanceof RequestRefused ? 400 : 500, { error: error.message }),
    );
  });
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, resolve);
  });
  await chmod(socketPath, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Rejects when a mesh answers on `socketPath`. */
export async function refuseSecondMesh(socketPath: string, folder: string): Promise<void> {
  if (await answersOn(socketPath)) throw new Error(`a mesh already runs for ${folder}. Fix: end it first (Ctrl-C in its terminal), or look at it with weft ps`);
}

async function answer(request: IncomingMessage, answers: ApiAnswers): Promise<unknown> {
  switch (`${request.method} ${request.url}`) {
    case "GET /ps":
      return answers.ps(undefined);
    case "GET /ready":
      return answers.ready(undefined);
    case "POST /stop":
      return answers.stop(await readBody(request, selection));
    case "POST /start":
      return answers.start(await readBody(request, selection));
    case "POST /certificates":
      return answers.certificates(await readBody(request, rotation));
    default:
      throw new RequestRefused(`no such request: ${request.method} ${request.url}; is this weft older than the one asking?`);
  }
}

async function readBody<Body>(request: IncomingMessage, body: z.ZodType<Body>): Promise<Body> {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > LARGEST_REQUEST_BYTES) throw new RequestRefused("the request is too large");
  }
  const parsed = body.safeParse(JSON.parse(text));
  if (!parsed.success) throw new RequestRefused(z.prettifyError(parsed.error));
  return parsed.data;
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
