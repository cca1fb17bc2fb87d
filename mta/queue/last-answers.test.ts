import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LastAnswers } from './last-answers.ts';

let directory: string;
let problems: string[];
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-last-answers-'));
  file = join(directory, 'last-answers.json');
  problems = [];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const open = (...queued: string[]) =>
  LastAnswers.open({ file, queued: new Set(queued), problem: (text) => problems.push(text) });

test("an answer becomes one short line without anybody's name", async () => {
  const answers = await open();
  answers.note(
    'a',
    `<jane.doe+x@b.example>: 451\r\n\u001b[31m4.3.2 not now, "j@c.example" ${'x'.repeat(500)}`,
    7,
  );
  const text = answers.of('a')?.text ?? '';
  expect(text).toMatch(/^<\*@b\.example>: 451 \[31m4\.3\.2 not now, "\*@c\.example" x+$/);
  expect(text).toHaveLength(300);
  answers.forget('a');
  expect(answers.of('a')).toBeUndefined();
  await answers.close();
});

test('the next process knows the answers of mail that still waits, and of no other', async () => {
  const before = await open();
  for (const id of ['waits', 'delivered', 'gone']) before.note(id, `451 ${id}`, 7);
  before.forget('delivered');
  await before.close();
  const after = await open('waits', 'delivered');
  expect(after.of('waits')).toEqual({ at: 7, text: '451 waits' });
  expect([after.of('delivered'), after.of('gone')]).toEqual([undefined, undefined]);
  expect(problems).toEqual([]);
});

test('a broken file is told of, and made anew', async () => {
  const broken = [
    '{"answers": [{"id": "a", "at": 7,',
    '{"answers": [{"id": "a", "at": "7", "text": "451"}]}',
    JSON.stringify({ answers: [{ id: 'a', at: 7, text: 'x'.repeat(301) }] }),
    'x'.repeat(9_000_000),
  ];
  for (const text of broken) {
    await writeFile(file, text);
    expect((await open('a')).of('a')).toBeUndefined();
  }
  expect(problems).toEqual(broken.map(() => expect.stringContaining(`${file}: `)));
  const answers = await open('a');
  answers.note('a', '451 later', 7);
  await answers.close();
  expect((await open('a')).of('a')).toEqual({ at: 7, text: '451 later' });
});

test('what was written by somebody else into the file is no less harmless', async () => {
  const text = '<jane@b.example>\u001b[31m\r\n451';
  await writeFile(file, JSON.stringify({ answers: [{ id: 'a', at: 7, text }] }));
  expect((await open('a')).of('a')?.text).toBe('<*@b.example> [31m 451');
});

test('the file holds the latest 2,000 answers, and is never larger than what is read', async () => {
  const answers = await open();
  const ids = Array.from({ length: 2_001 }, (_, number) => `${crypto.randomUUID()}.${number}`);
  for (const id of ids) answers.note(id, '"'.repeat(300), 1_800_000_000);
  // The first answers once more, so the second is the oldest.
  answers.note(ids[0] ?? '', 'again', 1_800_000_001);
  await answers.close();
  expect((await stat(file)).size).toBeLessThan(8_388_608);
  expect(JSON.parse(await readFile(file, 'utf8')).answers).toHaveLength(2_000);
  const after = await open(...ids);
  expect(problems).toEqual([]);
  expect(ids.filter((id) => after.of(id) === undefined)).toEqual([ids[1]]);
});
