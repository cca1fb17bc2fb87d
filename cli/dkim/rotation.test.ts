import { expect, test } from 'vitest';
import { dkimKeyOf } from '../../test/dkim/tenant.ts';
import { nextStep } from './rotation.ts';

const now = Date.parse('2026-06-01T00:00:00Z');
const day = 86_400_000;
const condition = (type: string, status: 'True' | 'False', reason: string, at = now) => ({
  type,
  status,
  reason,
  message: '',
  lastTransitionTime: new Date(at).toISOString(),
  observedGeneration: 1,
});

function keyOf(name: string, spec: Record<string, unknown>, conditions: ReturnType<typeof condition>[] = []) {
  return Object.assign(dkimKeyOf(name, { selector: name, ...spec }), { status: { conditions } });
}
const active = keyOf('one', {}, [condition('Published', 'True', 'RecordVerified')]);
const step = (old: typeof active, ...others: (typeof active)[]) =>
  nextStep({ old, keys: [old, ...others], queueLifetimeSeconds: 5 * 86_400, now });

test('K14: the second key has the name and the selector of the first with the date, and nothing that is its own', () => {
  const old = keyOf('one-20250101', {
    secretName: 'brought',
    verification: { requestId: 'r1' },
    fallback: true,
  });
  expect(step(old)).toMatchObject({
    step: 'create',
    manifests: [
      {
        metadata: { name: 'one-20260601' },
        spec: { selector: 'one-20260601', state: 'Standby', fallback: true },
      },
    ],
  });
  const [manifest] = 'manifests' in step(old) ? [JSON.stringify(step(old))] : [];
  expect(manifest).not.toMatch(/brought|r1/);
});

test('K14: a second key whose record is not published is waited for', () => {
  const second = keyOf('two', { state: 'Standby' }, [condition('Published', 'False', 'RecordNotFound')]);
  expect(step(active, second)).toEqual({ step: 'publish', key: 'two', reason: 'RecordNotFound' });
});

test('K15: a key of another algorithm or domain is no second key', () => {
  const ed = keyOf('ed', { algorithm: 'Ed25519' });
  const elsewhere = keyOf('elsewhere', { domainRef: { name: 'b' } });
  expect(step(active, ed, elsewhere).step).toBe('create');
});

test('K14: the old record may go when the queue and two more days have passed since the key has stopped to sign', () => {
  const retired = (at: number) =>
    keyOf('one', { state: 'Retired' }, [condition('Signing', 'False', 'Retired', at)]);
  expect(step(retired(now - 6 * day))).toMatchObject({
    step: 'keepRecord',
    until: '2026-06-02T00:00:00.000Z',
  });
  expect(step(retired(now - 7 * day))).toMatchObject({ step: 'remove', key: 'one' });
});

test('K14: a key in Standby replaces nothing, and a taken selector is refused', () => {
  expect(() => step(keyOf('two', { state: 'Standby' }), active)).toThrow(/name the key that is Active/);
  const retired = keyOf('one-20260601', { state: 'Retired' });
  expect(() => step(active, retired)).toThrow(/DkimKey\/one-20260601 has the name/);
});
