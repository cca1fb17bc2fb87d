import { randomBytes } from 'node:crypto';
import type { Haraka, Next } from './haraka.ts';
import { type Outcome, refuse, toNext } from './outcome.ts';

/** Tells a hook that its answer is no longer wanted: whatever it has not made visible yet, it must not make visible. */
export interface Deadline {
  readonly expired: boolean;
}

export type Hook<Target, Params> = (
  target: Target,
  params: Params,
  deadline: Deadline,
) => Outcome | Promise<Outcome>;

/** What a hook's failure does, and where it is told. */
export interface GuardSettings {
  readonly haraka: Pick<Haraka, 'constants' | 'dsn'>;
  readonly deadlineMs: number;
  readonly report: (failure: { hook: string; ref: string; problem: string; error?: unknown }) => void;
  /** Instead of 451 4.3.0, for hooks whose answer Haraka reads in another way. */
  readonly onFailure?: (ref: string) => Outcome;
}

/** 451 4.3.0 with the reference that stands in the log beside the cause. */
export function internalFailure(ref: string): Outcome {
  return refuse(451, '4.3.0', `Internal failure, try again later (ref ${ref})`);
}

/**
 * The one wrapper around every hook. Haraka takes an exception as "continue" (fail open) and dies of a rejected promise
 * (HT6); here an exception, a rejection and a deadline all become a temporary refusal, and the cause is logged under the
 * reference that the client sees. `next` is called exactly once.
 */
export function guard<Target, Params>(name: string, hook: Hook<Target, Params>, settings: GuardSettings) {
  const { haraka, deadlineMs, report, onFailure = internalFailure } = settings;
  const failed = (problem: string, error?: unknown): Outcome => {
    const ref = randomBytes(5).toString('hex').slice(0, 8).toUpperCase();
    report({ hook: name, ref, problem, error });
    return onFailure(ref);
  };
  return (next: Next, target: Target, params: Params): void => {
    const deadline = { expired: false };
    let outcome: Outcome | Promise<Outcome>;
    try {
      outcome = hook(target, params, deadline);
    } catch (error) {
      deadline.expired = true;
      outcome = failed('exception', error);
    }
    if (!(outcome instanceof Promise)) {
      next(...toNext(haraka, outcome));
      return;
    }
    const fail = (problem: string, error?: unknown) => {
      deadline.expired = true;
      next(...toNext(haraka, failed(problem, error)));
    };
    const timer = setTimeout(() => fail(`no answer within ${deadlineMs} ms`), deadlineMs);
    outcome.then(
      (value) => {
        clearTimeout(timer);
        if (!deadline.expired) next(...toNext(haraka, value));
      },
      (error: unknown) => {
        clearTimeout(timer);
        if (deadline.expired)
          report({ hook: name, ref: 'late', problem: 'rejected after its deadline', error });
        else fail('rejection', error);
      },
    );
  };
}
