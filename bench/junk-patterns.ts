import { runInNewContext } from 'node:vm';
import { domainPolicy, gatewayPolicy, policyOf } from '../policy/fixture.ts';
import { findJunkPattern, type JunkPattern } from '../policy/junk-pattern.ts';
import type { DataFacts } from '../policy/types.ts';
import { randomWords } from './address-lists.ts';
import { threadMilliseconds } from './cpu.ts';
import { type BenchResult, percentile, rounded } from './result.ts';

type Headers = DataFacts['headers'];

const rounds = 15;
/** In a round: the CPU time of a thread moves on in steps of up to 4 ms, so a round takes many times that. */
const messages = 60;
const headerBytes = 50_000;
/** Milliseconds after which V8 is not waited for any longer. */
const patienceMs = 1_000;

/** Twenty as administrators write them, in the syntax that RE2 and V8 share. */
export const junkPatterns = [
  '^X-Spam-Flag: YES$',
  '^X-Spam-Status: Yes',
  '^X-Spam-Level: \\*{5,}',
  '^X-Spam-Score: (?:[5-9]|[1-9]\\d+)(?:\\.\\d+)?$',
  '^X-Gateway-Verdict: (?:spam|bulk|phish(?:ing)?)\\b',
  '^X-Bulk-Score: \\d{3,}',
  '^X-Mailer: .*(?:Mass|Bulk) ?Mail',
  '^Precedence: (?:bulk|junk)$',
  '^Subject: .*\\[SPAM\\]',
  '^Subject: (?i:.*\\b(?:lottery|casino|pills)\\b)',
  '^Subject: .*!{3,}$',
  '^Subject: (?:[A-Z]{2,} ){6,}',
  '^From: .*@[a-z0-9-]+\\.(?:top|click|xyz)>?$',
  '^From: "[^"]*@[^"]*" <',
  '^Reply-To: .*@(?:[a-z0-9]+-){4,}',
  '^List-Unsubscribe: .*\\bcampaign=\\d+',
  '^Received: .*\\bunknown \\[\\d+\\.\\d+\\.\\d+\\.\\d+\\].*\\bhelo=localhost\\b',
  '^Received: .*\\bby [a-z]+\\d+-relay\\.bad\\.example\\b',
  '^Authentication-Results: .*\\bdmarc=fail\\b',
  '(?i:x-originating-ip: \\[203\\.0\\.113\\.\\d{1,3}\\])',
];

/** The classic that takes a backtracking engine a time exponential in the length of the text. */
const pathological = '(a+)+$';

/**
 * Q12: what twenty junk patterns cost a message with a header of 50 kB in which none of them matches, so that each looks at
 * all of it; beside V8's RegExp with the same patterns on the same lines. Then a pattern on which RegExp never ends. CPU time
 * of the thread.
 */
export async function run(): Promise<BenchResult[]> {
  const next = randomWords(12);
  const mails = Array.from({ length: messages }, () => header(next));
  const ours = await compiled(junkPatterns);
  const theirs = junkPatterns.map((text) => new RegExp(text));
  const find = {
    ours: (headers: Headers) => findJunkPattern(ours, headers) !== undefined,
    theirs: (headers: Headers) => {
      const lines = headers.map(([name, value]) => `${name}: ${value}`);
      return theirs.some((pattern) => lines.some((line) => pattern.test(line)));
    },
  };
  proveThatEachCanMatch(ours, theirs);
  const samples = { ours: [] as number[], theirs: [] as number[] };
  for (let round = -3; round < rounds; round += 1) {
    for (const who of ['ours', 'theirs'] as const) {
      const milliseconds = cost(() => {
        for (const headers of mails) if (find[who](headers)) throw new Error('a pattern matches');
      });
      // The first rounds are for the compiler.
      if (round >= 0) samples[who].push(milliseconds / messages);
    }
  }
  const [mine, others] = [percentile(samples.ours, 0.5), percentile(samples.theirs, 0.5)];
  return [
    {
      id: 'Q12',
      what: `${junkPatterns.length} junk patterns on ${headerBytes / 1000} kB of header`,
      value: rounded(mine),
      unit: 'ms',
      target: '<= 8',
      peer: `RegExp: ${rounded(others)} ms`,
      ratio: rounded(others / mine),
    },
    await stallingPattern(),
  ];
}

/** One line of 50 kB that nearly matches. */
async function stallingPattern(): Promise<BenchResult> {
  const value = `${'a'.repeat(headerBytes)}!`;
  const program = await compiled([pathological]);
  const samples = Array.from({ length: rounds }, () => {
    const milliseconds = cost(() => {
      for (let message = 0; message < messages; message += 1)
        if (findJunkPattern(program, [['X', value]]) !== undefined) throw new Error('the pattern matches');
    });
    return milliseconds / messages;
  });
  const text = value.slice(-41);
  if (!regExpGivesUp(text)) throw new Error('RegExp has found its way: the pattern shows nothing');
  return {
    id: 'Q12',
    what: `${pathological} on one line of ${headerBytes / 1000} kB that nearly matches`,
    value: rounded(percentile(samples, 0.5)),
    unit: 'ms',
    target: '<= 8',
    peer: `RegExp on ${text.length} of its characters: given up after ${patienceMs} ms`,
  };
}

/** Whether V8 is still searching when the patience with it ends. */
function regExpGivesUp(text: string): boolean {
  try {
    runInNewContext(
      'pattern.test(text)',
      { pattern: new RegExp(pathological), text },
      { timeout: patienceMs },
    );
    return false;
  } catch (error) {
    // Of the other context, so no Error of ours.
    if (Object(error).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return true;
    throw error;
  }
}

/** As the MTA compiles them when it loads the policy. */
async function compiled(texts: string[]): Promise<readonly JunkPattern[]> {
  const policy = await policyOf([
    domainPolicy('example.com', { gateway: gatewayPolicy({ junkPatterns: texts }) }),
  ]);
  const gateway = policy.domains.get('example.com')?.gateway;
  if (gateway === undefined) throw new Error('the domain has no gateway');
  return gateway.junkPatterns;
}

/** Both engines must understand the patterns alike, or they are not compared. */
function proveThatEachCanMatch(ours: readonly JunkPattern[], theirs: readonly RegExp[]): void {
  const lines: Headers = [
    ['X-Spam-Flag', 'YES'],
    ['Subject', 'WIN THE BIG NEW CASINO NOW !!!'],
    ['From', '"boss@bank.example" <a@b.top>'],
  ];
  for (const [name, value] of lines) {
    const found = ours.filter((pattern) => findJunkPattern([pattern], [[name, value]]) !== undefined);
    const expected = theirs.filter((pattern) => pattern.test(`${name}: ${value}`));
    const texts = found.map(({ text }) => text);
    if (texts.length === 0 || texts.join('\n') !== expected.map(({ source }) => source).join('\n'))
      throw new Error(`the engines differ on ${name}: ${value}`);
  }
}

/** Lines as a mail collects them on a long way: most from relays, some seals, a few of the author's. */
function header(next: () => number): Headers {
  const word = () => next().toString(36);
  const lines: [string, string][] = [
    ['From', `Some Body <${word()}@sender.example>`],
    ['Subject', `The minutes of our meeting ${word()}`],
    ['List-Unsubscribe', `<https://lists.example/u?${word()}>`],
  ];
  const size = () => lines.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
  while (size() < headerBytes) {
    lines.push([
      'Received',
      `from ${word()}.example (${word()}.example [198.51.100.${next() % 256}]) by mx.${word()}.example with ESMTPS id ${word()} for <user@example.com>; Wed, 25 Nov 2026 12:00:00 +0000`,
    ]);
    lines.push(['ARC-Seal', `i=1; a=rsa-sha256; s=s1; d=${word()}.example; cv=none; b=${seal(next)}`]);
    lines.push(['X-Trace', word()]);
  }
  return lines;
}

function seal(next: () => number): string {
  return Buffer.from(Uint32Array.from({ length: 64 }, next).buffer).toString('base64');
}

/** Milliseconds of CPU time. */
function cost(work: () => void): number {
  const before = threadMilliseconds();
  work();
  return threadMilliseconds() - before;
}
