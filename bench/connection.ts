import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { BareHaraka } from '../test/contract/bare-haraka.ts';
import { startMta } from '../test/wire/mta-process.ts';
import { SmtpClient } from '../test/wire/smtp-client.ts';
import { bundleWithLists, randomRanges, randomWords } from './address-lists.ts';
import { type BenchResult, percentile, rounded } from './result.ts';

const entries = 10_000;
const rounds = 7;
const messagesPerRound = 800;
const sessions = 10;
/** Clock ticks of /proc/<pid>/stat. */
const ticksPerSecond = 100;

/** Accepts everything and throws it away, without looking anything up. */
const discard = `
exports.hook_lookup_rdns = (next) => next(OK, 'x');
exports.hook_rcpt = (next) => next(OK);
exports.hook_queue = (next) => next(OK);
`;

/** connection.ini as Haraka ships it. */
const stockConnectionIni = `[main]
[haproxy]
[headers]
max_lines=1000
max_received=100
[max]
bytes=26214400
mime_parts=1000
line_length=512
data_line_length=992
[message]
helo=Haraka is at your service.
close=closing connection. Have a jolly good day.
[uuid]
banner_chars=6
deny_chars=0
`;

/**
 * Q2: what the plugin adds to a connection with one transaction, with full lists, as CPU time of the process; against stock
 * Haraka that accepts everything. Both throw the mail away. Rounds alternate, and the medians are compared.
 */
export async function run(): Promise<BenchResult[]> {
  const next = randomWords(4);
  const bundle = bundleWithLists(randomRanges(entries, 4, next), randomRanges(entries, 4, next));
  const main = fileURLToPath(new URL('./discard-main.ts', import.meta.url));
  await using mta = await startMta({ bundle, main });
  await using bare = await BareHaraka.start({
    plugin: discard,
    config: { 'connection.ini': stockConnectionIni },
  });
  const peers = [
    { pid: mta.pid, address: mta.address('smtp'), samples: [] as number[] },
    { pid: bare.pid, address: bare.address, samples: [] as number[] },
  ] as const;
  for (const { address } of peers) await load(address, messagesPerRound);
  for (let round = 0; round < rounds; round += 1) {
    for (const { pid, address, samples } of peers) {
      const before = await cpuSeconds(pid);
      await load(address, messagesPerRound);
      samples.push((((await cpuSeconds(pid)) - before) * 1000) / messagesPerRound);
    }
  }
  const [ours, theirs] = [percentile(peers[0].samples, 0.5), percentile(peers[1].samples, 0.5)];
  return [
    {
      id: 'Q2',
      what: `CPU added to a connection with one 5 kB message, ${entries} + ${entries} entries`,
      value: rounded(((ours - theirs) / theirs) * 100),
      unit: '%',
      target: '<= 10',
      peer: `stock Haraka: ${rounded(theirs)} ms, ours ${rounded(ours)} ms`,
      ratio: rounded(theirs / ours),
    },
  ];
}

/** CPU seconds, user and system, of the process and all its threads. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold spaces; utime and stime are the 14th and 15th field.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Sends messages, each over a connection of its own. @throws Error unless all are accepted. */
async function load(address: { host: string; port: number }, count: number): Promise<void> {
  const data = `From: <sender@elsewhere.example>\r\nSubject: load\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(68)}`;
  let left = count;
  const client = async () => {
    while (left > 0) {
      left -= 1;
      const session = await SmtpClient.connect(address);
      await session.reply();
      await session.send('EHLO client.example');
      const replies = await session.mail({ to: ['user@example.com'], data });
      if (!replies.at(-1)?.startsWith('250')) throw new Error(`not accepted: ${replies.join(' | ')}`);
      await session.send('QUIT');
      await session.untilClosed();
    }
  };
  await Promise.all(Array.from({ length: sessions }, client));
}
