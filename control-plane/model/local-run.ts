// LocalRun: Weft's own kind, read only on a laptop: which local command stands for each container image.
import { z } from "zod";
import { stringMap } from "./fields.ts";

const localImage = z.strictObject({
  /** An image of a Deployment. Without a tag it stands for every tag; a tagged entry wins over an untagged one. */
  image: z.string().min(1),
  /** Program and arguments. `${PORT}` (the first port; `${PORT:NAME}` another), `${POD_IP}`, `${POD_NAME}`, `${NAMESPACE}`, `${ZONE}`, `${IMAGE_TAG}` and `${service:NAME[.NAMESPACE][:PORT]}` (`host:port` of that service as seen by this instance) are expanded, here and in `env`. */
  command: z.array(z.string()).min(1),
  /** Working directory, relative to the file. Default: the file's own folder. */
  directory: z.string().default("."),
  /** Added to the container's environment; wins over the Deployment's `env`. */
  env: stringMap.default({}),
});

export const localRunSpec = z.strictObject({ images: z.array(localImage).min(1) });

export type LocalRunSpec = z.output<typeof localRunSpec>;
export type LocalImage = z.output<typeof localImage>;
