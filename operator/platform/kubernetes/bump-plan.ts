/**
 * When to touch a pod so that kubelet refreshes its volumes: at once after a write, and again while the pod does not report
 * what was written, because kubelet may have synced from a cache that the write had not reached yet.
 */

/** Milliseconds after the write at which a pod that still reports something older is touched again. */
const repeatAfterMs = [2_000, 5_000, 15_000] as const;

export interface BumpInput {
  /** Value of the annotation postern.dev/bundle now, `<bundleHash>.<n>`. */
  readonly annotation: string | undefined;
  readonly bundleHash: string;
  /** The pod reports this bundle and no load error. */
  readonly loaded: boolean;
  /** Hot files were written in this very pass: whatever the pod said before is out of date. */
  readonly justWritten: boolean;
  /** Milliseconds since the epoch at which this operator wrote the files, or began if it found them written. */
  readonly writtenAt: number;
  /** How often this operator has touched the pod for them. */
  readonly touches: number;
  readonly now: number;
}

export interface BumpPlan {
  /** New value of the annotation; undefined: leave the pod alone. */
  readonly value?: string;
  /** Milliseconds since the epoch at which to look again; undefined: there is nothing left to try. */
  readonly nextAt?: number;
}

/** Decides for one pod. */
export function planBump(input: BumpInput): BumpPlan {
  const { bundleHash, loaded, justWritten, writtenAt, touches, now } = input;
  if (loaded && !justWritten) return {};
  const current = parse(input.annotation);
  // A pod that says another hash, or none, was not told about these files: the operator may have ended right after the write.
  const untold = current?.bundleHash !== bundleHash;
  const dueAt = touches === 0 && (justWritten || untold) ? now : repeatAt(writtenAt, Math.max(touches, 1));
  if (dueAt === undefined) return {};
  if (dueAt > now) return { nextAt: dueAt };
  const value = `${bundleHash}.${untold ? 0 : current.n + 1}`;
  const nextAt = repeatAt(writtenAt, Math.max(touches, 0) + 1);
  return nextAt === undefined ? { value } : { value, nextAt: Math.max(nextAt, now + 1) };
}

function repeatAt(writtenAt: number, touches: number): number | undefined {
  const delay = repeatAfterMs[touches - 1];
  return delay === undefined ? undefined : writtenAt + delay;
}

function parse(annotation: string | undefined): { bundleHash: string; n: number } | undefined {
  const match = /^([0-9a-f]+)\.([0-9]{1,9})$/.exec(annotation ?? '');
  return match?.[1] === undefined ? undefined : { bundleHash: match[1], n: Number(match[2]) };
}
