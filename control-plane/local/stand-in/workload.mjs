// A workload of the runner's tests: says what it was given, answers on its port, and has a child of its own.
import { spawn } from "node:child_process";
import { createServer } from "node:http";

const child = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)"], { stdio: "ignore" });
const { POD_NAME, POD_IP, PORT, HTTP_PROXY, GREETING, ORDERS } = process.env;
createServer((_request, response) => response.end("ok")).listen(Number(PORT), POD_IP, () =>
  console.log(JSON.stringify({ pid: process.pid, child: child.pid, POD_NAME, POD_IP, PORT, HTTP_PROXY, GREETING, ORDERS })),
);
