import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type RunningStandalone, startStandalone } from '../standalone/harness.ts';
import { sampleFiles } from '../standalone/sample.ts';
import { SmtpClient } from '../wire/smtp-client.ts';
import { postern } from './run.ts';

let directory = '';
let folder = '';
let secretFile = '';
let standalone: RunningStandalone;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-account-'));
  folder = join(directory, 'policy');
  secretFile = join(folder, 'accounts.yaml');
  const domain = `${sampleFiles['domain.yaml']}  submission: {enabled: true, accountsSecretRef: {name: people}}\n`;
  const off = domain
    .replaceAll('example.com', 'example.org')
    .replace('example-com', 'silent-org')
    .replace('true', 'false');
  standalone = await startStandalone({
    directory,
    folder,
    files: { ...sampleFiles, 'domain.yaml': domain, 'off.yaml': off },
    submission: true,
  });
});
afterAll(async () => {
  await standalone?.stop();
  await rm(directory, { recursive: true, force: true });
});

const account = (...args: readonly string[]) => postern('account', ...args, '-f', folder);

/** Makes a password, puts the Secret into the folder, and returns the password. */
async function add(...args: readonly string[]): Promise<string> {
  const { code, err } = await account('add', ...args, '--out', secretFile);
  expect(code, err).toBe(0);
  return /: ([a-z2-9-]{29})$/m.exec(err)?.[1] ?? '';
}

/** The answer to AUTH, over TLS. */
async function signIn(name: string, password: string): Promise<string> {
  const client = await SmtpClient.connect(standalone.submission);
  try {
    await client.reply();
    await client.send('EHLO client.example');
    await client.send('STARTTLS');
    await client.secure();
    await client.send('EHLO client.example');
    return await client.send(`AUTH PLAIN ${Buffer.from(`\0${name}\0${password}`).toString('base64')}`);
  } finally {
    client.destroy();
  }
}

const becomes = (code: string, name: string, password: string) =>
  standalone.eventually(`AUTH of ${name} is answered ${code}`, async () =>
    (await signIn(name, password)).startsWith(code) ? true : undefined,
  );

describe('postern account', () => {
  it('P3: makes passwords that work within one reload; revoking one leaves the other', async () => {
    const phone = await add('Alice@example.com', '--label', 'phone');
    const laptop = await add('alice@example.com', '--label', 'laptop');
    await becomes('235', 'alice@example.com', laptop);
    expect(await signIn('alice@example.com', phone)).toMatch(/^235 /);
    const text = await readFile(secretFile, 'utf8');
    expect(text).not.toContain(phone);
    expect(text).not.toContain(laptop);
    expect((await account('revoke', 'alice@example.com', '--label', 'phone', '--out', secretFile)).code).toBe(
      0,
    );
    await becomes('535', 'alice@example.com', phone);
    expect(await signIn('alice@example.com', laptop)).toMatch(/^235 /);
  });

  it('P3: a password that has expired does not work; P1: nor does one of an account that is gone', async () => {
    const old = await add('bob@example.com', '--label', 'old', '--expires', '2020-01-01T00:00:00Z');
    const present = await add('bob@example.com', '--label', 'new', '--expires', '2999-01-01T00:00:00Z');
    await becomes('235', 'bob@example.com', present);
    expect(await signIn('bob@example.com', old)).toMatch(/^535 5\.7\.8 /);
    await account('revoke', 'bob@example.com', '--all', '--out', secretFile);
    await becomes('535', 'bob@example.com', present);
  });

  it('P3: prints a Secret that keeps comments, and lists accounts without their hashes', async () => {
    const kept = await readFile(secretFile, 'utf8');
    await writeFile(secretFile, kept.replace('accounts.yaml: |\n', 'accounts.yaml: |\n    # our people\n'));
    const { out } = await account(
      'add',
      'printer@example.com',
      '--kind',
      'Relay',
      '--send-as',
      '*@example.com',
    );
    const manifest = parse(out);
    expect(manifest).toMatchObject({
      kind: 'Secret',
      metadata: { labels: { 'postern.dev/use': 'accounts' } },
    });
    expect(manifest.stringData['accounts.yaml']).toMatch(/^# our people$/m);
    await writeFile(secretFile, out);
    const listed = await account('list', '-o', 'json');
    expect(listed.out).not.toContain('scrypt');
    expect(JSON.parse(listed.out).accounts).toEqual([
      {
        name: 'alice@example.com',
        kind: 'User',
        enabled: true,
        sendAs: [],
        passwords: [{ label: 'laptop' }],
      },
      {
        name: 'printer@example.com',
        kind: 'Relay',
        enabled: true,
        sendAs: ['*@example.com'],
        passwords: [{ label: 'default' }],
      },
    ]);
  });

  it.each([
    [
      'an address of a domain that is not there',
      ['add', 'x@foreign.example'],
      /no MailDomain for foreign\.example/,
    ],
    ['a domain where sending is off', ['add', 'x@example.org'], /set spec\.submission\.enabled/],
    ['what is no address', ['add', 'alice'], /is no address/],
    [
      'a User that sends as all',
      ['add', 'x@example.com', '--send-as', '*@example.com'],
      /only an account of kind Relay/,
    ],
    [
      'a foreign sendAs',
      ['add', 'x@example.com', '--send-as', 'x@foreign.example'],
      /sendAs: must be addresses/,
    ],
    ['a time that is none', ['add', 'x@example.com', '--expires', 'soon'], /is no time/],
    ['a revocation of nothing in particular', ['revoke', 'alice@example.com'], /--label TEXT .* or --all/],
    ['--apply without a cluster', ['add', 'x@example.com', '--apply'], /--apply writes to a cluster/],
  ])('P5, P6: refuses %s, and tells no password', async (_what, args, message) => {
    const { code, out, err } = await account(...args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toMatch(message);
    expect(err).not.toContain('password of');
  });

  it('K1: explain says why nothing is signed', async () => {
    const { code, out } = await postern(
      ...['explain', '-f', folder, '--client-ip', '192.0.2.1', '--auth', 'alice@example.com'],
      ...['--mail-from', 'alice@example.com', '--rcpt', 'friend@elsewhere.example', '-o', 'json'],
    );
    expect(code).toBe(0);
    const [recipient] = JSON.parse(out).recipients;
    expect(recipient.legs).toMatchObject([{ via: 'mx', sign: [], ndr: true }]);
    expect(recipient.trace.at(-1)).toEqual({
      stage: 'signing',
      outcome: 'skip',
      detail:
        'not signed: example.com has no key that signs, and the MTA no fallback key (if From is the sender)',
    });
  });

  it('P3: refuses a label that is taken, and one that is not there', async () => {
    const taken = await account('add', 'alice@example.com', '--label', 'laptop');
    expect([taken.code, taken.out]).toEqual([1, '']);
    expect(taken.err).toMatch(/has a password with the label "laptop"/);
    expect((await account('revoke', 'alice@example.com', '--label', 'none')).code).toBe(1);
    expect((await account('revoke', 'nobody@example.com', '--all')).code).toBe(1);
  });
});
