import type { DkimKey } from '../api/index.ts';
import { type ConditionInput, formatTime } from './conditions.ts';
import { type DkimVerdict, joinAnswers } from './dkim-answers.ts';
import type { DkimObservation } from './model.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
/** DNS hosts promise that a record is everywhere within 72 hours (K9). */
const propagationTime = 72 * hour;
const firstDelay = 30 * second;
const longestDelayBeforeDeadline = 30 * minute;

type Status = NonNullable<DkimKey['status']>;
/** The part of a DkimKey's status that verification owns, and reads again at the next compilation. */
type VerificationFields = Pick<
  Status,
  | 'observedRequestId'
  | 'attempts'
  | 'lastCheckTime'
  | 'nextCheckTime'
  | 'verifiedTime'
  | 'deadlineTime'
  | 'nameservers'
>;

export interface VerificationInput {
  readonly spec: DkimKey['spec'];
  /** Status as it is stored; what it says of another key does not count. */
  readonly previous: Status | undefined;
  readonly host: string;
  readonly publicKeySHA256: string;
  /** RFC 3339; noted on the Secret, for the case that the status is lost. */
  readonly rememberedTime: string | undefined;
  readonly observation: DkimObservation | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface Verification {
  readonly published: ConditionInput;
  readonly fields: VerificationFields;
  /** The key may sign: its record was seen once, or nobody wants it looked for. */
  readonly verified: boolean;
  /** Milliseconds since the epoch of the next look at DNS; undefined: none (K7). */
  readonly due: number | undefined;
}

/**
 * What is known of a key's record, and when to look again: after 30 s, then twice as long up to 30 min, for 72 h; hourly after
 * that; daily once it was found. A new requestId begins anew.
 *
 * A record that was found once keeps the key signing whatever DNS says later (K16), and a name server that does not answer
 * changes nothing that was known.
 */
export function verify(input: VerificationInput): Verification {
  const { spec, now, observation } = input;
  const memory = input.previous?.publicKeySHA256 === input.publicKeySHA256 ? input.previous : undefined;
  const verifiedTime = memory?.verifiedTime ?? input.rememberedTime;
  const known = {
    ...optional('observedRequestId', memory?.observedRequestId),
    ...optional('verifiedTime', verifiedTime),
  };
  const { mode, requestId } = spec.verification;
  if (mode === 'Disabled')
    return unasked('True', 'VerificationDisabled', `${input.host} is taken as published.`, known, true);
  if (mode === 'OnRequest' && requestId === undefined && verifiedTime === undefined) {
    return unasked(
      'False',
      'AwaitingRequest',
      `Publish ${input.host}, then set spec.verification.requestId.`,
      known,
      false,
    );
  }

  const run = currentRun(memory, requestId, verifiedTime, now);
  const fresh = observation !== undefined && answers(observation, input, run) ? observation : undefined;
  const verdict = fresh === undefined ? undefined : joinAnswers(fresh.nameservers);
  const found =
    verifiedTime ?? (verdict?.result === 'Match' ? formatTime(fresh?.checkedAt ?? now) : undefined);
  const attempts = verdict === undefined ? run.attempts : verdict.result === 'Match' ? 0 : run.attempts + 1;
  const published = judge(input, run, verdict, memory, found !== undefined);
  const deadline = found === undefined ? run.deadline : undefined;
  const next =
    fresh === undefined
      ? run.next
      : wholeSeconds(fresh.checkedAt) + delayAfter(verdict, attempts, deadline, now, input.publicKeySHA256);
  const lastCheck = fresh === undefined ? run.lastCheck : wholeSeconds(fresh.checkedAt);
  const bounded = deadline !== undefined && now < deadline ? Math.min(next, deadline) : next;
  return {
    published,
    fields: {
      ...optional('observedRequestId', requestId ?? memory?.observedRequestId),
      attempts,
      ...optional('lastCheckTime', lastCheck === undefined ? undefined : formatTime(lastCheck)),
      nextCheckTime: formatTime(bounded),
      ...optional('verifiedTime', found),
      ...optional('deadlineTime', deadline === undefined ? undefined : formatTime(deadline)),
      ...optional('nameservers', fresh === undefined ? memory?.nameservers : results(fresh)),
    },
    verified: found !== undefined,
    // Times in a status are whole seconds: two checks in one second could not be told apart.
    due: Math.max(bounded, (lastCheck ?? Number.NEGATIVE_INFINITY) + second),
  };
}

/** One authentication, from its request to its end. */
interface Run {
  readonly begins: boolean;
  readonly attempts: number;
  /** Milliseconds since the epoch, all three. */
  readonly lastCheck: number | undefined;
  readonly next: number;
  readonly deadline: number | undefined;
}

function currentRun(
  memory: Status | undefined,
  requestId: string | undefined,
  verifiedTime: string | undefined,
  now: number,
): Run {
  const storedLast = parseTime(memory?.lastCheckTime);
  // A time that has not come yet was written by a clock that was wrong: nothing may wait for it (X25).
  const lastCheck = storedLast !== undefined && storedLast <= now ? storedLast : undefined;
  const storedNext = parseTime(memory?.nextCheckTime);
  const storedDeadline = parseTime(memory?.deadlineTime);
  const asked = requestId !== undefined && requestId !== memory?.observedRequestId;
  const begins =
    asked || storedNext === undefined || (verifiedTime === undefined && storedDeadline === undefined);
  if (begins) {
    const deadline = verifiedTime === undefined ? wholeSeconds(now) + propagationTime : undefined;
    return { begins, attempts: 0, lastCheck, next: wholeSeconds(now), deadline };
  }
  const next = Math.min(storedNext, wholeSeconds(now) + day);
  return { begins, attempts: memory?.attempts ?? 0, lastCheck, next, deadline: storedDeadline };
}

/** Whether an observation speaks about this key and this authentication, and has not been counted yet. */
function answers(observation: DkimObservation, input: VerificationInput, run: Run): boolean {
  if (observation.host !== input.host || observation.publicKeySHA256 !== input.publicKeySHA256) return false;
  if (observation.checkedAt > input.now) return false;
  const checkedAt = wholeSeconds(observation.checkedAt);
  if (run.lastCheck !== undefined && checkedAt <= run.lastCheck) return false;
  return run.deadline === undefined || checkedAt >= run.deadline - propagationTime;
}

function judge(
  input: VerificationInput,
  run: Run,
  verdict: DkimVerdict | undefined,
  memory: Status | undefined,
  found: boolean,
): ConditionInput {
  const before = carriedOver(memory, run);
  const good = published('True', 'RecordVerified', verdict?.result === 'Match' ? verdict.message : '');
  if (verdict?.result === 'Match') return good;
  const unanswered = verdict === undefined || verdict.result === 'ResolverError';
  if (found) {
    // A question without an answer never flips what was known (X15).
    if (unanswered) return before ?? good;
    return lost(input, verdict);
  }
  if (verdict?.result === 'ResolverError')
    return published('Unknown', 'ResolverError', `${input.host}: ${verdict.message}`);
  const current =
    verdict === undefined
      ? (before ?? published('Unknown', 'Pending', `${input.host} is being looked for.`))
      : published('False', verdict.result, `${input.host}: ${verdict.message}`);
  const late = run.deadline !== undefined && input.now >= run.deadline;
  if (!late || current.status !== 'False' || current.reason === 'PropagationTimeout') return current;
  return published(
    'False',
    'PropagationTimeout',
    `72 hours after the authentication began, ${current.message}`,
  );
}

function lost(input: VerificationInput, verdict: DkimVerdict): ConditionInput {
  const message = `${input.host}: ${verdict.message}`;
  // Whoever retires a key removes its record in the end: nothing is lost then.
  if (input.spec.state === 'Retired') return published('False', verdict.result, message);
  const reason = verdict.result === 'PartiallyPropagated' ? 'PartiallyPropagated' : 'RecordLost';
  return published('False', reason, `${message} The key was verified before and goes on signing.`);
}

/** What the last check said, as it stands in the status: after a restart there is no observation yet. */
function carriedOver(memory: Status | undefined, run: Run): ConditionInput | undefined {
  const before = memory?.conditions?.find(({ type }) => type === 'Published');
  if (before === undefined) return undefined;
  const saysNothing = ['Pending', 'AwaitingRequest', 'VerificationDisabled'].includes(before.reason);
  if (saysNothing || (run.begins && before.reason === 'PropagationTimeout')) return undefined;
  return published(before.status, before.reason, before.message);
}

/** Milliseconds until the next check. */
function delayAfter(
  verdict: DkimVerdict | undefined,
  attempts: number,
  deadline: number | undefined,
  now: number,
  publicKeySHA256: string,
): number {
  // Spread over an hour and a half, so that an operator with a thousand keys does not ask for all at one moment.
  const spread = Number.parseInt(publicKeySHA256.slice(0, 4), 16) / 0xffff;
  if (verdict?.result === 'Match') return wholeSeconds(day - spread * 1.5 * hour);
  const backoff = firstDelay * 2 ** Math.min(Math.max(attempts, 1) - 1, 10);
  if (deadline === undefined) return Math.min(backoff, hour);
  return now < deadline ? Math.min(backoff, longestDelayBeforeDeadline) : hour;
}

function results(observation: DkimObservation): { name: string; result: string }[] {
  return observation.nameservers.map(({ name, answer }) => ({ name, result: answer.result }));
}

function unasked(
  status: ConditionInput['status'],
  reason: string,
  message: string,
  fields: VerificationFields,
  verified: boolean,
): Verification {
  return { published: published(status, reason, message), fields, verified, due: undefined };
}

function published(status: ConditionInput['status'], reason: string, message: string): ConditionInput {
  return { type: 'Published', status, reason, message };
}

function parseTime(text: string | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / second) * second;
}

/** A member only if it has a value: statuses are compared and written without undefined members. */
function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  const member: { [P in K]?: V } = {};
  if (value !== undefined) member[key] = value;
  return member;
}
