// All memory of the filter, laid out once; it never grows (asconfig.json: 32 pages, first and last).
//
// ┌ static data ┬ arena, 96 KiB ─────────┬ index, 48 KiB ────────┬ pool, 1 MiB ─────┬ page, 640 KiB ─────────┐
// │ literals    │ the host's replies to  │ record ids, see       │ parsed records   │ the explain answer     │
// │             │ one callback           │ cache.ts              │                  │                        │
// └─────────────┴────────────────────────┴───────────────────────┴──────────────────┴────────────────────────┘

const ARENA_BYTES: usize = 96 << 10;
const INDEX_BYTES: usize = 48 << 10;
const POOL_BYTES: usize = 1 << 20;
const PAGE_BYTES: usize = 640 << 10;

const arenaStart: usize = (__heap_base + 7) & ~7;
const arenaEnd: usize = arenaStart + ARENA_BYTES;
let arenaTop: usize = arenaStart;

/** Where cache.ts keeps its slots, zeroed at first. */
export const indexStart: usize = arenaEnd;
export const indexEnd: usize = indexStart + INDEX_BYTES;
/** Where cache.ts keeps parsed records. */
export const poolStart: usize = indexEnd;
export const poolEnd: usize = poolStart + POOL_BYTES;
/** Where explain.ts writes its answer: six times the arena, since JSON makes at most six bytes (`\u0000`) of one. */
export const pageStart: usize = poolEnd;
export const pageEnd: usize = pageStart + PAGE_BYTES;

/** Forgets what the host has replied so far. Every callback starts with it, so replies live exactly as long as one callback. */
export function rewind(): void {
  arenaTop = arenaStart;
}

/** Room for one reply of the host, or 0 when there is none: the host then fails its call with InvalidMemoryAccess, and nothing traps. */
export function allocate(size: usize): usize {
  if (size > arenaEnd - arenaTop) return 0;
  const start = arenaTop;
  arenaTop = min(arenaEnd, (start + size + 7) & ~7);
  return start;
}
