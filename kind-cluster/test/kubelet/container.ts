// One container as a process: the pod's network, a file system of its own over this machine's, its user and capabilities, its volumes and environment.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fchownSync, openSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runTool } from "../../../control-plane/local/isolation/commands.ts";
import type { Container, Image, Pod } from "./objects.ts";

export interface ContainerPlace {
  /** Of `ip netns`. */
  readonly networkNamespace: string;
  /** Of the pod on this machine; volumes are in it. */
  readonly folder: string;
  readonly logPath: string;
}

export interface RunningContainer {
  /** The exit code; that of a signal is 128 and more. */
  readonly ended: Promise<number>;
  readonly isRunning: () => boolean;
  readonly kill: (signal: NodeJS.Signals) => void;
  /** Runs a program in the container. Rejects when it fails. */
  readonly exec: (command: readonly string[]) => Promise<string>;
}

/**
 * Makes the container's root (a layer over this machine's files, thrown away with the process), puts the image's files and the volumes in it, and becomes the
 * program. Everything that is mounted is gone when the process is: the mounts are in its own namespace, which `ip netns exec` has made.
 */
const ENTER = `set -e
echo "$HOSTNAME" > /proc/sys/kernel/hostname
mount -t tmpfs tmpfs "$LAYER"; mkdir "$LAYER/upper" "$LAYER/work" "$LAYER/root"; cd "$LAYER"
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
awk -v root="$(awk '$5 == "/" {print $1}' /proc/self/mountinfo | tail -1)" '$2 == root && $5 != "/" {print $5}' /proc/self/mountinfo | while read -r mounted; do
  case "$mounted" in /run|/run/*|/tmp|/tmp/*) continue;; esac
  mount --rbind "$mounted" "root$mounted" 2>/dev/null || true
done
while [ "$1" != -- ]; do
  inside="root$(realpath -m "$2")"
  if [ -d "$1" ]; then mkdir -p "$inside"; else mkdir -p "$(dirname "$inside")"; : > "$inside"; fi
  mount --rbind "$1" "$inside"; shift 2
done
shift
if [ "$READ_ONLY" = true ]; then mount -o remount,bind,ro root; fi
directory=$DIRECTORY; unset LAYER READ_ONLY DIRECTORY
exec chroot root sh -c 'cd "$1"; shift; exec "$@"' sh "$directory" "$@"`;

/** Starts a container. `env` is complete; mounts are paths on this machine by path in the container. */
export async function startContainer(
  pod: Pod,
  container: Container,
  image: Image,
  place: ContainerPlace,
  env: Readonly<Record<string, string>>,
  mounts: Readonly<Record<string, string>>,
): Promise<RunningContainer> {
  const layer = join(place.folder, "layers", container.name);
  await mkdir(layer, { recursive: true });
  await mkdir(dirname(place.logPath), { recursive: true });
  const log = openSync(place.logPath, "a");
  // So that the program may open /dev/stdout by its name. Source: runc, fixStdioPermissions.
  fchownSync(log, userOf(pod, container, image), 0);
  const program = [...(container.command ?? image.entrypoint), ...(container.args ?? [])].map((word) => expand(word, env));
  const files = Object.entries({ ...image.files, ...mounts }).flatMap(([inside, outside]) => [outside, inside]);
  const child = spawn(
    "ip",
    [
      "netns",
      "exec",
      place.networkNamespace,
      "unshare",
      "--uts",
      "sh",
      "-c",
      ENTER,
      container.name,
      ...files,
      "--",
      "setpriv",
      ...privileges(pod, container, image),
      ...program,
    ],
    {
      // A group of its own, so that what it starts ends with it.
      detached: true,
      stdio: ["ignore", log, log],
      env: {
        PATH: process.env.PATH,
        HOME: "/",
        ...env,
        LAYER: layer,
        DIRECTORY: container.workingDir ?? image.workingDir ?? "/",
        READ_ONLY: String(container.securityContext?.readOnlyRootFilesystem ?? false),
      },
    },
  );
  closeSync(log);
  const ended = new Promise<number>((resolve) => {
    child.once("error", () => resolve(127));
    child.once("exit", (code) => {
      signalGroup(child, "SIGKILL");
      resolve(code ?? 137);
    });
  });
  return {
    ended,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    kill: (signal) => signalGroup(child, signal),
    exec: (command) => runTool("nsenter", ["--target", String(child.pid), "--mount", "--net", "--uts", "--root", "--", ...command]),
  };
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // It is gone already.
  }
}

/** The image's user counts where the pod says none. */
function userOf(pod: Pod, { securityContext = {} }: Container, image: Image): number {
  return securityContext.runAsUser ?? pod.spec.securityContext?.runAsUser ?? image.user ?? 0;
}

/** Arguments of setpriv. */
function privileges(pod: Pod, container: Container, image: Image): readonly string[] {
  const { securityContext = {} } = container;
  const user = userOf(pod, container, image);
  const group = securityContext.runAsGroup ?? pod.spec.securityContext?.runAsGroup ?? (user === 0 ? 0 : user);
  const { add = [], drop = [] } = securityContext.capabilities ?? {};
  const kept = drop.includes("ALL") ? [`--bounding-set=${["-all", ...add.map((name) => `+${name.toLowerCase()}`)].join(",")}`] : [];
  const fixed = securityContext.allowPrivilegeEscalation === false ? ["--no-new-privs"] : [];
  return [`--reuid=${user}`, `--regid=${group}`, "--clear-groups", ...kept, ...fixed, "--"];
}

/** `$(NAME)` as Kubernetes expands it; what is not set stays as it is, and `$$` is a dollar. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g, (whole, name: string | undefined) => (name === undefined ? "$" : (env[name] ?? whole)));
}
