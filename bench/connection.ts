import { fileURLToPath } from 'node:url';
import { gatewayPolicy, tlsPeers } from '../policy/fixture.ts';
import { BareHaraka } from '../test/contract/bare-haraka.ts';
import { startNameServer } from '../test/parts/bind.ts';
import { startMta } from '../test/wire/mta-process.ts';
import { SmtpClient } from '../test/wire/smtp-client.ts';
import { bundleWithLists, randomRanges, randomWords } from './address-lists.ts';
import { cpuSeconds, warmUpMessages } from './cpu.ts';
import { junkPatterns } from './junk-patterns.ts';
import { type BenchResult, pairedRatios, percentile, rounded } from './result.ts';
import { stockConnectionIni } from './stock-haraka.ts';

const entries = 10_000;
/** Many short ones: what else runs on the machine then troubles few of them, and both sides of a pair alike. */
const rounds = 15;
const messagesPerRound = 400;
const sessions = 10;

/** Accepts everything and throws it away, without looking anything up. */
const discard = `
exports.hook_lookup_rdns = (next) => next(OK, 'x');
exports.hook_rcpt = (next) => next(OK);
exports.hook_queue = (next) => next(OK);
`;

/** Where the mail comes from, as its topmost Received line has it. */
const author = '203.0.113.10';
const blocked = '192.0.2.66';
/** The sender's domain. */
const zone = [
  '@ IN NS ns.invalid.',
  `@ IN TXT "v=spf1 ip4:${author} -all"`,
  '_dmarc IN TXT "v=DMARC1; p=none"',
];

/**
 * Q2: what the plugin adds to a connection with one transaction, with full lists, as CPU time of the process; against stock
 * Haraka that accepts everything: with the lists alone, and with more and more of what a domain can have and what needs nobody
 * else's server (a content filter does). All throw the mail away. In each round everyone takes the same mail, one after the other,
 * and is compared with stock Haraka in that round; the median of the rounds counts.
 */
export async function run(): Promise<BenchResult[]> {
  const next = randomWords(4);
  const allow = randomRanges(entries, 4, next);
  const block = [...randomRanges(entries, 4, next), blocked];
  const gateway = {
    gateway: gatewayPolicy({ addresses: ['127.0.0.1'], junkPatterns }),
    tls: tlsPeers('partner.example'),
  };
  const main = fileURLToPath(new URL('./discard-main.ts', import.meta.url));
  const dns = await startNameServer({ 'elsewhere.example': zone });
  try {
    await using lists = await startMta({ bundle: bundleWithLists(allow, block), main });
    await using front = await startMta({ bundle: bundleWithLists(allow, block, gateway), main });
    await using all = await startMta({
      bundle: bundleWithLists(allow, block, {
        ...gateway,
        authentication: { spf: 'Mark', dkim: 'Mark', dmarc: 'Quarantine', trustedArcSealers: [] },
      }),
      args: ['--resolver', dns.server],
      main,
    });
    await using bare = await BareHaraka.start({
      plugin: discard,
      config: { 'connection.ini': stockConnectionIni },
    });
    const peers = [
      { name: 'stock' as const, pid: bare.pid, address: bare.address },
      { name: 'lists' as const, pid: lists.pid, address: lists.address('smtp') },
      { name: 'front' as const, pid: front.pid, address: front.address('smtp') },
      { name: 'all' as const, pid: all.pid, address: all.address('smtp') },
    ];
    for (const { name, address } of peers) {
      const taken = (await send(address, blocked)).startsWith('250');
      if (taken !== (name === 'stock' || name === 'lists'))
        throw new Error(
          `${name}: mail of a blocked client behind the gateway was ${taken ? 'taken' : 'refused'}`,
        );
    }
    const samples = {
      stock: [] as number[],
      lists: [] as number[],
      front: [] as number[],
      all: [] as number[],
    };
    for (const { address } of peers) await load(address, warmUpMessages);
    for (let round = 0; round < rounds; round += 1) {
      for (const { name, pid, address } of round % 2 === 0 ? peers : peers.toReversed()) {
        const before = await cpuSeconds(pid);
        await load(address, messagesPerRound);
        const milliseconds = ((await cpuSeconds(pid)) - before) * 1000;
        samples[name].push(milliseconds / messagesPerRound);
      }
    }
    const full = `${entries} + ${entries} entries`;
    const behind = `${full}, a gateway with ${junkPatterns.length} junk patterns, the original client from Received, an inbound TlsPolicy`;
    return [
      row(full, samples.stock, samples.lists),
      row(behind, samples.stock, samples.front),
      row(
        `${behind}, SPF, DKIM and DMARC of unsigned mail with the answers of DNS cached`,
        samples.stock,
        samples.all,
      ),
    ];
  } finally {
    await dns.stop();
  }
}

/** @param theirs,ours milliseconds of each round. */
function row(what: string, theirs: readonly number[], ours: readonly number[]): BenchResult {
  const ratios = pairedRatios(ours, theirs);
  const [low, median, high] = [ratios.low, ratios.median, ratios.high].map((one) => rounded((one - 1) * 100));
  const [stock, mine] = [theirs, ours].map((list) => rounded(percentile(list, 0.5)));
  return {
    id: 'Q2',
    what: `CPU added to a connection with one 5 kB message: ${what}`,
    value: median ?? Number.NaN,
    unit: '%',
    target: '<= 10',
    peer: `stock Haraka: ${stock} ms, ours ${mine} ms; half of ${rounds} rounds within ${low} to ${high} %`,
  };
}

/** Sends messages, each over a connection of its own. @throws Error unless all are accepted. */
async function load(address: { host: string; port: number }, count: number): Promise<void> {
  let left = count;
  const client = async () => {
    while (left > 0) {
      left -= 1;
      const reply = await send(address, author);
      if (!reply.startsWith('250')) throw new Error(`not accepted: ${reply}`);
    }
  };
  await Promise.all(Array.from({ length: sessions }, client));
}

/**
 * Sends one message that an author's address has given to the hop in front.
 * @returns the last reply.
 */
async function send(address: { host: string; port: number }, from: string): Promise<string> {
  const received = `Received: from author.example (author.example [${from}])\r\n\tby hop.example (Postfix) with ESMTP id 4F1;\r\n\tWed, 25 Nov 2026 12:00:00 +0000\r\n`;
  const data = `${received}From: <sender@elsewhere.example>\r\nSubject: load\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(68)}`;
  const session = await SmtpClient.connect(address);
  await session.reply();
  await session.send('EHLO client.example');
  const replies = await session.mail({ to: ['user@example.com'], data });
  await session.send('QUIT');
  await session.untilClosed();
  return replies.at(-1) ?? '';
}
