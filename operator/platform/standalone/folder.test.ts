import { mkdir, mkdtemp, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderReader } from './folder.ts';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'postern-folder-'));
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

async function put(path: string, text: string): Promise<void> {
  await mkdir(join(root, path, '..'), { recursive: true });
  await writeFile(join(root, path), text);
}

describe('FolderReader', () => {
  it('reads YAML and JSON of all folders by name, and leaves out hidden files and the state folder', async () => {
    for (const path of [
      'b.yaml',
      'a.yml',
      'sub/c.json',
      '.hidden.yaml',
      '.git/d.yaml',
      'state/e.yaml',
      'notes.txt',
    ]) {
      await put(path, '{"kind": "A"}');
    }
    const reader = new FolderReader(root, join(root, 'state'));
    expect((await reader.read()).map(({ path }) => path)).toEqual(['a.yml', 'b.yaml', 'sub/c.json']);
    expect(await reader.folders()).toEqual([root, join(root, 'sub')]);
  });

  it('a file that did not change gives the same documents, so that nothing is parsed or derived twice', async () => {
    await put('a.yaml', 'kind: A\n');
    await put('b.yaml', 'kind: B\n');
    const reader = new FolderReader(root);
    const [a, b] = await reader.read();
    await put('b.yaml', 'kind: Changed\n');
    const [again, changed] = await reader.read();
    expect(again).toBe(a);
    expect(changed).not.toBe(b);
    expect(changed?.documents[0]?.value).toEqual({ kind: 'Changed' });
  });

  it('an empty file counts as broken: editors empty a file before they write it', async () => {
    await put('a.yaml', ' \n');
    expect((await new FolderReader(root).read())[0]?.unreadable).toContain('is empty');
  });

  it('a loop of links ends, a broken link is passed over, a removed file is gone', async () => {
    await put('a.yaml', 'kind: A\n');
    await symlink(root, join(root, 'loop'));
    await symlink(join(root, 'nowhere.yaml'), join(root, 'dangling.yaml'));
    const reader = new FolderReader(root);
    expect((await reader.read()).length).toBeLessThan(12);
    await unlink(join(root, 'a.yaml'));
    expect(await reader.read()).toEqual([]);
  });

  it('a folder that is not there is an error', async () => {
    await expect(new FolderReader(join(root, 'none')).read()).rejects.toThrow('ENOENT');
  });
});
