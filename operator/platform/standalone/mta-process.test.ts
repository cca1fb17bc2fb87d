import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MtaProcess, type MtaProcessState, parseReadyLine } from './mta-process.ts';

/** A child that serves at once, notes its life in a file, and drains on SIGTERM. */
const obedient = `
import { appendFileSync } from 'node:fs';
const [, , log, smtp] = process.argv;
appendFileSync(log, 'start ' + smtp + '\\n');
process.on('SIGTERM', () => { appendFileSync(log, 'drained\\n'); process.exit(0); });
setInterval(() => undefined, 1000);
console.log('hello');
console.log('ready smtp=127.0.0.1:' + (smtp.endsWith(':0') ? 4242 : smtp.split(':')[1]));
`;

let directory = '';
let child: MtaProcess | undefined;
const states: MtaProcessState[] = [];
const lines: string[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-child-'));
  states.length = 0;
  lines.length = 0;
});
afterEach(async () => {
  await child?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function start(script: string): Promise<MtaProcess> {
  const path = join(directory, 'child.mjs');
  await writeFile(path, script);
  child = new MtaProcess({
    command: ({ smtp = '' }) => [path, join(directory, 'log'), smtp],
    listen: { smtp: '127.0.0.1:0' },
    log: (line) => lines.push(line),
    started: () => undefined,
    changed: (state) => states.push(state),
    minBackoffMs: 10,
    drainMs: 2_000,
  });
  return child;
}

async function until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not happen`);
    await delay(20);
  }
}

const servingPids = () => states.flatMap((state) => (state.serving ? [state.pid] : []));
const life = () => readFile(join(directory, 'log'), 'utf8').catch(() => '');

describe('MtaProcess', () => {
  it('a child that dies is started again, on the ports that it had', async () => {
    (await start(obedient)).ensure('cold-1');
    const first = await until('the start', () => servingPids()[0]);
    process.kill(first, 'SIGKILL');
    await until('the second start', () => servingPids()[1]);
    expect(await life()).toBe('start 127.0.0.1:0\nstart 127.0.0.1:4242\n');
    expect(states.some((state) => !state.serving && state.problem.includes('SIGKILL'))).toBe(true);
  });

  it('a new cold configuration drains the child before the next one starts; the same one changes nothing', async () => {
    const mta = await start(obedient);
    mta.ensure('cold-1');
    await until('the start', () => servingPids()[0]);
    mta.ensure('cold-1');
    mta.ensure('cold-2');
    await until('the second start', () => servingPids()[1]);
    expect(await life()).toBe('start 127.0.0.1:0\ndrained\nstart 127.0.0.1:4242\n');
  });

  it('stop drains the child and waits for its end', async () => {
    const mta = await start(obedient);
    mta.ensure('cold-1');
    const pid = await until('the start', () => servingPids()[0]);
    await mta.stop();
    expect(await life()).toContain('drained');
    expect(() => process.kill(pid, 0)).toThrow();
  });

  it('a child that fails at once is tried again and again, with what it said in the log', async () => {
    (await start('console.error("port is taken"); process.exit(1);')).ensure('cold-1');
    await until('three attempts', () => (states.length >= 3 ? true : undefined));
    expect(lines).toContain('port is taken');
    expect(states.at(-1)).toMatchObject({ serving: false });
  });

  it('a line that is not the ready line goes into the log', async () => {
    (await start(obedient)).ensure('cold-1');
    await until('the start', () => servingPids()[0]);
    expect(lines).toEqual(['hello']);
    expect(parseReadyLine('ready smtp=[::1]:25 http=127.0.0.1:80')).toEqual({
      smtp: '[::1]:25',
      http: '127.0.0.1:80',
    });
    expect(parseReadyLine('not ready')).toBeUndefined();
  });
});
