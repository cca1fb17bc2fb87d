import type { SecretBundle } from '../bundle/policy-bundle.ts';
import { ffdhe2048 } from '../mta/ffdhe2048.ts';
import { domainPolicy } from '../policy/fixture.ts';
import { BareHaraka } from '../test/contract/bare-haraka.ts';
import { makeKey, publish, type TestKey } from '../test/dkim/keys.ts';
import { accountOf, password, signIn, signInOn } from '../test/wire/account.ts';
import { makeCertificate } from '../test/wire/certificate.ts';
import { eventually } from '../test/wire/eventually.ts';
import { startMta } from '../test/wire/mta-process.ts';
import { noSecrets } from '../test/wire/policy-files.ts';
import { route } from '../test/wire/route.ts';
import { startSink } from '../test/wire/sink.ts';
import type { SmtpClient } from '../test/wire/smtp-client.ts';
import { bundleWithLists, randomRanges, randomWords } from './address-lists.ts';
import { CountingSink } from './counting-sink.ts';
import { atRest, cpuSeconds, warmUpMessages } from './cpu.ts';
import { type BenchResult, pairedRatios, percentile, rounded } from './result.ts';
import { relayPlugin, stockConnectionIni, stockOutboundIni } from './stock-haraka.ts';

const entries = 10_000;
const rounds = 9;
const messagesPerRound = 400;
const sessions = 20;
const account = 'user@a.example';

interface Peer {
  readonly pid: number;
  /** Open and signed in. */
  readonly sessions: readonly SmtpClient[];
  /** Messages per CPU-second of each round. */
  readonly samples: number[];
}

/**
 * Q5: an account submits 5 kB messages over TLS, and the MTA signs each (DKIM, RSA-2048, relaxed/relaxed), has it on disk before
 * it answers 250 and passes it on: messages per second of the MTA's CPU time, beside stock Haraka with its own plugins for
 * TLS, accounts and DKIM. Sessions stay open; rounds alternate.
 */
export async function run(): Promise<BenchResult[]> {
  const key = makeKey('a.example', 'bench');
  const certificate = await makeCertificate();
  const proof = await startSink();
  const next = { host: '127.0.0.1', port: proof.port };
  await using mta = await startMta({
    ...policyWith(key, next.port),
    certificate,
    args: ['--submission', '127.0.0.1:0'],
  });
  await using bare = await startStock(key, certificate, next);
  const open = (signedIn: () => Promise<SmtpClient>) =>
    Promise.all(Array.from({ length: sessions }, signedIn));
  const ours: Peer = { pid: mta.pid, sessions: await open(() => signIn(mta, account)), samples: [] };
  const stock: Peer = {
    pid: bare.pid,
    sessions: await open(async () => signInOn(await bare.session(), account)),
    samples: [],
  };
  for (const peer of [ours, stock]) {
    await submit(peer, 1);
    await eventually(() => proof.mails.length === 1, 'the signed mail is there');
    const data = proof.mails.pop()?.data ?? '';
    if (!/^DKIM-Signature:/m.test(data)) throw new Error(`mail went out unsigned: ${data.slice(0, 500)}`);
  }
  await proof[Symbol.asyncDispose]();

  await using sink = await CountingSink.start(next.port);
  for (const peer of [ours, stock]) await relay(peer, sink, warmUpMessages);
  for (let round = 0; round < rounds; round += 1) {
    for (const peer of round % 2 === 0 ? [ours, stock] : [stock, ours])
      peer.samples.push(await relay(peer, sink, messagesPerRound));
  }
  const { low, median, high } = pairedRatios(ours.samples, stock.samples);
  const [mine, theirs] = [ours, stock].map(({ samples }) => rounded(percentile(samples, 0.5)));
  return [
    {
      id: 'Q5',
      what: `submission over TLS, DKIM RSA-2048 and relay of 5 kB, ${sessions} sessions, messages per CPU-second`,
      value: rounded(median),
      unit: 'x',
      target: '>= 2.2',
      peer: `stock Haraka with haraka-plugin-dkim: ${theirs}/CPU-s, ours ${mine}/CPU-s; half of ${rounds} rounds within ${rounded(low)} to ${rounded(high)}`,
    },
  ];
}

function policyWith(key: TestKey, port: number) {
  const next = randomWords(5);
  const { lists, domains, ...rest } = bundleWithLists(
    randomRanges(entries, 4, next),
    randomRanges(entries, 4, next),
  );
  const sender = domainPolicy('a.example', {
    outboundRouting: [{ match: 'External', changeRoute: 'out' }],
    dkim: [key.signer],
    submission: { enabled: true, accounts: true, recipientsPerHour: 1_000_000_000 },
  });
  // As many deliveries at a time as the limit of the whole MTA allows.
  const out = route('out', port, { connection: { maxConcurrent: 20, timeoutSeconds: 20 } });
  const secrets: SecretBundle = {
    ...noSecrets,
    dkimKeys: publish(key).dkimKeys,
    accounts: { 'a.example': [accountOf(account)] },
  };
  return { bundle: { ...rest, lists, domains: [sender, ...domains], routes: [out] }, secrets };
}

/** Stock Haraka that does the same with plugins of its own, the signature in the form that ours has. */
function startStock(
  key: TestKey,
  certificate: { readonly cert: string; readonly key: string },
  next: { readonly host: string; readonly port: number },
): Promise<BareHaraka> {
  const { domain, selector } = key.signer;
  return BareHaraka.start({
    plugin: relayPlugin(next),
    config: {
      plugins: 'tls\nauth/flat_file\ndkim\nunder_test\n',
      'connection.ini': stockConnectionIni,
      'outbound.ini': stockOutboundIni,
      'tls.ini': '[main]\nkey=tls_key.pem\ncert=tls_cert.pem\ndhparam=dhparams.pem\n',
      'tls_key.pem': certificate.key,
      'tls_cert.pem': certificate.cert,
      'dhparams.pem': ffdhe2048,
      'auth_flat_file.ini': `[core]\nmethods=PLAIN\n[users]\n${account}=${password}\n`,
      'dkim.ini': `[sign]\nenabled=true\nselector=${selector}\ndomain=${domain}\n[canon]\nbody=relaxed\n[verify]\nenabled=false\n`,
      'dkim.private.key': key.pem,
    },
  });
}

/** Submits messages and waits until all are delivered. @returns messages per second of CPU time */
async function relay(peer: Peer, sink: CountingSink, messages: number): Promise<number> {
  const expected = sink.count + messages;
  const before = await cpuSeconds(peer.pid);
  await submit(peer, messages);
  await sink.reaches(expected);
  const cpu = (await cpuSeconds(peer.pid)) - before;
  await atRest(peer.pid);
  return messages / cpu;
}

/** Sends messages over the open sessions. @throws Error unless all are accepted. */
async function submit(peer: Peer, count: number): Promise<void> {
  let left = count;
  const clients = peer.sessions.map(async (session) => {
    while (left > 0) {
      left -= 1;
      const replies = await session.mail({ from: account, to: ['x@elsewhere.example'], data: mail(left) });
      if (!replies.at(-1)?.startsWith('250')) throw new Error(`not accepted: ${replies.join(' | ')}`);
    }
  });
  await Promise.all(clients);
}

/** With all that a mail should have, so that nobody adds anything. */
function mail(number: number): string {
  const header = [
    `From: User <${account}>`,
    'To: Somebody <x@elsewhere.example>',
    'Subject: The minutes of our meeting',
    'Date: Wed, 25 Nov 2026 12:00:00 +0000',
    `Message-ID: <20261125120000.${number}@a.example>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
  ];
  return `${header.join('\r\n')}\r\n\r\n${`${'some words '.repeat(6)}\r\n`.repeat(70)}`;
}
