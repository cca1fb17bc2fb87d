import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { BareHaraka } from '../test/contract/bare-haraka.ts';
import { startPostfixGateway } from '../test/parts/postfix.ts';
import { eventually } from '../test/wire/eventually.ts';
import { startMta } from '../test/wire/mta-process.ts';
import { route } from '../test/wire/route.ts';
import { SmtpClient } from '../test/wire/smtp-client.ts';
import { bundleWithLists, randomRanges, randomWords } from './address-lists.ts';
import { CountingSink } from './counting-sink.ts';
import { atRest, cpuSeconds, warmUpMessages } from './cpu.ts';
import { type BenchResult, pairedRatios, percentile, rounded } from './result.ts';
import { relayPlugin, stockConnectionIni, stockOutboundIni } from './stock-haraka.ts';

const entries = 10_000;
const rounds = 7;
const messagesPerRound = 800;
const sessions = 20;
const messageBytes = 5_120;

interface Peer {
  readonly pid: number;
  readonly address: { readonly host: string; readonly port: number };
}

const names = ['Postern', 'Postfix', 'stock Haraka'] as const;
type Name = (typeof names)[number];

/** What one round of a peer took. */
interface Round {
  /** Messages per second at the sink, from the first connection to the last message. */
  readonly rate: number;
  /** Milliseconds of CPU time for each message, of all processes of the MTA. */
  readonly cpu: number;
}

/**
 * Q6: store and forward. smtp-source sends 5 kB messages over 20 sessions to an MTA that has each on disk before it answers
 * 250, and passes it on to smtp-sink; what counts is when the last one is there. Postern judges them by full lists, and logs
 * each of them as Postfix does; stock Haraka (one process, as Postern is) judges nothing and logs nothing. Rounds alternate.
 */
export async function run(): Promise<BenchResult[]> {
  await using sink = await CountingSink.start();
  const next = randomWords(6);
  const bundle = bundleWithLists(randomRanges(entries, 4, next), randomRanges(entries, 4, next), {
    mailbox: { kind: 'Route', route: 'sink' },
  });
  // As many deliveries at a time as Postfix makes to one destination.
  const out = route('sink', sink.port, { connection: { maxConcurrent: 20, timeoutSeconds: 20 } });
  await using mta = await startMta({ bundle: { ...bundle, routes: [out] } });
  await using postfix = await startPostfixGateway({
    host: '127.0.0.1',
    domains: ['example.com'],
    next: sink,
  });
  await eventually(() => answers(postfix), 'Postfix answers');
  await using bare = await BareHaraka.start({
    plugin: relayPlugin(sink),
    config: { 'connection.ini': stockConnectionIni, 'outbound.ini': stockOutboundIni },
  });
  const peers: Record<Name, Peer> = {
    Postern: { pid: mta.pid, address: mta.address('smtp') },
    Postfix: { pid: postfix.pid, address: postfix },
    'stock Haraka': { pid: bare.pid, address: bare.address },
  };
  return [
    ...(await compare(peers, sink, 'persistent connections', ['-d'])),
    ...(await compare(peers, sink, 'a new connection for each message', [])),
  ];
}

/** Rounds of every peer in turn. @param flags of smtp-source. */
async function compare(
  peers: Readonly<Record<Name, Peer>>,
  sink: CountingSink,
  how: string,
  flags: readonly string[],
): Promise<BenchResult[]> {
  const samples: Record<Name, Round[]> = { Postern: [], Postfix: [], 'stock Haraka': [] };
  for (const name of names) await relay(peers[name], sink, flags, warmUpMessages);
  for (let round = 0; round < rounds; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed())
      samples[name].push(await relay(peers[name], sink, flags, messagesPerRound));
  }
  const what = `store and forward of 5 kB, ${sessions} sessions, ${how}`;
  const of = (name: Name, figure: keyof Round) => samples[name].map((one) => one[figure]);
  const median = (name: Name, figure: keyof Round) => rounded(percentile(of(name, figure), 0.5));
  const speed = (peer: Name, target: string): BenchResult => {
    const { low, median: ratio, high } = pairedRatios(of('Postern', 'rate'), of(peer, 'rate'));
    return {
      id: 'Q6',
      what: `${what}, rate`,
      value: rounded(ratio),
      unit: 'x',
      target,
      peer: `${peer}: ${median(peer, 'rate')}/s, ours ${median('Postern', 'rate')}/s; half of ${rounds} rounds within ${rounded(low)} to ${rounded(high)}`,
    };
  };
  const cost = (peer: Name): BenchResult => ({
    id: 'Q6',
    what: `${what}, CPU per message`,
    value: median('Postern', 'cpu'),
    unit: 'ms',
    target: '-',
    peer: `${peer}: ${median(peer, 'cpu')} ms`,
    ratio: rounded(pairedRatios(of(peer, 'cpu'), of('Postern', 'cpu')).median),
  });
  return [speed('Postfix', '>= 1.2'), speed('stock Haraka', '-'), cost('Postfix'), cost('stock Haraka')];
}

/** @throws Error if the MTA does not take every message, or does not pass all of them on. */
async function relay(
  { pid, address }: Peer,
  sink: CountingSink,
  flags: readonly string[],
  messages: number,
): Promise<Round> {
  const expected = sink.count + messages;
  const cpuBefore = await cpuSeconds(pid);
  const start = performance.now();
  await promisify(execFile)('/usr/sbin/smtp-source', [
    ...['-4', '-m', `${messages}`, '-s', `${sessions}`, '-l', `${messageBytes}`, ...flags],
    ...['-M', 'client.example', '-f', 'sender@elsewhere.example', '-t', 'user@example.com'],
    `${address.host}:${address.port}`,
  ]);
  await sink.reaches(expected);
  const seconds = (performance.now() - start) / 1000;
  const cpu = (await cpuSeconds(pid)) - cpuBefore;
  await atRest(pid);
  return { rate: messages / seconds, cpu: (cpu * 1000) / messages };
}

async function answers(address: { host: string; port: number }): Promise<boolean> {
  const client = await SmtpClient.connect(address);
  const greeting = await client.reply();
  client.destroy();
  return greeting.startsWith('220');
}
