import { defineConfig } from "vitest/config";

/** `npm test` runs everything but the slow suites (`*.slow.test.ts`); `npm run test:all` runs those too. */
export default defineConfig({
  test: {
    include: ["filter/**/*.test.ts", "control-plane/**/*.test.ts", "envoy/**/*.test.ts", "kind-cluster/**/*.test.ts"],
    exclude: ["**/node_modules/**", ...(process.env.WEFT_SLOW === "1" ? [] : ["**/*.slow.test.ts"])],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    maxWorkers: 2,
  },
});
