import { defineConfig } from "vitest/config";

/** Tests on a real Kubernetes API server: a run of their own, since its programs are built first, and one file at a time. */
const KUBERNETES_TESTS = "kind-cluster/**/*.kubernetes.test.ts";
const onKubernetes = process.env.WEFT_KUBERNETES === "1";

/** `npm test` runs everything but the slow suites (`*.slow.test.ts`); `npm run test:all` runs those too, and `npm run test:kubernetes` those on Kubernetes. */
export default defineConfig({
  test: {
    include: onKubernetes ? [KUBERNETES_TESTS] : ["filter/**/*.test.ts", "control-plane/**/*.test.ts", "envoy/**/*.test.ts", "kind-cluster/**/*.test.ts"],
    exclude: ["**/node_modules/**", ...(onKubernetes ? [] : [KUBERNETES_TESTS]), ...(process.env.WEFT_SLOW === "1" ? [] : ["**/*.slow.test.ts"])],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    maxWorkers: onKubernetes ? 1 : 2,
  },
});
