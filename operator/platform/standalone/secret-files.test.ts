import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SecretFiles, toSecretRecord } from './secret-files.ts';

let directory = '';
let files: SecretFiles;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-secrets-'));
  files = new SecretFiles(join(directory, 'secrets'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const manifest = (text: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'key', labels: { a: 'b' }, annotations: { c: 'd' } },
  type: 'Opaque',
  data: { 'tls.key': Buffer.from(text).toString('base64') },
});

describe('SecretFiles', () => {
  it('K5: a key that is there is never replaced, however often one is made', async () => {
    const made = await Promise.all(['one', 'two', 'three'].map((text) => files.createOnce(manifest(text))));
    expect(made.filter(Boolean)).toHaveLength(1);
    const [stored] = await files.read();
    const first = Buffer.from(stored?.bytes.get('tls.key') ?? []).toString();
    expect(await files.createOnce(manifest('four'))).toBe(false);
    expect(Buffer.from((await files.read())[0]?.bytes.get('tls.key') ?? []).toString()).toBe(first);
    expect(await readdir(join(directory, 'secrets'))).toEqual(['key.yaml']);
  });

  it('the file belongs to its user alone', async () => {
    await files.createOnce(manifest('one'));
    expect((await stat(join(directory, 'secrets'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(directory, 'secrets/key.yaml'))).mode & 0o777).toBe(0o600);
  });

  it('K16: an annotation is added, and nothing else changes', async () => {
    await files.createOnce(manifest('one'));
    const before = (await files.read())[0];
    await files.annotate('key', 'postern.dev/verified-time', '2026-01-01T00:00:00Z');
    const after = (await files.read())[0];
    expect(after).toEqual({
      ...before,
      annotations: { c: 'd', 'postern.dev/verified-time': '2026-01-01T00:00:00Z' },
    });
    await files.annotate('gone', 'a', 'b');
    expect(await readdir(join(directory, 'secrets'))).toEqual(['key.yaml']);
  });

  it('a broken file is an error, so that no second key is made for a published record', async () => {
    await files.createOnce(manifest('one'));
    await writeFile(join(directory, 'secrets/key.yaml'), 'not a Secret');
    await expect(files.read()).rejects.toThrow('key.yaml');
  });

  it('a name cannot lead out of the folder', async () => {
    await expect(files.createOnce({ metadata: { name: '../key' } })).rejects.toThrow(
      'not the name of an object',
    );
  });

  it('the revision follows the content, is the same after a restart, and cannot be guessed without its key', async () => {
    await files.createOnce(manifest('one'));
    const [stored] = await files.read();
    if (stored === undefined) throw new Error('nothing stored');
    const key = await files.revisionKey();
    expect(await new SecretFiles(join(directory, 'secrets')).revisionKey()).toBe(key);
    const record = toSecretRecord(stored, key);
    expect(toSecretRecord(stored, key).revision).toBe(record.revision);
    expect(toSecretRecord(stored, 'another key').revision).not.toBe(record.revision);
    const other = toSecretRecord({ ...stored, bytes: new Map([['tls.key', Buffer.from('two')]]) }, key);
    expect(other.revision).not.toBe(record.revision);
    expect(inspect(record, { depth: 9 }) + JSON.stringify(record)).not.toContain('one');
    expect(await readFile(join(directory, 'secrets/.revision-key'), 'utf8')).toBe(key);
  });
});
