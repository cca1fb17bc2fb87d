import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Ledger } from './ledger.ts';

let directory: string;
let problems: string[];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-ledger-'));
  problems = [];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const place = () => join(directory, 'ledger.json');
const open = (file: string | undefined = place()) =>
  Ledger.open({ file, problem: (problem) => problems.push(problem) });
const zero = { suppressedNdrs: 0, backscatterAvoided: 0, doubleBounces: 0, expired: 0 };

test('G9: what is told by domain was saved before, and changes every ten minutes at most', async () => {
  const ledger = await open();
  ledger.add(['expired'], 'a.example');
  ledger.add(['doubleBounces'], undefined);
  // Not yet on the disk.
  expect(ledger.byDomain(1000)).toEqual({});
  await vi.waitFor(() => expect(ledger.byDomain(1000)).toEqual({ 'a.example': { ...zero, expired: 1 } }));
  ledger.add(['expired'], 'a.example');
  ledger.add(['suppressedNdrs'], 'b.example');
  await ledger.close();
  // The other domain has told nothing yet.
  expect(ledger.byDomain(1599)).toEqual({
    'a.example': { ...zero, expired: 1 },
    'b.example': { ...zero, suppressedNdrs: 1 },
  });
  expect(ledger.byDomain(1600)).toMatchObject({ 'a.example': { ...zero, expired: 2 } });
  expect(ledger.snapshot()).toEqual({ ...zero, expired: 2, doubleBounces: 1, suppressedNdrs: 1 });
  expect(problems).toEqual([]);
});

test('G9: a domain that is not hosted any more is forgotten, on the disk too', async () => {
  const ledger = await open();
  ledger.add(['expired'], 'a.example');
  ledger.add(['expired'], 'b.example');
  ledger.keep(new Set(['b.example']));
  await ledger.close();
  expect(ledger.byDomain(1)).toEqual({ 'b.example': { ...zero, expired: 1 } });
  expect((await open()).byDomain(1)).toEqual({ 'b.example': { ...zero, expired: 1 } });
});

test('X20: what cannot be written is said once and not told, until it can be written', async () => {
  await mkdir(place());
  const ledger = await open();
  expect(problems).toEqual([expect.stringContaining(place())]);
  ledger.add(['expired'], 'a.example');
  await vi.waitFor(() => expect(problems).toHaveLength(2));
  expect(ledger.byDomain(1)).toEqual({});
  await rm(place(), { recursive: true });
  await ledger.close();
  expect(problems).toHaveLength(2);
  expect(ledger.byDomain(1)).toEqual({ 'a.example': { ...zero, expired: 1 } });
  expect(JSON.parse(await readFile(place(), 'utf8'))).toEqual({
    domains: { 'a.example': { ...zero, expired: 1 } },
  });
});

test('without a file nothing is told by domain', async () => {
  const ledger = await Ledger.open({ file: undefined, problem: (problem) => problems.push(problem) });
  ledger.add(['expired'], 'a.example');
  expect(ledger.byDomain(1)).toBeUndefined();
  expect(ledger.snapshot()).toEqual({ ...zero, expired: 1 });
});
