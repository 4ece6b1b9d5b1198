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

/** The official image; what it runs is the Envoy of `envoy/install.ts`. */
function envoy(binary: string): Image {
  return { files: { "/usr/local/bin/envoy": binary }, entrypoint: ["/usr/local/bin/envoy"] };
}

/** What kind-cluster/images/control-plane.Dockerfile copies, and nothing else. */
const CONTROL_PLANE: Image = {
  files: {
    ...NODE,
    ...Object.fromEntries(
      ["package.json", "asconfig.json", "tsconfig.json", "node_modules", "filter", "control-plane", "envoy/bootstrap.ts", "envoy/metrics-sink.ts"].map(
        (path) => [`/app/${path}`, join(ROOT, path)],
      ),
    ),
  },
  workingDir: "/app",
  entrypoint: ["/usr/local/bin/node", "--import", "tsx", "control-plane/kubernetes/main.ts"],
  env: { NODE_ENV: "production" },
  user: NODE_USER,
};

/** The init container's image is a shell and iptables, which this machine has. */
const SHELL: Image = { files: {}, entrypoint: ["/bin/sh"] };

/** Programs by the image's name, without registry and tag. Throws for an image that nothing stands for. `envoyBinary`: the path of an Envoy. */
export function createImages(envoyBinary: string): (image: string) => Image {
  const images: Readonly<Record<string, (tag: string) => Image>> = {
    "order-history": () => demo("shop", "order-history"),
    product: () => demo("shop", "product"),
    color: (tag) => demo("blue-green", "color", { COLOR: tag }),
    page: () => demo("blue-green", "page"),
    // Of Argo Rollouts' own manifests: something that answers at port 80, with the pod's name. It goes on for a while when it is told to end, as a program of a
    // cluster must where its pod has no preStop hook: on a busy machine its callers hear of it later than that.
    nginx: () => ({ ...demo("blue-green", "color", { PORT: "80", DRAIN_MS: "4000" }), user: 0 }),
    // Of the tests' own meshes: says what reached it.
    echo: (tag) => ({
      files: { ...NODE, "/app/echo.mjs": join(ROOT, "envoy", "e2e", "meshes", "parity", "echo.mjs") },
      entrypoint: ["/bin/sh", "-c", 'POD_NAME="$HOSTNAME" exec /usr/local/bin/node /app/echo.mjs'],
      env: { PORT: "8080", POD_IP: "0.0.0.0", VERSION: tag },
      user: NODE_USER,
    }),
    envoy: () => envoy(envoyBinary),
    "weft-iptables": () => SHELL,
    "weft-control-plane": () => CONTROL_PLANE,
  };
  return (image) => {
    const [, name = image, tag = "latest"] = /([^/:@]+)(?::([^@]+))?(?:@.*)?$/.exec(image) ?? [];
    const found = images[name];
    if (found === undefined) throw new Error(`no program stands for the image ${image}; kind-cluster/test/images.ts has ${Object.keys(images).join(", ")}`);
    return found(tag);
  };
}
