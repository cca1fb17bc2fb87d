import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { startStandalone } from './harness.ts';
import { sendMail } from './mail.ts';
import { blockList, sampleFiles } from './sample.ts';

const statusFile = z.object({ status: z.object({ neverHitCount: z.int().optional() }) });

it('A6, B5: neverHitCount says how many entries no mail has met, and what was known outlives the MTA', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-never-hit-'));
  const files = { ...sampleFiles, 'block.yaml': blockList(['127.0.0.20', '127.0.0.21', '127.0.0.22']) };
  const start = () => startStandalone({ directory, folder: join(directory, 'policy'), files });
  let standalone = await start();
  const neverHit = async () => {
    const path = join(standalone.state, 'status/ipaccesslist/blocked.yaml');
    return statusFile.parse(parse(await readFile(path, 'utf8'))).status.neverHitCount;
  };
  const until = (count: number) =>
    standalone.eventually(`the status says that ${count} entries were never met`, async () =>
      (await neverHit()) === count ? true : undefined,
    );
  try {
    await until(3);
    expect(await sendMail(standalone, { client: '127.0.0.21' })).toMatch(/^550 /);
    expect(await sendMail(standalone, { client: '127.0.0.21' })).toMatch(/^550 /);
    await until(2);
    expect(await standalone.stop()).toBe(0);
    standalone = await start();
    // The new process has met nothing yet, and says so.
    expect((await standalone.mtaState()).entriesHit).toEqual({});
    expect(await neverHit()).toBe(2);
  } finally {
    await standalone.stop();
    await rm(directory, { recursive: true, force: true });
  }
});
