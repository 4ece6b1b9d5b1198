// Colours for a terminal, and plain text for everything else.

/** Each function marks a text; without colours it returns it unchanged. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
}

/** Style of an output: colours only on a terminal, and not where NO_COLOR is set (https://no-color.org) or the terminal is dumb. */
export function styleOf(output: { readonly isTTY?: boolean }, env: Readonly<Record<string, string | undefined>>): Style {
  return output.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb" ? COLOURED : PLAIN;
}

const as = (open: number, close: number) => (text: string) => `\u001b[${open}m${text}\u001b[${close}m`;
const unchanged = (text: string): string => text;

const COLOURED: Style = { bold: as(1, 22), dim: as(2, 22), red: as(31, 39), green: as(32, 39), yellow: as(33, 39), cyan: as(36, 39) };

/** No marks at all. */
export const PLAIN: Style = { bold: unchanged, dim: unchanged, red: unchanged, green: unchanged, yellow: unchanged, cyan: unchanged };
