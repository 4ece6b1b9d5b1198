// `npm run crds`: writes the CustomResourceDefinitions that the model gives into kind-cluster/crds/, and takes away what it no longer gives.
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { definitionTexts } from "../control-plane/kubernetes/crd/resource-definitions.ts";

const folder = join(import.meta.dirname, "crds");
const texts = definitionTexts();
for (const file of await readdir(folder)) if (!texts.has(file)) await rm(join(folder, file));
for (const [file, text] of texts) await writeFile(join(folder, file), text);
process.stdout.write(`${texts.size} definitions in kind-cluster/crds\n`);
