import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls, getCiphers, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postern } from '../cli/run.ts';
import { makeRsaCertificate } from './certificate.ts';
import { filesOfManifests } from './manifest-policy.ts';
import { type MtaProcess, startMta } from './mta-process.ts';

// TlsPolicies for incoming mail, by their manifests; and what the listener itself agrees to.

const front = '198.51.100.1';
const stranger = '203.0.113.99';

const domain = (name: string) => `
apiVersion: postern.dev/v1alpha1
kind: MailDomain
metadata: {name: ${name}}
spec:
  domain: ${name}.example
  mailbox: {maildir: {}}
  recipients: {mode: List, addresses: [user, info]}
  authentication: {spf: Disabled, dkim: Disabled, dmarc: Disabled}
`;
const policy = (name: string, domains: string[], peers: string[]) => `
apiVersion: postern.dev/v1alpha1
kind: TlsPolicy
metadata: {name: ${name}}
spec: {title: T, domainRefs: [${domains.map((each) => `{name: ${each}}`).join(', ')}], directions: [Inbound], peerDomains: ${JSON.stringify(peers)}}
`;
const gateway = `
apiVersion: postern.dev/v1alpha1
kind: InboundGateway
metadata: {name: front}
spec: {domainRefs: [{name: bank}], addresses: [${front}]}
`;
const all = (...documents: string[]) => [domain('bank'), domain('shop'), gateway, ...documents].join('---\n');
const partners = policy('partners', ['bank'], ['partner.example', '*.wide.example']);
const second = policy('second', ['bank'], ['other.example', 'partner.example']);

let mta: MtaProcess;
beforeAll(async () => {
  mta = await startMta({
    certificate: await makeRsaCertificate(),
    args: ['--proxy-from', '127.0.0.1', '--submission', '127.0.0.1:0', '--submissions', '127.0.0.1:0'],
  });
  await mta.loadFiles(filesOfManifests(all(partners, second)));
}, 60_000);
afterAll(() => mta[Symbol.asyncDispose]());

interface Sending {
  readonly from?: string;
  readonly header?: string;
  readonly to?: string;
  readonly client?: string;
  readonly tls?: boolean;
}

/** The replies to RCPT and the end of DATA. */
async function send(over: Sending): Promise<string[]> {
  const { from = 'a@partner.example', header = from, to = 'user@bank.example', client = stranger } = over;
  const session = await mta.proxied(client);
  if (over.tls) {
    await session.send('STARTTLS');
    await session.secure();
    await session.send('EHLO client.example');
  }
  const received = client === front ? `Received: from x (x [${stranger}]) by gw.example; now\r\n` : '';
  const replies = await session.mail({
    from,
    to: [to],
    data: `${received}From: <${header}>\r\n\r\ntext\r\n`,
  });
  await session.send('QUIT');
  return replies.slice(1).map((reply) => reply.slice(0, 9));
}

const taken = ['250 2.1.5', '250 2.0.0'];
const atRcpt = ['530 5.7.0'];
const atEnd = ['250 2.1.5', '530 5.7.0'];

describe('mail from a listed partner', () => {
  test.each<[string, Sending, string[]]>([
    ['T1, T11: in clear is refused at RCPT', {}, atRcpt],
    ['T1: over TLS is taken', { tls: true }, taken],
    ['T1: to another hosted domain is taken in clear', { to: 'user@shop.example' }, taken],
    ['T1: of somebody else is taken in clear', { from: 'a@elsewhere.example' }, taken],
    ['T7: an exact name does not cover what is below it', { from: 'a@sub.partner.example' }, taken],
    ['T7: a wildcard covers what is below it', { from: 'a@x.y.wide.example' }, atRcpt],
    ['T7: a wildcard does not cover its own name', { from: 'a@wide.example' }, taken],
    ['T7: names are compared without case', { from: 'a@PARTNER.Example' }, atRcpt],
    ['T8: a second policy adds its peers', { from: 'a@other.example' }, atRcpt],
    [
      'T11: a null sender with a listed From is refused at the end',
      { from: '', header: 'a@partner.example' },
      atEnd,
    ],
    [
      'T11: another sender with a listed From, too',
      { from: 'a@elsewhere.example', header: 'a@partner.example' },
      atEnd,
    ],
    ['T11: a null sender with another From is taken', { from: '', header: 'a@elsewhere.example' }, taken],
    ['T13: through the gateway the rule is for its hop', { client: front }, atRcpt],
    ['T13: through the gateway over TLS it is taken', { client: front, tls: true }, taken],
  ])('%s', async (_what, sending, replies) => {
    expect(await send(sending)).toEqual(replies);
  });
});

test('T8, T9, T10: policies that are added, edited and deleted act on the next mail', async () => {
  await mta.loadFiles(filesOfManifests(all(second)));
  expect(await send({ from: 'a@x.wide.example' })).toEqual(taken);
  expect(await send({})).toEqual(atRcpt);
  await mta.loadFiles(filesOfManifests(all(policy('second', ['bank', 'shop'], ['new.example']))));
  expect(await send({})).toEqual(taken);
  expect(await send({ from: 'a@new.example', to: 'user@shop.example' })).toEqual(atRcpt);
  await mta.loadFiles(filesOfManifests(all()));
  expect(await send({ from: 'a@new.example' })).toEqual(taken);
  await mta.loadFiles(filesOfManifests(all(partners, second)));
  expect(await send({})).toEqual(atRcpt);
});

test('T2: the 31st policy of a domain does not act, and says so', async () => {
  const many = Array.from({ length: 31 }, (_, i) =>
    policy(`p${String(i).padStart(2, '0')}`, ['bank'], [`peer${i}.example`]),
  );
  await mta.loadFiles(filesOfManifests(all(...many)));
  expect(await send({ from: 'a@peer29.example' })).toEqual(atRcpt);
  expect(await send({ from: 'a@peer30.example' })).toEqual(taken);
  const { statuses } = await statusesOf(all(...many));
  expect(statuses.get('TlsPolicy/p30')?.conditions).toContain('Accepted=False/LimitExceeded');
  expect(statuses.get('TlsPolicy/p29')?.conditions).toContain('Accepted=True/Accepted');
  await mta.loadFiles(filesOfManifests(all(partners, second)));
});

test('T1, T8: the status of each policy has the effective table of its domains', async () => {
  const { statuses } = await statusesOf(all(partners, second));
  const row = (peer: string, ...from: string[]) => ({
    domain: 'bank.example',
    peer,
    direction: 'Inbound',
    requirements: ['TLS'],
    from,
  });
  expect(statuses.get('TlsPolicy/partners')?.effective).toEqual([
    expect.objectContaining(row('*.wide.example', 'partners')),
    expect.objectContaining(row('partner.example', 'partners', 'second')),
  ]);
  expect(statuses.get('TlsPolicy/second')?.effective).toEqual([
    expect.objectContaining(row('other.example', 'second')),
    expect.objectContaining(row('partner.example', 'partners', 'second')),
  ]);
});

interface ShownStatus {
  readonly conditions: readonly string[];
  readonly effective: unknown;
}

/** What `postern status` says of a folder with these manifests. */
async function statusesOf(manifests: string): Promise<{ statuses: Map<string, ShownStatus> }> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-tls-'));
  try {
    await writeFile(join(folder, 'mta.yaml'), 'heloName: mx.example.com\n');
    await writeFile(join(folder, 'policy.yaml'), manifests);
    const { out } = await postern('status', '-f', folder, '-o', 'json');
    const { objects } = JSON.parse(out);
    const statuses = new Map<string, ShownStatus>();
    for (const { kind, name, status } of objects) {
      const conditions = status.conditions.map(
        (each: { type: string; status: string; reason: string }) =>
          `${each.type}=${each.status}/${each.reason}`,
      );
      statuses.set(`${kind}/${name}`, { conditions, effective: status.effective });
    }
    return { statuses };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A TLS handshake after STARTTLS, or from the first byte. @returns protocol and cipher, or `refused`. */
async function shake(listener: 'smtp' | 'submissions', options: ConnectionOptions): Promise<string> {
  const socket = connect({ ...mta.address(listener), localAddress: '127.0.0.3' });
  try {
    await once(socket, 'connect');
    if (listener === 'smtp') {
      for (const line of ['', 'EHLO probe.example\r\n', 'STARTTLS\r\n']) {
        socket.write(line);
        await once(socket, 'data');
      }
    }
    const secure: TLSSocket = connectTls({ socket, rejectUnauthorized: false, ...options });
    const failed = once(secure, 'error').then(() => 'refused');
    const closed = once(secure, 'close').then(() => 'refused');
    const done = once(secure, 'secureConnect').then(
      () => `${secure.getProtocol()} ${secure.getCipher().name}`,
    );
    return await Promise.race([done, failed, closed]);
  } catch {
    return 'refused';
  } finally {
    socket.destroy();
  }
}

describe.each(['smtp', 'submissions'] as const)('the TLS floor of %s', (listener) => {
  test.each(['TLSv1', 'TLSv1.1'] as const)('T11: %s is refused', async (version) => {
    const only = { minVersion: version, maxVersion: version, ciphers: 'ALL:@SECLEVEL=0' };
    expect(await shake(listener, only)).toBe('refused');
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('T11: %s is spoken', async (version) => {
    expect(await shake(listener, { minVersion: version, maxVersion: version })).toMatch(
      new RegExp(`^${version} `),
    );
  });

  test('T11: of all ciphers that this machine knows only those with forward secrecy and a key are agreed to', async () => {
    const names = getCiphers().map((name) => name.toUpperCase());
    const old = names.filter((name) => !name.startsWith('TLS_'));
    const agreed: string[] = [];
    for (const name of [...old, 'DES-CBC3-SHA', 'RC4-SHA', 'NULL-SHA', 'AECDH-AES128-SHA', 'EXP-RC4-MD5']) {
      const options = {
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.2',
        ciphers: `${name}:@SECLEVEL=0`,
      } as const;
      const found = await shake(listener, options);
      if (found !== 'refused') agreed.push(name);
    }
    expect(agreed.length).toBeGreaterThan(3);
    expect(agreed.filter((name) => !/^(?:ECDHE|DHE)-RSA-(?:AES|CHACHA20)/.test(name))).toEqual([]);
  }, 60_000);
});

test('T11: without a certificate STARTTLS is not offered, and a listed partner is refused all the same', async () => {
  await using bare = await startMta({ args: ['--proxy-from', '127.0.0.1'] });
  await bare.loadFiles(filesOfManifests(all(partners)));
  const session = await bare.proxied(stranger);
  expect(await session.send('STARTTLS')).toMatch(/^5\d\d /);
  const [, reply] = await session.mail({ from: 'a@partner.example', to: ['user@bank.example'] });
  expect(reply).toMatch(/^530 5\.7\.0 /);
});
