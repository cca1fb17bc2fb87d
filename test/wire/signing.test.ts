import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PolicyBundle, SecretBundle } from '../../bundle/policy-bundle.ts';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { makeKey, publish } from '../dkim/keys.ts';
import { recordFaults } from '../faults/record.ts';
import { verifiers } from '../parts/dkim-verifiers.ts';
import { accountOf, signIn } from './account.ts';
import { makeCertificate } from './certificate.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { noSecrets } from './policy-files.ts';
import { route } from './route.ts';
import { type Sink, startSink } from './sink.ts';
import { message } from './smtp-client.ts';

const rsa = makeKey('a.example', 'rsa');
const ed = makeKey('a.example', 'ed', 'Ed25519');
const other = makeKey('b.example', 'b1');
const fallback = makeKey('platform.example', 'platform', 'RSA', { fallback: true });
const { records, dkimKeys } = publish(rsa, ed, other, fallback);

const secrets: SecretBundle = {
  ...noSecrets,
  dkimKeys,
  accounts: {
    'a.example': [
      accountOf('user@a.example', { sendAs: ['user@b.example', 'user@sub.a.example', '*@keyless.example'] }),
    ],
    'keyless.example': [accountOf('user@keyless.example')],
    'platform.example': [accountOf('user@platform.example')],
  },
};

let out: Sink;
let mta: MtaProcess;
beforeAll(async () => {
  out = await startSink();
  mta = await startMta({
    bundle: bundleWith(),
    secrets,
    certificate: await makeCertificate(),
    args: ['--submission', '127.0.0.1:0'],
  });
});
beforeEach(() => {
  out.mails.length = 0;
});
afterAll(async () => {
  await mta?.[Symbol.asyncDispose]();
  await out?.[Symbol.asyncDispose]();
});

/** Everything that is sent out goes to the sink; mail for forward.example is passed on to it as well. */
function bundleWith({ keys = [ed, rsa], withFallback = true } = {}): PolicyBundle {
  const outboundRouting = [{ match: 'External' as const, changeRoute: 'out' }];
  const mailbox = { kind: 'Route', route: 'out' } as const;
  return {
    ...bundleOf([
      domainPolicy('a.example', { outboundRouting, dkim: keys.map(({ signer }) => signer) }),
      domainPolicy('b.example', { outboundRouting, dkim: [other.signer] }),
      domainPolicy('forward.example', { mailbox }),
      domainPolicy('keyless.example', { outboundRouting }),
      domainPolicy('platform.example', {
        outboundRouting,
        ownership: 'Platform',
        dkim: withFallback ? [fallback.signer] : [],
      }),
    ]),
    routes: [route('out', out.port)],
  };
}

async function arrived(): Promise<string> {
  await eventually(() => out.mails.length === 1, 'the mail is at the sink');
  return out.mails[0]?.data ?? '';
}

/** Sends as an account; the reply to the end of the data. */
async function submit(
  data: string,
  { account = 'user@a.example', from = account }: { account?: string; from?: string } = {},
): Promise<string> {
  const session = await signIn(mta, account);
  const replies = await session.mail({ from, to: ['x@elsewhere.example'], data });
  await session.close();
  return replies.at(-1) ?? '';
}

const judge = async (data: string, name: keyof typeof verifiers) =>
  verifiers[name](Buffer.from(data, 'latin1'), records);

describe('mail of an account', () => {
  test('K8, K10, K15, P10: has what was missing, and two signatures that three verifiers accept', async () => {
    expect(await submit(message({ from: 'user@a.example', body: '..dot  and  space \r\n\r\n\r\n' }))).toMatch(
      /^250 /,
    );
    const data = await arrived();
    expect(data).toMatch(/^Date: \w{3}, \d{2} \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r$/m);
    expect(data).toMatch(/^Message-ID: <[^<>@\s]+@mx\.mta\.example>\r$/m);
    expect(await judge(data, 'mailauth')).toEqual(['ed=pass', 'rsa=pass']);
    expect(await judge(data, 'python3-dkim')).toEqual(['ed=pass', 'rsa=pass']);
    expect(await judge(data, 'opendkim')).toContain('rsa=pass');
  });

  test('P10: keeps a Date and a Message-ID of its own', async () => {
    const own = 'Date: Wed, 25 Nov 2026 12:00:00 +0000\r\nMESSAGE-ID: <mine@a.example>\r\n';
    await submit(`${own}${message({ from: 'user@a.example' })}`);
    const data = await arrived();
    expect(data.match(/^(?:date|message-id):.*$/gim)).toHaveLength(2);
    expect(data).toContain(own);
    expect(await judge(data, 'mailauth')).toEqual(['ed=pass', 'rsa=pass']);
  });

  test('K1, K17: of a domain without a key is signed with the fallback key, and with its own once it has one', async () => {
    await submit(message({ from: 'user@keyless.example' }), { account: 'user@keyless.example' });
    const data = await arrived();
    expect(data).toMatch(/\bd=platform\.example;/);
    expect(await judge(data, 'mailauth')).toEqual(['platform=pass']);
    out.mails.length = 0;
    const bundle = bundleWith();
    const own = makeKey('keyless.example', 'own');
    const domains = bundle.domains.map((one) =>
      one.domain === 'keyless.example' ? { ...one, dkim: [own.signer] } : one,
    );
    const all = { ...dkimKeys, 'keyless.example/own': own.pem };
    await mta.loadPolicy({ ...bundle, domains }, { ...secrets, dkimKeys: all });
    await submit(message({ from: 'user@keyless.example' }), { account: 'user@keyless.example' });
    expect(await arrived()).toMatch(/\bd=keyless\.example;/);
    await mta.loadPolicy(bundle, secrets);
  });

  test('K1: without a fallback key it is not signed', async () => {
    await mta.loadPolicy(bundleWith({ withFallback: false }), secrets);
    await submit(message({ from: 'user@keyless.example' }), { account: 'user@keyless.example' });
    expect(await arrived()).not.toMatch(/^DKIM-Signature:/im);
    await mta.loadPolicy(bundleWith(), secrets);
  });

  test('K8, K14: a key that is in the policy signs from the next message on, one that is out of it no more', async () => {
    await mta.loadPolicy(bundleWith({ keys: [rsa] }), secrets);
    await submit(message({ from: 'user@a.example' }));
    expect(await judge(await arrived(), 'mailauth')).toEqual(['rsa=pass']);
    out.mails.length = 0;
    await mta.loadPolicy(bundleWith({ keys: [] }), secrets);
    await submit(message({ from: 'user@a.example' }));
    expect(await arrived()).toMatch(/\bd=platform\.example;/);
    await mta.loadPolicy(bundleWith(), secrets);
  });
});

test('K14: mail sent across a rotation verifies at arrival and seven days later, also what waited in the queue meanwhile', async () => {
  const [old, next] = [makeKey('a.example', 'old'), makeKey('a.example', 'next')];
  const keys = publish(old, next);
  const both = { ...secrets, dkimKeys: { ...dkimKeys, ...keys.dkimKeys } };
  const send = async (subject: string) =>
    expect(await submit(message({ from: 'user@a.example', subject }))).toMatch(/^250 /);
  const received = (subject: string) =>
    out.mails.find(({ data }) => data.includes(`Subject: ${subject}\r\n`))?.data;

  await mta.loadPolicy(bundleWith({ keys: [old] }), both);
  await send('before');
  await eventually(() => received('before') !== undefined, 'the first mail is there');
  out.behaviour = { rcpt: () => '451 4.3.0 come again' };
  await send('waiting');
  const deferred = () =>
    mta.logged(({ event, reason }) => event === 'deferred' && `${reason}`.includes('come again'));
  await eventually(() => deferred().length > 0, 'one waits');
  await mta.loadPolicy(bundleWith({ keys: [next] }), both);
  out.behaviour = {};
  await send('after');
  await eventually(() => out.mails.length === 3, 'all three are there');

  const now = Date.now();
  const week = 7 * 24 * 60 * 60 * 1000;
  for (const at of [new Date(now), new Date(now + week)]) {
    for (const [subject, selector] of [
      ['before', 'old'],
      ['waiting', 'old'],
      ['after', 'next'],
    ] as const) {
      const mail = Buffer.from(received(subject) ?? '', 'latin1');
      for (const name of ['mailauth', 'python3-dkim'] as const)
        expect(await verifiers[name](mail, keys.records, at), `${subject}, ${name}, ${at}`).toEqual([
          `${selector}=pass`,
        ]);
    }
  }
  await mta.loadPolicy(bundleWith(), secrets);
});

describe('K12: not signed is', () => {
  test.each([
    ['the From of another tenant that the account may send as', 'user@b.example'],
    ['the From of a subdomain', 'user@sub.a.example'],
    ['the From of another domain without a key', 'x@keyless.example'],
  ])('%s', async (_what, from) => {
    expect(await submit(message({ from }), { from })).toMatch(/^250 /);
    expect(await arrived()).not.toMatch(/^DKIM-Signature:/im);
  });

  test('mail from outside that is passed on, whatever its From', async () => {
    const session = await mta.session();
    const data = message({ from: 'user@a.example', subject: 'forged' });
    const replies = await session.mail({ from: 'user@a.example', to: ['info@forward.example'], data });
    expect(replies.at(-1)).toMatch(/^250 /);
    const passedOn = await arrived();
    expect(passedOn).toContain('Subject: forged');
    expect(passedOn).not.toMatch(/^(?:DKIM-Signature|Date|Message-ID):/im);
  });

  test('mail with two From headers: it is refused', async () => {
    const data = `From: <user@a.example>\r\n${message({ from: 'user@a.example' })}`;
    expect(await submit(data)).toMatch(/^550 5\.7\.1 /);
  });
});

describe('a key that is in the policy and not in the pod', () => {
  const lost = makeKey('a.example', 'lost');

  test('X9: defers mail rather than letting it go unsigned', async () => {
    await mta.loadPolicy(bundleWith({ keys: [lost, rsa] }), secrets);
    expect(await submit(message({ from: 'user@a.example' }))).toMatch(/^451 4\.3\.0 /);
    expect(await mta.queued()).toEqual([]);
    recordFaults(1);
  });

  test('X9: another key under its name counts as missing', async () => {
    const wrong = { ...secrets, dkimKeys: { ...dkimKeys, 'a.example/lost': rsa.pem } };
    await mta.loadPolicy(bundleWith({ keys: [lost] }), wrong);
    expect(await submit(message({ from: 'user@a.example' }))).toMatch(/^451 4\.3\.0 /);
    const right = { ...secrets, dkimKeys: { ...dkimKeys, 'a.example/lost': lost.pem } };
    await mta.loadPolicy(bundleWith({ keys: [lost] }), right);
    expect(await submit(message({ from: 'user@a.example' }))).toMatch(/^250 /);
    expect(await arrived()).toMatch(/\bs=lost;/);
    recordFaults(1);
  });

  test('X9, K16: signs on with it if only its Secret is lost', async () => {
    await mta.loadPolicy(bundleWith({ keys: [lost] }), { ...secrets, dkimKeys: {} });
    expect(await submit(message({ from: 'user@a.example' }))).toMatch(/^250 /);
    const data = await arrived();
    const { records: published } = publish(lost);
    expect(await verifiers.mailauth(Buffer.from(data, 'latin1'), published)).toEqual(['lost=pass']);
    recordFaults(1);
  });

  test('no private key reaches the log', () => {
    expect(mta.lines.join('\n')).not.toMatch(/PRIVATE KEY|MII[A-Za-z0-9+/]{20}/);
  });
});
