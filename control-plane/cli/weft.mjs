#!/usr/bin/env node
// The `weft` command. Plain JavaScript, since it must be able to say what is missing: an old Node, or the packages of a fresh clone.
// Then it hands over to main.ts, which tsx translates as it is loaded.
const OLDEST = { major: 20, minor: 19 };

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < OLDEST.major || (major === OLDEST.major && minor < OLDEST.minor)) {
  process.stderr.write(`weft needs Node ${OLDEST.major}.${OLDEST.minor} or newer; this is ${process.versions.node} (${process.execPath}).\n`);
  process.exit(1);
}

try {
  const { register } = await import("tsx/esm/api");
  register();
} catch (error) {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  process.stderr.write(
    "weft: its packages are not installed. Run `npm ci` in the project's folder; `npm run setup` also fetches Envoy and builds the filter.\n",
  );
  process.exit(1);
}
const { main } = await import("./main.ts");
await main(process.argv.slice(2));
