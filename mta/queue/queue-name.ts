/**
 * Next attempt of a mail that is held: the last second of the year 9999. The name of its file says so, hence it is still held after
 * a restart, and it stays where everything else that waits is counted.
 */
const heldUntil = Date.UTC(9999, 11, 31, 23, 59, 59);

/** What the name of a queue file tells: arrival, next attempt, attempts, process, id, counter and host. */
export interface QueueName {
  readonly file: string;
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly arrived: number;
  readonly nextAttempt: number;
  readonly attempts: number;
  readonly held: boolean;
}

/** @returns undefined for left-overs, probes and whatever else lies in a queue directory. */
export function parseQueueName(file: string): QueueName | undefined {
  const match = /^(\d+)_(\d+)_(\d+)_\d+_([A-Za-z0-9.-]+)_\d+_[^_]+$/.exec(file);
  if (match === null) return undefined;
  const [, arrived, nextAttempt, attempts, id = ''] = match;
  return {
    file,
    id,
    arrived: Number(arrived),
    nextAttempt: Number(nextAttempt),
    attempts: Number(attempts),
    held: Number(nextAttempt) >= heldUntil,
  };
}

/** The id of a leg: what the log calls it. The names of queue files carry it through all attempts. */
export function legId(messageId: string, order: number): string {
  return `${messageId}.${order}`;
}

/** The name of the same file once it is held. */
export function heldName({ file }: QueueName): string {
  return withNextAttempt(file, heldUntil);
}

/** The name of the same file once it is due. @param now milliseconds since the epoch. */
export function dueName({ file }: QueueName, now: number): string {
  return withNextAttempt(file, now);
}

function withNextAttempt(file: string, nextAttempt: number): string {
  const [arrived = '', , ...rest] = file.split('_');
  return [arrived, nextAttempt, ...rest].join('_');
}

/** Place in the order of arrival, which no attempt changes. */
export function positionOf({ arrived, id }: QueueName): string {
  return `${String(arrived).padStart(15, '0')}_${id}`;
}
