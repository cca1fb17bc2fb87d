import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeVolume } from './atomic-volume.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-volume-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

function files(content: Record<string, string>): Map<string, Uint8Array> {
  return new Map(Object.entries(content).map(([name, text]) => [name, Buffer.from(text)]));
}

describe('writeVolume', () => {
  it('lays the files out as kubelet does: names lead through ..data into one dated directory', async () => {
    await writeVolume(directory, files({ 'index.json': 'a', b: 'c' }), 0);
    expect(await readlink(join(directory, 'index.json'))).toBe('..data/index.json');
    expect(await readlink(join(directory, '..data'))).toMatch(/^\.\.1970_01_01/);
    expect(await readFile(join(directory, 'b'), 'utf8')).toBe('c');
    expect((await stat(join(directory, 'b'))).mode & 0o777).toBe(0o600);
  });

  it('a new set replaces all of the old one, and leaves one dated directory', async () => {
    await writeVolume(directory, files({ a: '1', b: '1' }), 0);
    await writeVolume(directory, files({ b: '2', c: '2' }), 0);
    const names = await readdir(directory);
    expect(names.filter((name) => !name.startsWith('..')).toSorted()).toEqual(['b', 'c']);
    expect(names.filter((name) => name.startsWith('..19'))).toHaveLength(1);
    expect(await readFile(join(directory, 'b'), 'utf8')).toBe('2');
  });

  it('equal bytes are not written again', async () => {
    expect(await writeVolume(directory, files({ a: '1' }), 0)).toBe(true);
    const before = await lstat(join(directory, '..data'));
    expect(await writeVolume(directory, files({ a: '1' }), 5)).toBe(false);
    expect((await lstat(join(directory, '..data'))).ino).toBe(before.ino);
  });

  it('what a crash left half done is cleared away', async () => {
    await writeVolume(directory, files({ a: '1' }), 0);

    await symlink('nowhere', join(directory, '..data_tmp'));
    await mkdir(join(directory, '..2026_half'));
    await writeVolume(directory, files({ a: '2' }), 0);
    expect((await readdir(directory)).toSorted()).toEqual(
      ['..data', await readlink(join(directory, '..data')), 'a'].toSorted(),
    );
  });
});
