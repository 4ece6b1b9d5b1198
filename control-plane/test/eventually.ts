// Awaiting what becomes true in unit tests.
import { vi } from "vitest";

/** Until `check` throws no longer. The limit bounds a failure, it measures nothing. */
export function eventually(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 20_000, interval: 5 });
}
