// `npm run fuzz [-- ROUNDS]`: the differential tests with random seeds, round after round, until one finds a disagreement or all rounds are done.
// A seed that found one is printed; WEFT_SEED=NUMBER repeats it.
import { spawnSync } from "node:child_process";

const TESTS = ["envoy/e2e/explain-differential", "envoy/e2e/simulate-differential", "envoy/e2e/simulate-sticky"];

const rounds = Number(process.argv[2] ?? 10);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error("Write how many rounds: npm run fuzz -- 10");
  process.exit(2);
}
for (let round = 1; round <= rounds; round++) {
  const seed = process.env.WEFT_SEED ?? String(Math.floor(Math.random() * 2 ** 32));
  console.log(`round ${round} of ${rounds}, seed ${seed}`);
  const { status } = spawnSync("npx", ["vitest", "run", ...TESTS], { stdio: "inherit", env: { ...process.env, WEFT_SLOW: "1", WEFT_SEED: seed } });
  if (status !== 0) {
    console.error(`Seed ${seed} found a disagreement. Repeat it: WEFT_SEED=${seed} npm run fuzz -- 1`);
    process.exit(1);
  }
}
