import { mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Journal, type JournalPlace, type LeftLeg } from './journal.ts';
import { readSegment } from './journal-record.ts';

let directory: string;
let problems: string[];
let outgrown: number[];
/** Messages that are on their way in beside those of the test. */
let siblings: number;
beforeEach(async () => {
  siblings = 0;
  directory = await mkdtemp(join(tmpdir(), 'postern-journal-'));
  problems = [];
  outgrown = [];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** As a process would after the one before was killed: nothing is closed. */
const reopen = () =>
  Journal.open(directory, {
    siblings: () => siblings,
    problem: (text) => problems.push(text),
    outgrown: (oldest) => outgrown.push(oldest),
  });

const leg = (name: string) => ({ name, head: Buffer.from(`head of ${name}\n`) });
const fileOf = (name: string, text: string) => `head of ${name}\n${text}`;

const append = (journal: Journal, names: readonly string[], text: string) =>
  journal.append(names.map(leg), Buffer.from(text));

const told = (left: readonly LeftLeg[]) => left.map(({ name, file }) => [name, file.toString()]);

function release(places: readonly (JournalPlace | undefined)[]): void {
  for (const place of places) place?.release();
}

const segments = async () => (await readdir(directory)).filter((name) => name.endsWith('.journal'));
async function onlySegment(): Promise<string> {
  const [name, ...more] = await segments();
  if (name === undefined || more.length > 0) throw new Error('there is not one segment');
  return join(directory, name);
}

test('what is not released is found by the next process, each leg with its file', async () => {
  const { journal, left } = await reopen();
  expect(left).toEqual([]);
  await append(journal, ['a.1', 'a.2'], 'first');
  const [, second] = await append(journal, ['b.1', 'b.2'], 'second');
  release([second]);
  await append(journal, ['c.1'], '');
  expect(told((await reopen()).left)).toEqual([
    ['a.1', fileOf('a.1', 'first')],
    ['a.2', fileOf('a.2', 'first')],
    ['b.1', fileOf('b.1', 'second')],
    ['c.1', fileOf('c.1', '')],
  ]);
  expect(problems).toEqual([]);
});

test('what the next process releases, the one after it does not find, and the file goes', async () => {
  const { journal } = await reopen();
  await append(journal, ['a.1'], 'first');
  await append(journal, ['b.1'], 'second');
  const { left } = await reopen();
  left[0]?.place.release();
  const last = await reopen();
  expect(told(last.left)).toEqual([['b.1', fileOf('b.1', 'second')]]);
  last.left[0]?.place.release();
  await vi.waitFor(async () => expect(await segments()).toEqual([]));
});

test('messages that come at the same time share writes, and each has its own place', async () => {
  const { journal } = await reopen();
  const names = Array.from({ length: 200 }, (_, index) => `m${index}.1`);
  const places = await Promise.all(names.map((name) => append(journal, [name], `text of ${name}`)));
  release(places.filter((_, index) => index % 2 === 0).flat());
  const expected = names.filter((_, index) => index % 2 === 1);
  expect(told((await reopen()).left)).toEqual(
    expected.map((name) => [name, fileOf(name, `text of ${name}`)]),
  );
});

test('a write that was cut off at any octet costs nothing of what was answered before', async () => {
  const { journal } = await reopen();
  await append(journal, ['a.1'], 'answered');
  const path = await onlySegment();
  const before = (await readFile(path)).length;
  await append(journal, ['b.1', 'b.2'], 'cut off');
  const whole = await readFile(path);
  for (let length = before; length < whole.length; length += 1)
    expect(told(legsOf(whole.subarray(0, length)))).toEqual([['a.1', fileOf('a.1', 'answered')]]);
  await truncate(path, whole.length - 1);
  const { left } = await reopen();
  expect(left.map(({ name }) => name)).toEqual(['a.1']);
  expect(problems).toEqual([expect.stringMatching(/\d+ octets are no mail/)]);
});

const legsOf = (segment: Buffer) => (readSegment(segment)?.legs ?? []).map((found) => ({ ...found, place }));
const place: JournalPlace = { segment: 0, release: () => undefined };

test('damage to one record costs that record alone, and is told of', async () => {
  const { journal } = await reopen();
  for (const name of ['a', 'b', 'c']) await append(journal, [`${name}.1`], `text of ${name}`);
  const path = await onlySegment();
  const at = (await readFile(path)).indexOf('text of b');
  const file = await open(path, 'r+');
  await file.write(Buffer.from('X'), 0, 1, at);
  await file.close();
  expect((await reopen()).left.map(({ name }) => name)).toEqual(['a.1', 'c.1']);
  expect(problems).toEqual([expect.stringMatching(/\d+ octets are no mail/)]);
});

test('a message that looks like a journal is a message, also beside damage', async () => {
  const { journal } = await reopen();
  await append(journal, ['forged.1'], 'what an attacker has recorded elsewhere');
  const stolen = await readFile(await onlySegment());
  await rm(await onlySegment());
  // The journal sees that its file is gone, and begins another one.
  await expect(append(journal, ['lost.1'], '')).rejects.toThrow('was removed');
  await journal.append([leg('a.1')], stolen);
  await append(journal, ['b.1'], 'text of b');
  const bytes = await readFile(await onlySegment());
  const headAt = bytes.indexOf('head of a.1');
  bytes[headAt] = 0;
  expect(legsOf(bytes).map(({ name }) => name)).toEqual(['b.1']);
});

test('a segment goes when nothing in it is needed, and old ones are asked to be emptied', async () => {
  const { journal } = await reopen();
  const large = Buffer.alloc(1_048_576, 'x');
  const kept: JournalPlace[] = [];
  for (let index = 0; index < 100; index += 1) {
    const [one] = await journal.append([leg(`m${index}.1`)], large);
    if (one === undefined) throw new Error('no place');
    // Somebody waits in each segment.
    if (index % 20 === 0) kept.push(one);
    else one.release();
  }
  const numbers = kept.map(({ segment }) => segment);
  expect(new Set(numbers).size).toBe(5);
  expect(outgrown.length).toBeGreaterThan(0);
  expect(outgrown.at(-1)).toBeGreaterThan(Math.min(...numbers));
  release(kept);
  await vi.waitFor(async () => expect((await segments()).length).toBeLessThanOrEqual(1));
  // The one that was written to last goes as well, once nothing comes any more.
  await vi.waitFor(async () => expect(await segments()).toEqual([]), { timeout: 20_000 });
  await append(journal, ['later.1'], 'still takes mail');
  expect((await reopen()).left.map(({ name }) => name)).toEqual(['later.1']);
});

test('a file that is no journal is set aside and told of; an empty one goes', async () => {
  await writeFile(join(directory, '0000000003.journal'), 'x'.repeat(100));
  await writeFile(join(directory, '0000000007.journal'), '');
  const { journal, left } = await reopen();
  expect(left).toEqual([]);
  expect(await readdir(directory)).toEqual(['0000000003.journal.unreadable']);
  expect(problems).toEqual([expect.stringContaining('0000000003.journal is no journal')]);
  await append(journal, ['a.1'], '');
  expect(await segments()).toEqual(['0000000008.journal']);
});

test('a journal that is closed leaves what is needed, and nothing else', async () => {
  const { journal } = await reopen();
  const [first] = await append(journal, ['a.1'], 'released');
  await append(journal, ['b.1'], 'kept');
  first?.release();
  await journal.close();
  const { journal: next, left } = await reopen();
  expect(told(left)).toEqual([['b.1', fileOf('b.1', 'kept')]]);
  release(left.map(({ place: found }) => found));
  await next.close();
  expect(await readdir(directory)).toEqual([]);
});

test('a journal that is closed takes no more: nothing is found of what comes while it closes', async () => {
  for (let round = 0; round < 30; round += 1) {
    const { journal } = await reopen();
    const before = append(journal, ['before.1'], 'x'.repeat(10_000));
    const closing = journal.close();
    const refused = append(journal, ['after.1'], 'too late');
    await expect(refused).rejects.toThrow('closed');
    await Promise.all([before, closing]);
    await expect(append(journal, ['after.1'], 'too late')).rejects.toThrow('closed');
    const { left } = await reopen();
    expect(left.map(({ name }) => name)).toEqual(['before.1']);
    release(left.map(({ place: found }) => found));
    await vi.waitFor(async () => expect(await segments()).toEqual([]));
  }
});

test.each([0, 20])(
  'whatever is appended, released and opened anew, what is found is what was not released; beside %d others',
  async (others) => {
    siblings = others;
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    let { journal } = await reopen();
    let live = new Map<string, { text: string; place: JournalPlace }>();
    let number = 0;
    for (let step = 0; step < 400; step += 1) {
      const kind = random(10);
      if (kind < 5) {
        const batch = Array.from({ length: 1 + random(4) }, () => {
          number += 1;
          const names = Array.from({ length: 1 + random(3) }, (_, index) => `m${number}.${index + 1}`);
          return { names, text: 'x'.repeat(random(5_000)) };
        });
        const places = await Promise.all(batch.map(({ names, text }) => append(journal, names, text)));
        for (const [index, { names, text }] of batch.entries())
          for (const [which, name] of names.entries()) {
            const found = places[index]?.[which];
            if (found === undefined) throw new Error('no place');
            live.set(name, { text, place: found });
          }
      } else if (kind < 9) {
        for (const [name, { place: found }] of [...live]) {
          if (random(2) === 0) continue;
          found.release();
          live.delete(name);
        }
      } else {
        const { journal: next, left } = await reopen();
        const expected = [...live].map(([name, { text }]) => [name, fileOf(name, text)]);
        expect(told(left)).toEqual(expected);
        const texts = new Map([...live].map(([name, { text }]) => [name, text]));
        live = new Map(
          left.map(({ name, place: found }) => [name, { text: texts.get(name) ?? '', place: found }]),
        );
        journal = next;
      }
    }
    expect(problems).toEqual([]);
  },
);
