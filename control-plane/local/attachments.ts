// From LocalRun's `attach` to the instances that somebody runs by hand. Pure.
import type { Origin } from "../model/diagnostic.ts";
import type { Attachment } from "../model/local-run.ts";
import type { InstanceIdentity } from "./layout.ts";
import { localityIn, zoneShares } from "./placement.ts";
import type { Desired, DesiredWorkload } from "./protocol.ts";

/** One instance for each attachment of a workload that is there: `product-attached`, then `product-attached-2`. They come after the copies that are kept running. */
export function attachmentsOf(desired: Desired): readonly InstanceIdentity[] {
  const counts = new Map<DesiredWorkload, number>();
  return writtenAttachments(desired).flatMap((attachment): readonly InstanceIdentity[] => {
    const workload = attachedWorkload(attachment, desired.workloads);
    if (workload === undefined) return [];
    const count = (counts.get(workload) ?? 0) + 1;
    counts.set(workload, count);
    const zone = attachment.zone ?? zoneShares(workload.spec)[0]?.zone ?? "";
    return [
      {
        name: `${workload.name}-attached${count === 1 ? "" : `-${count}`}`,
        ordinal: FIRST_ORDINAL + count,
        workload: { ...workload, labels: { ...workload.labels, ...attachment.labels } },
        locality: localityIn(workload.spec, zone),
        role: { kind: "attached", attachment },
      },
    ];
  });
}

/** Above any number of replicas that a laptop runs. */
const FIRST_ORDINAL = 1_000_000;

/** An attachment that names no Deployment, and where it says so. */
interface UnknownAttachment {
  readonly attachment: Attachment;
  readonly origin: Origin;
}

/** Attachments that name no Deployment: they are left out. */
export function unknownAttachments({ localRuns, workloads }: Desired): readonly UnknownAttachment[] {
  return localRuns.flatMap(({ spec, attachOrigins = [] }) =>
    spec.attach.flatMap((attachment, index) => {
      const origin = attachOrigins[index];
      return origin === undefined || attachedWorkload(attachment, workloads) !== undefined ? [] : [{ attachment, origin }];
    }),
  );
}

/** Whether somebody runs a workload by hand, so that nothing else need stand for it. */
export function isAttached(workload: DesiredWorkload, desired: Desired): boolean {
  return writtenAttachments(desired).some((attachment) => attachedWorkload(attachment, desired.workloads) === workload);
}

function writtenAttachments({ localRuns }: Desired): readonly Attachment[] {
  return localRuns.flatMap(({ spec }) => spec.attach);
}

/** `NAME`, or `NAME.NAMESPACE`; a bare name means the default namespace's, else the only one of that name. */
function attachedWorkload({ workload }: Attachment, workloads: readonly DesiredWorkload[]): DesiredWorkload | undefined {
  const named = workloads.filter(({ name, namespace }) => name === workload || `${name}.${namespace}` === workload);
  return named.find(({ namespace }) => namespace === "default") ?? (named.length === 1 ? named[0] : undefined);
}
