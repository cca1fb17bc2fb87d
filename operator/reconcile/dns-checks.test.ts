import { describe, expect, it, vi } from 'vitest';
import type { DkimObservation } from '../compile/model.ts';
import { DnsChecks, type DnsChecksOptions } from './dns-checks.ts';
import type { CheckDkim } from './tenant.ts';

const want: CheckDkim = {
  kind: 'checkDkim',
  dkimKey: 'mail',
  host: 'postern._domainkey.example.com',
  value: 'v=DKIM1',
  publicKeySHA256: 'ab',
  scope: 'Authoritative',
  due: 0,
};
const observation: DkimObservation = {
  dkimKey: 'mail',
  checkedAt: 1,
  host: want.host,
  publicKeySHA256: 'ab',
  nameservers: [],
};

type Options = DnsChecksOptions<CheckDkim, DkimObservation>;

function checks(options: Partial<Options>, events: string[]): DnsChecks<CheckDkim, DkimObservation> {
  return new DnsChecks({
    question: ({ host }) => host,
    check: async () => observation,
    record: (namespace) => events.push(`record ${namespace}`),
    failed: (namespace) => events.push(`failed ${namespace}`),
    signal: new AbortController().signal,
    now: () => 0,
    ...options,
  });
}

describe('DnsChecks', () => {
  it('K9: one question at a time goes to the name servers, however often it is asked', async () => {
    const events: string[] = [];
    let asked = 0;
    const answer = Promise.withResolvers<DkimObservation>();
    const check = () => {
      asked += 1;
      return answer.promise;
    };
    const running = checks({ check }, events);
    for (let round = 0; round < 5; round += 1) running.start('acme', want);
    running.start('other', want);
    answer.resolve(observation);
    await running.idle();
    expect(asked).toBe(2);
    expect(events).toEqual(['record acme', 'record other']);
  });

  it('a check that breaks is told once and rests before the same question is asked again', async () => {
    const events: string[] = [];
    let now = 0;
    const broken = async () => {
      throw new Error('no socket');
    };
    const resting = checks({ check: broken, now: () => now, restMs: 1_000 }, events);
    for (const moment of [0, 500, 1_500]) {
      now = moment;
      resting.start('acme', want);
      await resting.idle();
    }
    expect(events).toEqual(['failed acme', 'failed acme']);
  });

  it('so many run at a time as may, and the others follow in order', async () => {
    const events: string[] = [];
    const open: { host: string; answer: () => void }[] = [];
    const check = ({ host }: CheckDkim) =>
      new Promise<DkimObservation>((answer) => open.push({ host, answer: () => answer(observation) }));
    const running = checks({ check, concurrency: 2 }, events);
    for (const host of ['a', 'b', 'c', 'd', 'e']) running.start(host, { ...want, host });
    await Promise.resolve();
    expect(open.map(({ host }) => host)).toEqual(['a', 'b']);
    for (let at = 0; at < 5; at += 1) {
      open[at]?.answer();
      await vi.waitFor(() => expect(open.length).toBe(Math.min(at + 3, 5)));
    }
    await running.idle();
    expect(open.map(({ host }) => host)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(events).toHaveLength(5);
  });

  it('what ends after the stop is not recorded', async () => {
    const events: string[] = [];
    const stop = new AbortController();
    const answer = Promise.withResolvers<DkimObservation>();
    const running = checks({ check: () => answer.promise, signal: stop.signal }, events);
    running.start('acme', want);
    stop.abort();
    answer.resolve(observation);
    await running.idle();
    expect(events).toEqual([]);
  });
});
