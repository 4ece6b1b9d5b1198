// Ends the processes of a mesh should the runner be killed without a chance to do so: a shell that reads from a pipe whose other end only the runner holds.
import { spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export interface Guard {
  /** The process group that `pid` leads is to end when the runner does. */
  readonly watch: (pid: number) => void;
  /** It has ended. */
  readonly release: (pid: number) => void;
  /** Resolves when the guard has ended, nothing being left to watch. */
  readonly close: () => Promise<void>;
}

/** `+ PID` and `- PID` come in; at the end of the input, which comes when the runner is gone, what is left is asked to end, and made to a while later. */
const SCRIPT = `
trap '' INT TERM HUP
left=' '
while read -r change pid; do
  case $change in
    +) left="$left$pid " ;;
    -) left="\${left%% $pid *} \${left#* $pid }" ;;
  esac
done
for pid in $left; do kill -TERM "-$pid" 2>/dev/null; done
tries=20
while [ $tries -gt 0 ]; do
  alive=
  for pid in $left; do kill -0 "-$pid" 2>/dev/null && alive=yes; done
  [ -n "$alive" ] || exit 0
  sleep 0.1
  tries=$((tries - 1))
done
for pid in $left; do kill -KILL "-$pid" 2>/dev/null; done
`;

/** Starts the guard, in a group of its own: a signal from the terminal must not end it first. Its process id is left in `pidPath`. */
export function startGuard(pidPath: string): Guard {
  const child = spawn("sh", ["-c", SCRIPT, "weft-guard"], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
  const closed = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  // Without a guard the mesh still runs, and still ends in order.
  child.stdin.on("error", () => undefined);
  child.unref();
  if (child.pid !== undefined) writeFileSync(pidPath, String(child.pid), { mode: 0o600 });
  const watched = new Set<number>();
  return {
    watch: (pid) => {
      watched.add(pid);
      child.stdin.write(`+ ${pid}\n`);
    },
    release: (pid) => {
      if (watched.delete(pid)) child.stdin.write(`- ${pid}\n`);
    },
    close: async () => {
      // Nothing else may keep the runner alive by now: without this it would end before the promise does.
      child.ref();
      child.stdin.end();
      await closed;
      rmSync(pidPath, { force: true });
    },
  };
}

const GUARD_POLL_MS = 50;
const LONGEST_GUARD_MS = 5_000;

/** Waits until the guard of a runner that was killed has ended what it left behind: its Envoys hold the addresses that the next ones need. */
export async function awaitFormerGuard(pidPath: string): Promise<void> {
  const endMs = performance.now() + LONGEST_GUARD_MS;
  while (performance.now() < endMs && isGuard(pidPath)) await sleep(GUARD_POLL_MS);
}

/** Whether the process that is named there still runs, and is not another one that was given its number. */
function isGuard(pidPath: string): boolean {
  try {
    const pid = Number(readFileSync(pidPath, "utf8"));
    if (!(pid > 0)) return false;
    process.kill(pid, 0);
    return process.platform !== "linux" || readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("weft-guard");
  } catch {
    return false;
  }
}
