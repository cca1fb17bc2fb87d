import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { type RunningStandalone, startStandalone } from './harness.ts';
import { sendMail } from './mail.ts';
import { blockList, sampleFiles } from './sample.ts';

let directory = '';
let folder = '';
let standalone: RunningStandalone;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-pause-'));
  folder = join(directory, 'policy');
  standalone = await startStandalone({ directory, folder, files: sampleFiles });
});
afterAll(async () => {
  await standalone?.stop();
  await rm(directory, { recursive: true, force: true });
});

const paused = (addresses: readonly string[]) =>
  blockList(addresses).replace(
    '{name: blocked}',
    '{name: blocked, annotations: {postern.dev/paused: "true"}}',
  );
const save = (text: string) => writeFile(join(folder, 'block.yaml'), text);
const replyTo = (client: string) => sendMail(standalone, { client });

const statusFile = z.object({
  status: z.object({
    observedGeneration: z.int(),
    conditions: z.array(z.object({ type: z.string(), reason: z.string() })),
  }),
});

/** Waits until the status speaks about this generation, and says that it is paused. */
async function untilPausedAt(generation: number): Promise<void> {
  await standalone.eventually(`generation ${generation} is Paused`, async () => {
    const text = await readFile(join(standalone.state, 'status/ipaccesslist/blocked.yaml'), 'utf8');
    const { status } = statusFile.parse(parse(text));
    const accepted = status.conditions.find(({ type }) => type === 'Accepted');
    return status.observedGeneration === generation && accepted?.reason === 'Paused' ? true : undefined;
  });
}

it('G16: an edit of a paused list changes nothing on the wire, not even after a restart; resumed it acts', async () => {
  expect(await replyTo('127.0.0.20')).toMatch(/^550 5\.7\.1 /);
  await save(paused(['127.0.0.21']));
  await untilPausedAt(2);
  expect(await replyTo('127.0.0.20')).toMatch(/^550 5\.7\.1 /);
  expect(await replyTo('127.0.0.21')).toMatch(/^250 /);

  expect(await standalone.stop()).toBe(0);
  await save(paused(['127.0.0.22']));
  standalone = await startStandalone({ directory, folder, files: {} });
  await untilPausedAt(3);
  expect(await replyTo('127.0.0.20')).toMatch(/^550 5\.7\.1 /);
  expect(await replyTo('127.0.0.22')).toMatch(/^250 /);

  await save(blockList(['127.0.0.22']));
  await standalone.eventually('127.0.0.22 is refused', async () =>
    (await replyTo('127.0.0.22')).startsWith('550') ? true : undefined,
  );
  expect(await replyTo('127.0.0.20')).toMatch(/^250 /);
});
