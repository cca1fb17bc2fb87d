import { generateKeyPairSync, sign } from 'node:crypto';
import { promisify } from 'node:util';
import { signMessage } from '../mta/signer/signature.ts';
import { type BenchResult, percentile, rounded } from './result.ts';

const rounds = 7;
const messagesPerRound = 400;
/** Messages under way at a time, as in a busy MTA: the thread pool (4) never waits for the next one. */
const inFlight = 16;

/**
 * Q4: DKIM signatures of a 5 kB mail (RSA-2048, both canonicalizations, body hash, header field and all) in messages per
 * second, as a share of what the same library signs per second when it is given a few bytes and nothing else is to be done.
 * Rounds alternate, and the medians are compared.
 */
export async function run(): Promise<BenchResult[]> {
  const { privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const signer = { domain: 'a.example', selector: 'bench', algorithm: 'RSA' } as const;
  const wire = Buffer.from(mail());
  const signOnPool = promisify<string, Uint8Array, typeof key, Buffer>(sign);
  const input = Buffer.alloc(32);
  const signers = [
    { work: () => signMessage(wire, [{ signer, key }], 1_795_608_000), samples: [] as number[] },
    { work: () => signOnPool('sha256', input, key), samples: [] as number[] },
  ] as const;
  for (const { work } of signers) await rate(work);
  for (let round = 0; round < rounds; round += 1) {
    for (const { work, samples } of signers) samples.push(await rate(work));
  }
  const [ours, bare] = [percentile(signers[0].samples, 0.5), percentile(signers[1].samples, 0.5)];
  return [
    {
      id: 'Q4',
      what: 'DKIM RSA-2048 signatures of a 5 kB mail, share of the bare signing rate',
      value: rounded((ours / bare) * 100),
      unit: '%',
      target: '>= 70',
      peer: `bare crypto.sign: ${rounded(bare)}/s, ours ${rounded(ours)}/s`,
    },
  ];
}

/** Calls per second, with several under way at a time. */
async function rate(work: () => Promise<unknown>): Promise<number> {
  let left = messagesPerRound;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await work();
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, worker));
  return (messagesPerRound * 1000) / (performance.now() - start);
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
