// `npm run docs:api`: writes docs/istio-api.md.
import { writeFile } from "node:fs/promises";
import { istioApiPage } from "./istio-api-page.ts";

await writeFile("docs/istio-api.md", istioApiPage());
