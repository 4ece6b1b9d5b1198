// Measurements of several sizes as one SVG: small panels side by side, each one figure over the number of services, on logarithmic axes. Pure.
import type { Measurement } from "./measure.ts";

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly of: (measurement: Measurement) => number;
}

const PANELS: readonly Panel[] = [
  { title: "first sync of all streams", unit: "s", of: ({ firstSync }) => firstSync.elapsedMs / 1_000 },
  { title: "one weight, last stream", unit: "ms", of: ({ weightChange }) => weightChange.elapsedMs },
  { title: "one weight, CPU", unit: "s", of: ({ weightChange }) => weightChange.cpuSeconds },
  { title: "first sync, per stream", unit: "kB", of: ({ firstSync }) => firstSync.medianBytes / 1_000 },
  { title: "one weight, per stream", unit: "kB", of: ({ weightChange }) => weightChange.medianBytes / 1_000 },
  { title: "memory, steady", unit: "MB", of: ({ memoryMb }) => memoryMb.steady },
];

const [WIDTH, HEIGHT, COLUMNS, MARGIN] = [300, 220, 3, 48];

/** The plot; equal measurements give equal text. */
export function growthPlot(measurements: readonly Measurement[]): string {
  const rows = Math.ceil(PANELS.length / COLUMNS);
  const panels = PANELS.map((panel, index) => {
    const [x, y] = [(index % COLUMNS) * WIDTH, Math.floor(index / COLUMNS) * HEIGHT];
    return `<g transform="translate(${x} ${y})">${panelOf(panel, measurements)}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH * COLUMNS} ${HEIGHT * rows}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
${panels.join("\n")}
</svg>
`;
}

function panelOf({ title, unit, of }: Panel, measurements: readonly Measurement[]): string {
  const points = measurements.map((measurement) => ({ services: measurement.size.services, value: Math.max(of(measurement), 1e-3) }));
  const across = scaleOf(
    points.map(({ services }) => services),
    MARGIN,
    WIDTH - 20,
  );
  const up = scaleOf(
    points.map(({ value }) => value),
    HEIGHT - MARGIN,
    44,
  );
  const line = points.map(({ services, value }) => `${across(services).toFixed(1)},${up(value).toFixed(1)}`).join(" ");
  const marks = points.map(
    ({ services, value }) =>
      `<circle cx="${across(services).toFixed(1)}" cy="${up(value).toFixed(1)}" r="3" fill="#1b5e9b"/>` +
      `<text x="${across(services).toFixed(1)}" y="${(up(value) - 8).toFixed(1)}" text-anchor="middle">${figure(value)}</text>` +
      `<text x="${across(services).toFixed(1)}" y="${HEIGHT - MARGIN + 18}" text-anchor="middle" fill="#666">${services}</text>`,
  );
  return [
    `<text x="${WIDTH / 2}" y="20" text-anchor="middle" font-weight="bold">${title} (${unit})</text>`,
    `<line x1="${MARGIN - 14}" y1="${HEIGHT - MARGIN + 4}" x2="${WIDTH - 8}" y2="${HEIGHT - MARGIN + 4}" stroke="#ccc"/>`,
    `<polyline points="${line}" fill="none" stroke="#1b5e9b" stroke-width="1.5"/>`,
    ...marks,
  ].join("");
}

/** From a value to its place between `from` and `to`; a lone value stands in the middle. */
function scaleOf(values: readonly number[], from: number, to: number): (value: number) => number {
  const [low, high] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))];
  return (value) => (high - low < 0.05 ? (from + to) / 2 : from + ((Math.log(value) - low) / (high - low)) * (to - from));
}

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(2);
}
