import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningStandalone, runPostern, startStandalone } from '../standalone/harness.ts';
import { sendMail } from '../standalone/mail.ts';
import { blockList, sampleFiles } from '../standalone/sample.ts';
import { postern } from './run.ts';

const dkimKey = `apiVersion: postern.dev/v1alpha1
kind: DkimKey
metadata: {name: key}
spec: {domainRef: {name: example-com}, verification: {mode: OnRequest}}
`;

let directory = '';
let folder = '';
let standalone: RunningStandalone;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-running-'));
  folder = join(directory, 'policy');
  standalone = await startStandalone({ directory, folder, files: { ...sampleFiles, 'dkim.yaml': dkimKey } });
});
afterAll(async () => {
  await standalone?.stop();
  await rm(directory, { recursive: true, force: true });
});

const ask = (command: string, ...more: readonly string[]) =>
  postern(command, '-f', folder, '--state', standalone.state, ...more);

describe('commands beside a running MTA', () => {
  it('status: 0 and Programmed once everything is loaded', async () => {
    const { out } = await standalone.eventually('all objects are ready', async () => {
      const result = await ask('status', '-o', 'json');
      return result.code === 0 ? result : undefined;
    });
    const { running, objects } = JSON.parse(out);
    expect(running).toBe(true);
    expect(objects.map(({ kind, name }: { kind: string; name: string }) => `${kind}/${name}`)).toEqual([
      'MailDomain/example-com',
      'IpAccessList/blocked',
      'DkimKey/key',
    ]);
    expect((await ask('status')).out).toMatch(/IpAccessList +blocked +True +True +True +True/);
  });

  it('explain, why and the wire name the same generation after an edit', async () => {
    await writeFile(join(folder, 'block.yaml'), blockList(['127.0.0.20', '127.0.0.21']));
    const reply = await standalone.eventually('127.0.0.21 is refused', async () => {
      const line = await sendMail(standalone, { client: '127.0.0.21' });
      return line.startsWith('550') ? line : undefined;
    });
    const explained = await ask(
      'explain',
      '--client-ip',
      '127.0.0.21',
      '--mail-from',
      'someone@elsewhere.example',
      '--rcpt',
      'alice@example.com',
      '-o',
      'json',
    );
    const [recipient] = JSON.parse(explained.out).recipients;
    expect(`${recipient.code} ${recipient.reason}`).toBe(reply);
    expect(recipient.because).toEqual({
      kind: 'IpAccessList',
      name: 'blocked',
      generation: 2,
      entry: '127.0.0.21',
    });
    const ref = /\(ref (\w{8})\)/.exec(reply)?.[1] ?? '';
    expect((await postern('why', ref, '-f', folder, '--state', standalone.state)).out).toContain(
      'generation 2',
    );
  });

  it('B5: blocks lists the refusals, newest first, with what decided', async () => {
    await sendMail(standalone, { client: '127.0.0.20' });
    await sendMail(standalone, { client: '127.0.0.2', to: 'nobody@example.com' });
    const { code, out } = await ask('blocks', '-o', 'json');
    expect(code).toBe(0);
    const { refusals } = JSON.parse(out);
    expect(refusals[0]).toMatchObject({
      peer: '127.0.0.2',
      recipient: 'nobody@example.com',
      because: { kind: 'MailDomain' },
    });
    expect(refusals[1]).toMatchObject({
      peer: '127.0.0.20',
      because: { kind: 'IpAccessList', name: 'blocked' },
    });
    expect((await ask('blocks')).out).toContain('IpAccessList/blocked 127.0.0.20');
  });

  it('B5, A1: blocks --hits counts the entries that mail has met', async () => {
    const before = JSON.parse((await ask('blocks', '--hits', '-o', 'json')).out).entries;
    const countOf = (entries: { entry: string; hits: number }[]) =>
      entries.find(({ entry }) => entry === '127.0.0.20')?.hits ?? 0;
    for (let i = 0; i < 3; i += 1) await sendMail(standalone, { client: '127.0.0.20' });
    const { entries } = JSON.parse((await ask('blocks', '--hits', '-o', 'json')).out);
    expect(entries[0]).toMatchObject({ list: 'blocked', entry: '127.0.0.20' });
    expect(countOf(entries)).toBe(countOf(before) + 3);
    expect((await ask('blocks', '--hits')).out).toMatch(/IpAccessList\/blocked +127\.0\.0\.20 +\d+/);
    // Never in a status: it would be written with each mail.
    expect((await ask('status', '-o', 'json')).out).not.toContain('lastHit');
  });

  it('render --diff: 0 while nothing differs, 1 and the lines for another folder', async () => {
    const same = await standalone.eventually('nothing differs', async () => {
      const result = await ask('render', '--diff', '-o', 'json');
      return result.code === 0 ? result : undefined;
    });
    expect(JSON.parse(same.out)).toEqual({ differences: [] });
    const other = join(directory, 'other');
    const planned = await makeFolder(other, { ...sampleFiles, 'dkim.yaml': dkimKey });
    const { code, out } = await postern('render', '-f', planned, '--state', standalone.state, '--diff');
    expect(code).toBe(1);
    expect(out).toContain('-      - 127.0.0.21');
  });

  it('K5, K6: dns prints the record of the key that was made, and no private key ever', async () => {
    const { code, out, err } = await ask('dns', '-o', 'json');
    expect(code).toBe(0);
    const record = JSON.parse(out).records.find(({ type }: { type: string }) => type === 'TXT');
    expect(record).toMatchObject({ name: 'postern._domainkey.example.com', object: 'DkimKey/key' });
    expect(record.value).toMatch(/^v=DKIM1; k=rsa; p=/);
    for (const command of ['render', 'status', 'lint']) {
      const result = await ask(command, '-o', 'json');
      expect(result.out + result.err + err, command).not.toMatch(/PRIVATE KEY|BEGIN/);
    }
  });
});

describe('commands after the MTA was stopped', () => {
  it('status: nothing is Programmed or Ready any more, whatever was stored', async () => {
    expect(await standalone.stop()).toBe(0);
    const { code, out } = await ask('status', '-o', 'json');
    expect(code).toBe(1);
    const answer: {
      running: boolean;
      objects: { name: string; status: { conditions: { type: string; status: string; reason: string }[] } }[];
    } = JSON.parse(out);
    expect(answer.running).toBe(false);
    const said = answer.objects.flatMap(({ status }) =>
      status.conditions
        .filter(({ type }) => ['Accepted', 'Programmed', 'Ready'].includes(type))
        .map((each) => `${each.type}=${each.status}/${each.reason}`),
    );
    expect(new Set(said)).toEqual(
      new Set(['Accepted=True/Accepted', 'Programmed=Unknown/NoReadyPods', 'Ready=Unknown/NoReadyPods']),
    );
  });
});

describe('postern standalone -o json', () => {
  it('every line is one event; ready tells the addresses', async () => {
    const child = runPostern([
      'standalone',
      '-f',
      folder,
      '--state',
      join(directory, 'json-state'),
      '-o',
      'json',
      '--smtp',
      '127.0.0.1:0',
      '--submission',
      'off',
      '--submissions',
      'off',
      '--http',
      '127.0.0.1:0',
    ]);
    const events: { event: string; addresses?: Record<string, string> }[] = [];
    if (child.stdout === null) throw new Error('no stdout');
    for await (const line of createInterface(child.stdout)) {
      events.push(JSON.parse(line));
      if (events.at(-1)?.event === 'ready') child.kill('SIGTERM');
    }
    if (child.exitCode === null) await once(child, 'exit');
    expect(child.exitCode).toBe(0);
    expect(events.map(({ event }) => event)).toContain('status');
    const ready = events.find(({ event }) => event === 'ready');
    expect(Object.keys(ready?.addresses ?? {}).toSorted()).toEqual(['http', 'smtp']);
  });
});

async function makeFolder(path: string, files: Readonly<Record<string, string>>): Promise<string> {
  await mkdir(path, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  return path;
}
