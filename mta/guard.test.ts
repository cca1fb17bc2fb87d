import { createRequire } from 'node:module';
import { expect, test, vi } from 'vitest';
import { type GuardSettings, guard, type Hook } from './guard.ts';
import type { Haraka } from './haraka.ts';
import { ok, proceed, refuse } from './outcome.ts';

const require = createRequire(import.meta.url);
const constants: Haraka['constants'] = require('haraka-constants');
const dsn: Haraka['dsn'] = require('haraka-dsn');

/** Runs a hook under the guard; what Haraka is told, and what the log is told. */
async function run(hook: Hook<unknown, unknown>, over: Partial<GuardSettings> = {}) {
  const report = vi.fn();
  const { promise, resolve } = Promise.withResolvers<readonly [number | undefined, unknown]>();
  const next = vi.fn((code?: number, message?: unknown) => resolve([code, message]));
  guard('test', hook, { haraka: { constants, dsn }, deadlineMs: 20, report, ...over })(next, {}, undefined);
  const [code, message] = await promise;
  return { code, message, report, next };
}

test.each([
  ['continue', proceed, constants.cont],
  ['ok', ok, constants.ok],
  ['a permanent refusal', refuse(550, '5.7.1', 'no'), constants.deny],
  ['a temporary refusal', refuse(451, '4.3.0', 'later'), constants.denysoft],
  ['a permanent refusal that closes', refuse(554, '5.7.1', 'no', true), constants.denydisconnect],
  ['a temporary refusal that closes', refuse(421, '4.3.2', 'bye', true), constants.denysoftdisconnect],
])('%s is told to Haraka in its own numbers, at once or later', async (_what, outcome, code) => {
  expect((await run(() => outcome)).code).toBe(code);
  expect((await run(async () => outcome)).code).toBe(code);
});

test.each<[string, Hook<unknown, unknown>, RegExp]>([
  [
    'an exception',
    () => {
      throw new Error('broken');
    },
    /exception/,
  ],
  ['a rejection', () => Promise.reject(new Error('broken')), /rejection/],
  ['silence', () => new Promise(() => undefined), /no answer within 20 ms/],
])(
  '%s is a temporary refusal with the reference that is logged, never "continue" (HT6)',
  async (_what, hook, problem) => {
    const { code, message, report } = await run(hook);
    expect(code).toBe(constants.denysoft);
    const [{ ref, problem: told }] = report.mock.lastCall ?? [{}];
    expect(told).toMatch(problem);
    expect(message).toMatchObject({
      code: 451,
      reply: expect.stringMatching(new RegExp(`^4\\.3\\.0 .*\\(ref ${ref}\\)$`)),
    });
  },
);

test('an answer after the deadline is not given a second time, and the hook can see that it is late', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const seen: boolean[] = [];
  const { next } = await run(async (_target, _params, deadline) => {
    await promise;
    seen.push(deadline.expired);
    return ok;
  });
  resolve();
  await vi.waitFor(() => expect(seen).toEqual([true]));
  expect(next).toHaveBeenCalledTimes(1);
});
