// Which program of this machine stands for which image: what each Dockerfile copies and runs.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Image } from "./kubelet/objects.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const NODE = { "/usr/local/bin/node": process.execPath };
const NODE_USER = 1_000;

/** A program of a demo, as its folder's Dockerfile builds it. */
function demo(folder: string, program: string, env: Readonly<Record<string, string>> = {}): Image {
  const source = join(ROOT, "examples", folder);
  return {
    files: { ...NODE, "/app/serve.mjs": join(source, "serve.mjs"), "/app/program": join(source, program) },
    workingDir: "/app",
    entrypoint: ["/usr/local/bin/node", "program/server.mjs"],
    user: NODE_USER,
    env,
  };
}

/** By the image's name, without registry and tag. */
const IMAGES: Readonly<Record<string, (tag: string) => Image>> = {
  "order-history": () => demo("shop", "order-history"),
  product: () => demo("shop", "product"),
  color: (tag) => demo("blue-green", "color", { COLOR: tag }),
  page: () => demo("blue-green", "page"),
};

/** Throws for an image that nothing stands for. */
export function imageOf(image: string): Image {
  const [, name = image, tag = "latest"] = /([^/:@]+)(?::([^@]+))?(?:@.*)?$/.exec(image) ?? [];
  const found = IMAGES[name];
  if (found === undefined) throw new Error(`no program stands for the image ${image}; kind-cluster/test/images.ts has ${Object.keys(IMAGES).join(", ")}`);
  return found(tag);
}
