// Plays users who ask /color again and again, each under its own `x-user` name, and shows who got what.
// Settings in the address: ?users=100&interval=1000 (milliseconds between two requests of a user) &concurrency=12 (requests under way at once).
// `window.weftCounts` holds the figures for a program to read; `changed` and `moves` count from the last "New phase" on.
const settings = {
  users: setting("users", 100, 1, 1000),
  intervalMs: setting("interval", 1000, 50, 60_000),
  concurrency: setting("concurrency", 12, 1, 64),
};
const WINDOW_MS = 3_000;
const TIMEOUT_MS = 10_000;
const RENDER_MS = 250;
const SUMMARY_MS = 5_000;

/** A user: the last answer, and how often the version has changed since the phase began and since the page was opened. */
const users = Array.from({ length: settings.users }, (_, index) => ({
  name: `user-${String(index + 1).padStart(3, "0")}`,
  color: undefined,
  version: undefined,
  failed: false,
  phaseMoves: 0,
  moves: 0,
}));
const totals = { requests: 0, errors: 0, colors: new Map(), versions: new Map(), kinds: new Map() };
const recent = [];
const waiting = [];
let inFlight = 0;
let running = true;
let lastError;

function setting(name, fallback, least, most) {
  const value = Number(new URLSearchParams(location.search).get(name) ?? fallback);
  return Number.isInteger(value) && value >= least && value <= most ? value : fallback;
}

// Asking

async function play(user, startMs) {
  for (let dueMs = startMs; ; dueMs = Math.max(dueMs + settings.intervalMs, performance.now())) {
    await new Promise((resolve) => setTimeout(resolve, dueMs - performance.now()));
    await turn();
    try {
      note(user, await ask(user.name));
    } catch (error) {
      noteError(user, error);
    }
    inFlight -= 1;
    wakeNext();
  }
}

/** Waits until a request may start: the page is not paused and fewer than `concurrency` are under way. */
function turn() {
  return new Promise((resolve) => {
    waiting.push(resolve);
    wakeNext();
  });
}

function wakeNext() {
  while (running && inFlight < settings.concurrency && waiting.length > 0) {
    inFlight += 1;
    waiting.shift()();
  }
}

async function ask(name) {
  const response = await fetch("color", { headers: { "x-user": name }, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const body = await response.text();
  if (!response.ok) throw new Error(`status ${response.status}: ${body.slice(0, 120)}`);
  const { color, version } = JSON.parse(body);
  if (typeof color !== "string") throw new Error(`an answer without a color: ${body.slice(0, 120)}`);
  return { color, version: version ?? color };
}

// Counting

function note(user, { color, version }) {
  totals.requests += 1;
  add(totals.colors, color);
  add(totals.versions, version);
  const kind = `${version}|${color}`;
  add(totals.kinds, kind);
  recent.push({ atMs: performance.now(), kind });
  if (user.version !== undefined && user.version !== version) {
    user.moves += 1;
    user.phaseMoves += 1;
  }
  Object.assign(user, { color, version, failed: false });
}

function noteError(user, error) {
  totals.requests += 1;
  totals.errors += 1;
  recent.push({ atMs: performance.now(), kind: undefined });
  user.failed = true;
  lastError = `${user.name}: ${error.name === "TimeoutError" ? `no answer within ${TIMEOUT_MS / 1000} s` : error.message}`;
}

function add(counts, key) {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

const sum = (numberOf) => users.reduce((total, user) => total + numberOf(user), 0);

function counts() {
  const answered = users.filter((user) => user.version !== undefined);
  return {
    users: users.length,
    requests: totals.requests,
    blue: totals.colors.get("blue") ?? 0,
    green: totals.colors.get("green") ?? 0,
    errors: totals.errors,
    colors: Object.fromEntries(totals.colors),
    versions: Object.fromEntries(totals.versions),
    changed: sum((user) => (user.phaseMoves > 0 ? 1 : 0)),
    moves: sum((user) => user.phaseMoves),
    changedEver: sum((user) => (user.moves > 0 ? 1 : 0)),
    userVersions: Object.fromEntries(answered.map((user) => [user.name, user.version])),
    userColors: Object.fromEntries(answered.map((user) => [user.name, user.color])),
    recent: Object.fromEntries(recentShares().map(({ version, color, share }) => [`${version} ${color}`, share])),
    inFlight,
    running,
  };
}
Object.defineProperty(window, "weftCounts", { get: counts });

// Showing

const element = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const number = new Intl.NumberFormat("en");

const tiles = users.map((user) => {
  const tile = document.createElement("li");
  const version = document.createElement("small");
  tile.append(user.name.slice("user-".length), version);
  element("users").append(tile);
  return { tile, version, shown: "" };
});

function showTile(user, entry) {
  const now = `${user.color}|${user.version}|${user.failed}|${user.phaseMoves}`;
  if (now === entry.shown) return;
  entry.shown = now;
  const { tile, version } = entry;
  if (user.color !== undefined) tile.dataset.color = user.color;
  tile.dataset.moves = String(user.phaseMoves);
  tile.classList.toggle("hatched", user.version !== undefined && user.version !== "stable");
  tile.classList.toggle("moved", user.phaseMoves > 0);
  tile.classList.toggle("failed", user.failed);
  version.textContent = user.failed ? "error" : (user.version ?? "");
  const moved = user.phaseMoves > 0 ? `, changed version ${user.phaseMoves === 1 ? "once" : `${user.phaseMoves} times`}` : "";
  tile.title = `${user.name}: ${user.failed ? "error" : `${user.color}, ${user.version}`}${moved}`;
}

/** The answers of the last seconds by kind (`version|color`), in the order of their names with stable first. */
function recentShares() {
  const kinds = [...totals.kinds.keys()].sort((a, b) => Number(b.startsWith("stable|")) - Number(a.startsWith("stable|")) || (a < b ? -1 : 1));
  const answered = recent.filter(({ kind }) => kind !== undefined).length;
  return kinds.map((kind) => {
    const [version, color] = kind.split("|");
    const count = recent.filter((answer) => answer.kind === kind).length;
    return { kind, version, color, share: answered === 0 ? 0 : count / answered, total: totals.kinds.get(kind) };
  });
}

function showShares(shares) {
  const bar = element("bar");
  for (const [index, { kind, version, color, share }] of shares.entries()) {
    let segment = [...bar.children].find((child) => child.dataset.kind === kind);
    if (segment === undefined) {
      segment = document.createElement("span");
      segment.dataset.kind = kind;
      segment.dataset.color = color;
      segment.classList.toggle("hatched", version !== "stable");
    }
    if (bar.children[index] !== segment) bar.insertBefore(segment, bar.children[index] ?? null);
    segment.style.flexGrow = String(share);
    segment.hidden = share === 0;
  }
  element("legend").replaceChildren(...shares.map(legendEntry));
}

function legendEntry({ version, color, share, total }) {
  const swatch = document.createElement("i");
  swatch.className = version === "stable" ? "swatch" : "swatch hatched";
  swatch.dataset.color = color;
  const strong = document.createElement("strong");
  strong.textContent = percent(share);
  const entry = document.createElement("li");
  entry.append(swatch, `${version}, ${color} `, strong, `, ${number.format(total)} in all`);
  return entry;
}

function forget(beforeMs) {
  const kept = recent.findIndex(({ atMs }) => atMs >= beforeMs);
  recent.splice(0, kept === -1 ? recent.length : kept);
}

function render() {
  // A paused page keeps showing the last seconds before the pause.
  if (running || inFlight > 0) forget(performance.now() - WINDOW_MS);
  const now = counts();
  for (const id of ["requests", "blue", "green", "errors", "changed", "moves"]) element(id).textContent = number.format(now[id]);
  element("rate").textContent = number.format(Math.round(recent.length / (Math.min(WINDOW_MS, Math.max(1_000, performance.now())) / 1_000)));
  element("errors").parentElement.classList.toggle("alarm", now.errors > 0);
  element("last-error").hidden = lastError === undefined;
  if (lastError !== undefined) element("last-error").textContent = `Last error: ${lastError}`;
  element("who").textContent = whoGetsWhat();
  element("whether").textContent = totals.requests === 0 ? "\u00a0" : whetherTheyKeepIt();
  showShares(recentShares());
  for (const [index, user] of users.entries()) showTile(user, tiles[index]);
}

/** Who gets what now, in words. */
function whoGetsWhat() {
  const groups = new Map();
  for (const { version, color } of users) if (version !== undefined) add(groups, `${version} (${color})`);
  if (groups.size === 0) return totals.errors > 0 ? "Every answer so far was an error." : "Waiting for the first answers.";
  const order = [...groups].sort(([a], [b]) => Number(b.startsWith("stable ")) - Number(a.startsWith("stable ")) || (a < b ? -1 : 1));
  const [[first, count], ...others] = order;
  if (count === users.length) return `All ${count} users get ${first}.`;
  return `${[`${count} ${count === 1 ? "user gets" : "users get"} ${first}`, ...others.map(([name, some]) => `${some} ${name}`)].join(", ")}.`;
}

/** Whether users keep their version, in words. */
function whetherTheyKeepIt() {
  const { changed, moves } = counts();
  const failed = users.filter((user) => user.failed).length;
  const errors = failed > 0 ? ` The last answer of ${failed} was an error.` : "";
  if (changed === 0) return `Nobody has changed version.${errors}`;
  if (changed === moves) return `${changed} changed version, once each; everyone else keeps theirs.${errors}`;
  return `${changed} changed version, ${number.format(moves)} times in all: they do not keep it.${errors}`;
}

function summarize() {
  const shares = recentShares().filter(({ share }) => share > 0);
  const parts = shares.map(({ version, color, share }) => `${version}, ${color}: ${percent(share)}`);
  element("summary").textContent = `${whoGetsWhat()} ${whetherTheyKeepIt()} ${parts.join("; ")}`;
}

element("pause").addEventListener("click", () => {
  running = !running;
  element("pause").textContent = running ? "Pause" : "Resume";
  element("pause").setAttribute("aria-pressed", String(!running));
  wakeNext();
});
element("new-phase").addEventListener("click", () => {
  for (const user of users) user.phaseMoves = 0;
  render();
});
element("lead").append(` ${settings.users} users, one request every ${settings.intervalMs / 1_000} s each.`);

// Spread over the interval, so that the load is even from the start.
for (const [index, user] of users.entries()) play(user, (index / users.length) * settings.intervalMs);
setInterval(render, RENDER_MS);
setInterval(summarize, SUMMARY_MS);
