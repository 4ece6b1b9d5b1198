// Asks the running mesh of a folder from another process, over the Unix socket in its state folder.
import { request } from "node:http";
import type { RunnerApi } from "./api.ts";
import { socketPathOf, stateFolderOf } from "./state-folder.ts";

type Arguments<Name extends keyof RunnerApi> = RunnerApi[Name]["request"] extends undefined ? [] : [body: RunnerApi[Name]["request"]];

/**
 * One request to the mesh that runs for `folder`: `callRunner(folder, "stop", { workload: "order-history-a" })`.
 * Rejects with what is wrong and what to do: no such folder, no mesh runs for it, or the mesh refuses (its own words).
 */
export async function callRunner<Name extends keyof RunnerApi>(folder: string, name: Name, ...[body]: Arguments<Name>): Promise<RunnerApi[Name]["answer"]> {
  const stateFolder = await stateFolderOf(folder).catch(() => {
    throw new Error(`there is no folder ${folder}. Fix: name the folder that weft up runs, with --dir`);
  });
  return callRunnerAt(await socketPathOf(stateFolder), folder, name, body);
}

/** The same where the socket is known already; `folder` is named in messages. */
export async function callRunnerAt<Name extends keyof RunnerApi>(
  socketPath: string,
  folder: string,
  name: Name,
  body: RunnerApi[Name]["request"],
): Promise<RunnerApi[Name]["answer"]> {
  const { status, text } = await ask(socketPath, name, body).catch((error) => {
    if (isAbsent(error)) throw new Error(`no mesh runs for ${folder}. Fix: start it with weft up ${folder}`);
    throw error;
  });
  const answer = JSON.parse(text);
  if (status !== 200) throw new Error(answer.error);
  return answer;
}

/** Whether a mesh answers on a socket. */
export async function answersOn(socketPath: string): Promise<boolean> {
  try {
    await ask(socketPath, "ps", undefined);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ECONNREFUSED" || error.code === "ENOTSOCK");
}

function ask(socketPath: string, name: string, body: unknown): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? "GET" : "POST";
    const call = request({ socketPath, path: `/${name}`, method, headers: { "content-type": "application/json" } }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
