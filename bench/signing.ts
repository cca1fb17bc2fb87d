import { execFile } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { signMessage } from '../mta/signer/signature.ts';
import { type BenchResult, percentile, rounded } from './result.ts';

const rounds = 7;
const messagesPerRound = 800;
/** Messages under way at a time, as in a busy MTA: the thread pool (4) never waits for the next one. */
const inFlight = 16;

/** Signatures per second, on the clock and per second of CPU time. */
interface Rate {
  readonly wall: number;
  readonly cpu: number;
}

/**
 * Q4: DKIM signatures of a 5 kB mail (RSA-2048, both canonicalizations, body hash, header field and all), as a share of what
 * `openssl speed` signs on the same cores, and of what Node's own library signs when it is given a few bytes and nothing else
 * is to be done. Rounds alternate, and the medians are compared; what stands per CPU-second holds on a busy machine too.
 */
export async function run(): Promise<BenchResult[]> {
  const { privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const signer = { domain: 'a.example', selector: 'bench', algorithm: 'RSA' } as const;
  const wire = Buffer.from(mail());
  const signOnPool = promisify<string, Uint8Array, typeof key, Buffer>(sign);
  const input = Buffer.alloc(32);
  const peers = {
    ours: () => rate(() => signMessage(wire, [{ signer, key }], 1_795_608_000)),
    bare: () => rate(() => signOnPool('sha256', input, key)),
    openssl: async () => ({ wall: await opensslWall(), cpu: await opensslCpu() }),
  };
  const samples = { ours: [] as Rate[], bare: [] as Rate[], openssl: [] as Rate[] };
  await peers.ours();
  await peers.bare();
  for (let round = 0; round < rounds; round += 1) {
    samples.ours.push(await peers.ours());
    samples.openssl.push(await peers.openssl());
    samples.bare.push(await peers.bare());
  }
  const share = (peer: 'openssl' | 'bare', clock: 'wall' | 'cpu', how: string): BenchResult => {
    const median = (list: readonly Rate[]) =>
      percentile(
        list.map((one) => one[clock]),
        0.5,
      );
    const [mine, theirs] = [median(samples.ours), median(samples[peer])];
    const unit = clock === 'cpu' ? 'CPU-s' : 's';
    return {
      id: 'Q4',
      what: `DKIM RSA-2048 signatures of a 5 kB mail per ${unit}, share of the bare rate`,
      value: rounded((mine / theirs) * 100),
      unit: '%',
      target: '>= 70',
      peer: `${how}: ${rounded(theirs)}/${unit}, ours ${rounded(mine)}/${unit}`,
    };
  };
  const cores = availableParallelism();
  return [
    share('openssl', 'cpu', `openssl speed, ${cores} at a time`),
    share('openssl', 'wall', `openssl speed -multi ${cores}`),
    share('bare', 'cpu', 'bare crypto.sign'),
  ];
}

/** Calls per second, with several under way at a time: the thread pool is busy on all cores. */
async function rate(work: () => Promise<unknown>): Promise<Rate> {
  let left = messagesPerRound;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await work();
    }
  };
  const before = process.cpuUsage();
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, worker));
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { wall: messagesPerRound / seconds, cpu: (messagesPerRound * 1e6) / (user + system) };
}

/** Signatures per second of all cores together. */
function opensslWall(): Promise<number> {
  return opensslSpeed('-elapsed', '-multi', `${availableParallelism()}`);
}

/** Signatures per CPU-second while all cores sign. */
async function opensslCpu(): Promise<number> {
  const each = await Promise.all(Array.from({ length: availableParallelism() }, () => opensslSpeed()));
  return each.reduce((sum, one) => sum + one, 0) / each.length;
}

/** @returns sign/s as `openssl speed` prints it: per second of user CPU time, unless asked for `-elapsed`. */
async function opensslSpeed(...options: readonly string[]): Promise<number> {
  const { stdout } = await promisify(execFile)('openssl', ['speed', '-seconds', '1', ...options, 'rsa2048']);
  // Seconds for each operation come first, then operations per second; signing leads in both.
  const signatures = /^rsa +2048 bits(?: +[\d.]+s)+ +([\d.]+)/m.exec(stdout)?.[1];
  if (signatures === undefined) throw new Error(`openssl speed printed no rate: ${stdout}`);
  return Number(signatures);
}

function mail(): string {
  const header = [
    'From: User <user@a.example>',
    'To: Somebody <somebody@b.example>',
    'Subject: The minutes of our meeting',
    'Date: Wed, 25 Nov 2026 12:00:00 +0000',
    'Message-ID: <20261125120000.1@a.example>',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
  ];
  return `${header.join('\r\n')}\r\n\r\n${`${'some words '.repeat(6)}\r\n`.repeat(68)}`;
}
