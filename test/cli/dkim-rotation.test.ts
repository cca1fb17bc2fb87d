import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type RunningStandalone, startStandalone } from '../standalone/harness.ts';
import { sampleFiles } from '../standalone/sample.ts';
import { postern } from './run.ts';

const firstKey = `apiVersion: postern.dev/v1alpha1
kind: DkimKey
metadata: {name: mail-key}
spec:
  domainRef: {name: example-com}
  verification: {mode: Disabled}
`;

const domain = `${sampleFiles['domain.yaml']}  submission: {enabled: true, accountsSecretRef: {name: people}}
`;
const accounts = `apiVersion: v1
kind: Secret
metadata: {name: people, labels: {postern.dev/use: accounts}}
stringData: {accounts.yaml: '[{name: alice@example.com}]'}
`;

let directory = '';
let folder = '';
let standalone: RunningStandalone;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-rotation-'));
  folder = join(directory, 'policy');
  standalone = await startStandalone({
    directory,
    folder,
    files: { ...sampleFiles, 'domain.yaml': domain, 'accounts.yaml': accounts, 'dkim.yaml': firstKey },
  });
});
afterAll(async () => {
  await standalone?.stop();
  await rm(directory, { recursive: true, force: true });
});

const from = () => ['-f', folder, '--state', standalone.state];
const rotate = (...args: readonly string[]) => postern('dkim', 'rotate', 'mail-key', ...from(), ...args);

/** Which selectors sign mail of an account, as explain tells, and what it says of a message with another From. */
async function explained(): Promise<{ sign: string[]; foreign: string }> {
  const asked = [
    ...['explain', ...from(), '--client-ip', '192.0.2.1', '--auth', 'alice@example.com', '-o', 'json'],
    ...['--mail-from', 'alice@example.com', '--rcpt', 'bob@example.com'],
  ];
  const { recipients } = JSON.parse((await postern(...asked)).out);
  const file = join(directory, 'relayed.eml');
  await writeFile(file, 'From: <alice@example.com>\r\nFrom: <bob@foreign.example>\r\n\r\ntext\r\n');
  const other = JSON.parse((await postern(...asked, '--message', file)).out);
  return { sign: recipients[0].legs[0].sign, foreign: other.recipients[0].verdict };
}

/** Waits until a key signs or does not, for this reason. */
const signing = (key: string, reason: string) =>
  standalone.eventually(`DkimKey ${key}: Signing ${reason}`, async () => {
    const { out } = await postern('status', ...from(), '-o', 'json');
    const { objects } = JSON.parse(out);
    const found = objects.find(
      (one: { kind: string; name: string }) => one.kind === 'DkimKey' && one.name === key,
    );
    const is = found?.status?.conditions?.find(({ type }: { type: string }) => type === 'Signing')?.reason;
    return is === reason ? true : undefined;
  });

it('K14, K15: rotate makes a second key, swaps the two, and keeps the old record until no mail can need it', async () => {
  await signing('mail-key', 'Signing');
  expect(await explained()).toEqual({ sign: ['postern'], foreign: 'reject' });

  const created = await rotate('--name', 'next-key', '--selector', 'next');
  expect(created.code, created.err).toBe(0);
  expect(created.err).toMatch(/^Apply this second key/);
  const [second] = parseAllDocuments(created.out).map((each) => each.toJS());
  expect(second).toMatchObject({
    kind: 'DkimKey',
    metadata: { name: 'next-key' },
    spec: { domainRef: { name: 'example-com' }, selector: 'next', state: 'Standby', algorithm: 'RSA' },
  });
  await writeFile(join(folder, 'next.yaml'), created.out);
  await signing('next-key', 'Standby');

  const swapped = await rotate();
  expect(swapped.code, swapped.err).toBe(0);
  const states = parseAllDocuments(swapped.out).map((each) => each.toJS());
  // The new one first: nothing goes out unsigned in between.
  expect(states.map(({ metadata, spec }) => [metadata.name, spec.state])).toEqual([
    ['next-key', 'Active'],
    ['mail-key', 'Retired'],
  ]);
  const [next = '', old = ''] = swapped.out.split('---\n');
  await writeFile(join(folder, 'next.yaml'), next);
  await writeFile(join(folder, 'dkim.yaml'), old);
  await signing('next-key', 'Signing');
  await signing('mail-key', 'Retired');
  expect((await explained()).sign).toEqual(['next']);

  const kept = await rotate('-o', 'json');
  expect(kept.code).toBe(1);
  const step = JSON.parse(kept.out);
  expect(step).toMatchObject({
    step: 'keepRecord',
    key: 'mail-key',
    record: 'postern._domainkey.example.com',
  });
  // Five days in the queue, and two more.
  const days = (Date.parse(step.until) - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(6.9);
  expect(days).toBeLessThanOrEqual(7);
}, 240_000);

it('K14: rotate says which keys there are, and that a key in Standby replaces nothing', async () => {
  const unknown = await postern('dkim', 'rotate', 'other', ...from());
  expect([unknown.code, unknown.out]).toEqual([2, '']);
  expect(unknown.err).toMatch(/there is no DkimKey other: there is .*mail-key/);
});
