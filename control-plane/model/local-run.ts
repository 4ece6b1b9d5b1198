// LocalRun: Weft's own kind, read only on a laptop: what stands for each container image (a local command, or declared answers), and which workloads
// somebody runs by hand.
import { z } from "zod";
import { durationMs, stringMap } from "./fields.ts";

/** One declared answer of a stub. The first whose method and path match is given. */
const stubResponse = z.strictObject({
  /** Default: every method. */
  method: z
    .string()
    .regex(/^[A-Z]+$/, { error: "a method is written in capitals, as GET" })
    .exactOptional(),
  /** The whole path without its query, or the beginning of it before a closing `*`. */
  path: z.string().startsWith("/", { error: "a path begins with /" }).default("/*"),
  status: z.int().min(200).max(599).default(200),
  headers: stringMap.default({}),
  /** Text as it is; anything else is sent as JSON. `${POD_NAME}` and the other variables of `command` are expanded. */
  body: z.json().default(""),
  /** How long the caller waits for it. */
  delay: durationMs.default(0),
});

const localImage = z
  .strictObject({
    /** An image of a Deployment. Without a tag it stands for every tag; a tagged entry wins over an untagged one. */
    image: z.string().min(1),
    /** Program and arguments. `${PORT}` (the first port; `${PORT:NAME}` another), `${POD_IP}`, `${POD_NAME}`, `${NAMESPACE}`, `${ZONE}`, `${IMAGE_TAG}` and `${service:NAME[.NAMESPACE][:PORT]}` (`host:port` of that service as seen by this instance) are expanded, here and in `env`. */
    command: z.array(z.string()).min(1).exactOptional(),
    /** Declared answers instead of a program: a small server of Weft's own gives them, without a sidecar. */
    stub: z.array(stubResponse).min(1).exactOptional(),
    /** Working directory, relative to the file. Default: the file's own folder. */
    directory: z.string().default("."),
    /** Added to the container's environment; wins over the Deployment's `env`. */
    env: stringMap.default({}),
  })
  .refine(({ command, stub }) => (command === undefined) !== (stub === undefined), { error: "an image has either a command or a stub" });

const address = z
  .string()
  .regex(/^(?:(?:\d{1,3}(?:\.\d{1,3}){3}|localhost|\[::1\]):)?\d{1,5}$/, { error: "expected an address of this machine with a port, such as 127.0.0.1:3000" })
  .transform((text): { readonly address: string; readonly port: number } => {
    const [, host = "localhost", port = ""] = /^(?:(.*):)?(\d+)$/.exec(text) ?? [];
    return { address: host === "localhost" ? "127.0.0.1" : host.replace(/^\[|\]$/g, ""), port: Number(port) };
  });

/** `header:NAME=VALUE`: the requests that bear exactly this header. */
const intercept = z
  .string()
  .regex(/^header:[!#$%&'*+.^_`|~0-9A-Za-z-]+=[\t -~]+$/, { error: "expected header:NAME=VALUE, such as header:x-dev=alice" })
  .transform((text): { readonly header: string; readonly value: string } => {
    const [, header = "", value = ""] = /^header:([^=]+)=(.*)$/.exec(text) ?? [];
    return { header: header.toLowerCase(), value };
  });

/** One program that somebody runs by hand, in an editor or a debugger: it joins its workload while its port is open. */
const attachment = z.strictObject({
  /** The Deployment that it is a copy of, `NAME` or `NAME.NAMESPACE`. */
  workload: z.string().min(1),
  /** Where it listens; it stands for the workload's first port. */
  attach: address,
  /** Over the workload's own: they make it a member of a subset. */
  labels: stringMap.default({}),
  /** Default: the workload's first zone. */
  zone: z.string().exactOptional(),
  /** Only these requests go to it, and no others; without it, it is one copy among the others. */
  intercept: intercept.exactOptional(),
});

export const localRunSpec = z.strictObject({ images: z.array(localImage).default([]), attach: z.array(attachment).default([]) });

export type LocalRunSpec = z.output<typeof localRunSpec>;
export type LocalImage = z.output<typeof localImage>;
export type StubResponse = z.output<typeof stubResponse>;
export type Attachment = z.output<typeof attachment>;
