import { refOf } from '../policy/ref.ts';
import { type ReplyCase, replies } from '../policy/reply.ts';
import { byRule } from '../policy/stage.ts';
import type { Refused, Reply } from '../policy/types.ts';
import type { Haraka } from './haraka.ts';

/** What a hook wants Haraka to do. Hooks speak this; only the guard speaks Haraka's numbers. */
export type Outcome =
  | { readonly kind: 'continue' }
  | { readonly kind: 'ok'; readonly value?: unknown }
  | { readonly kind: 'refuse'; readonly reply: Reply; readonly disconnect: boolean }
  /** Outbound only: try again in so many seconds. */
  | { readonly kind: 'delay'; readonly seconds: number };

export const proceed: Outcome = { kind: 'continue' };
export const ok: Outcome = { kind: 'ok' };

/** Refuses with a fixed reply of the protocol, one that no policy decides. */
export function refuse(code: number, enhanced: string, text: string, disconnect = false): Outcome {
  return { kind: 'refuse', reply: { code, enhanced, text }, disconnect };
}

/**
 * Refuses with a reply of the table where no object and no stage has decided. 421 closes.
 * @param stage the one that the rule belongs to: the reference leads to it (B7).
 */
export function fromTable(stage: string, name: ReplyCase): Outcome {
  const { code, enhanced, text } = replies[name];
  return refuse(code, enhanced, `${text} (ref ${refOf(byRule(stage, name))})`, code === 421);
}

/** The reply line of a policy's refusal: its reference goes to the end of the text. */
export function refusal(verdict: Refused): Outcome {
  const { code, enhanced, text } = verdict.reply;
  return refuse(code, enhanced, `${text} (ref ${verdict.ref})`, verdict.disconnect || code === 421);
}

/** While the process drains, every command but the end of a running DATA gets this (RFC 5321 3.8). */
export const shuttingDown: Outcome = fromTable('service', 'draining');

/** A reply as Haraka sends it: the object's own code wins over the one that Haraka has for the hook. */
export function toDsn(haraka: Pick<Haraka, 'dsn'>, reply: Reply) {
  const [, subject, detail] = reply.enhanced.split('.').map(Number);
  return haraka.dsn.create(reply.code, reply.text, subject ?? 0, detail ?? 0);
}

/** Outcome -> the two arguments of Haraka's `next`. */
export function toNext(
  haraka: Pick<Haraka, 'dsn' | 'constants'>,
  outcome: Outcome,
): [code: number, message?: unknown] {
  const { constants } = haraka;
  switch (outcome.kind) {
    case 'continue':
      return [constants.cont];
    case 'ok':
      return [constants.ok, outcome.value];
    case 'delay':
      return [constants.delay, outcome.seconds];
    case 'refuse': {
      const soft = outcome.reply.code < 500;
      const code = outcome.disconnect
        ? soft
          ? constants.denysoftdisconnect
          : constants.denydisconnect
        : soft
          ? constants.denysoft
          : constants.deny;
      return [code, toDsn(haraka, outcome.reply)];
    }
  }
}
