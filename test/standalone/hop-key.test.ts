import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { startStandalone } from './harness.ts';
import { sampleFiles } from './sample.ts';

const secretFile = z.object({ data: z.object({ key: z.string().base64() }) });

/** The text of every file below a folder, but for secrets of the state folder. */
async function publicTexts(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter(
      (entry) => entry.isFile() && !/secret/.test(`${entry.parentPath}/${entry.name}`.slice(folder.length)),
    )
    .map(({ parentPath, name }) => join(parentPath, name));
  return Promise.all(files.map((file) => readFile(file, 'latin1')));
}

it('G10: standalone makes the key of hop marks once, for its owner alone, and keeps it over a restart', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'postern-hop-key-'));
  const folder = join(directory, 'policy');
  const start = (files: Readonly<Record<string, string>>) => startStandalone({ directory, folder, files });
  let standalone = await start(sampleFiles);
  try {
    const path = join(standalone.state, 'secrets/postern-hop-key.yaml');
    const text = await readFile(path, 'utf8');
    const key = Buffer.from(secretFile.parse(parse(text)).data.key, 'base64').toString();
    expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect((await stat(path)).mode & 0o077).toBe(0);
    const before = await standalone.mtaState();
    expect(JSON.stringify(before)).not.toContain(key);

    expect(await standalone.stop()).toBe(0);
    for (const shown of [...(await publicTexts(standalone.state)), standalone.said()])
      expect(shown).not.toContain(key);
    standalone = await start({});
    expect(await readFile(path, 'utf8')).toBe(text);
    expect((await standalone.mtaState()).secretsRevision).toBe(before.secretsRevision);
  } finally {
    await standalone.stop();
    await rm(directory, { recursive: true, force: true });
  }
});
