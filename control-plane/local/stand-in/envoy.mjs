#!/usr/bin/env node
// Stands for Envoy in tests of the runner: its admin port answers, and that is all.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { admin } = JSON.parse(readFileSync(process.argv[process.argv.indexOf("-c") + 1], "utf8"));
const { address, port_value: port } = admin.address.socket_address;
createServer((request, response) => response.end(request.url.startsWith("/stats") ? '{"stats":[]}' : "LIVE\n")).listen(port, address);
