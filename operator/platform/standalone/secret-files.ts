import { createHmac, randomBytes } from 'node:crypto';
import { link, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, parseDocument, stringify } from 'yaml';
import { canonicalJson } from '../../../bundle/canonical.ts';
import type { SecretRecord } from '../../compile/model.ts';
import { secret } from '../../compile/secret.ts';
import { isRecord } from './documents.ts';
import { type FolderSecret, readSecret } from './records.ts';
import { isObjectName, readIfThere, replaceFile, temporaryPath } from './state-files.ts';

const revisionKeyFile = '.revision-key';

/** A Secret as the API server would be sent it. */
export interface SecretManifest {
  readonly metadata: { readonly name: string };
}

/**
 * Generated keys of a standalone process: one `v1` Secret per file, mode 0600, in a folder with mode 0700, so that a key can be
 * moved to a cluster with kubectl. A file that exists is never written again.
 */
export class SecretFiles {
  private readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** @returns false if a Secret of that name was there already: it stays as it is. */
  async createOnce(manifest: SecretManifest): Promise<boolean> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const path = this.pathOf(manifest.metadata.name);
    const next = temporaryPath(path);
    await writeFile(next, stringify(manifest, { lineWidth: 0 }), { mode: 0o600 });
    try {
      // A hard link fails if the name is taken, so two writers cannot replace each other's key.
      await link(next, path);
      return true;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
      throw error;
    } finally {
      await rm(next, { force: true });
    }
  }

  /** Sets one annotation of a stored Secret, or takes it away (undefined); does nothing if there is no such Secret. */
  async annotate(name: string, annotation: string, value: string | undefined): Promise<void> {
    const text = await readIfThere(this.pathOf(name));
    if (text === undefined) return;
    const document = parseDocument(text);
    if (document.getIn(['metadata', 'annotations', annotation]) === value) return;
    if (value === undefined) document.deleteIn(['metadata', 'annotations', annotation]);
    else document.setIn(['metadata', 'annotations', annotation], value);
    await replaceFile(this.pathOf(name), document.toString({ lineWidth: 0 }));
  }

  /** Deletes a stored Secret; one that is gone already is none to delete. */
  async remove(name: string): Promise<void> {
    await rm(this.pathOf(name), { force: true });
  }

  /** All stored Secrets. @throws Error naming a file that is no Secret: a key must not be made anew because its file is broken. */
  async read(): Promise<readonly FolderSecret[]> {
    const names = await readdir(this.directory).catch(() => []);
    const secrets: FolderSecret[] = [];
    for (const file of names.filter((name) => name.endsWith('.yaml') && !name.startsWith('.')).toSorted()) {
      const path = join(this.directory, file);
      const value: unknown = parse((await readIfThere(path)) ?? '');
      const result = isRecord(value) ? readSecret(value, file.slice(0, -'.yaml'.length)) : undefined;
      if (result?.ok !== true)
        throw new Error(`${path}: is no Secret; repair it or take it from a backup, since it holds a key`);
      secrets.push(result.record);
    }
    return secrets;
  }

  /** @throws Error if the name could lead out of the folder. */
  private pathOf(name: string): string {
    if (!isObjectName(name)) throw new Error(`Secret ${JSON.stringify(name)}: is not the name of an object`);
    return join(this.directory, `${name}.yaml`);
  }

  /** The key that revisions are made with. Made once and kept, so that a restart does not look like new secrets. */
  async revisionKey(): Promise<string> {
    const stored = await this.storedRevisionKey();
    if (stored !== undefined) return stored;
    const key = randomBytes(32).toString('base64url');
    await replaceFile(join(this.directory, revisionKeyFile), key);
    return key;
  }

  /** The same key, if there is one yet. */
  async storedRevisionKey(): Promise<string | undefined> {
    const stored = await readIfThere(join(this.directory, revisionKeyFile));
    return stored !== undefined && stored.length >= 32 ? stored : undefined;
  }
}

/** The Secret as the compiler sees it. Its revision is a keyed digest, which tells nothing about the bytes. */
export function toSecretRecord(stored: FolderSecret, revisionKey: string): SecretRecord {
  const { name, type, labels, annotations, bytes } = stored;
  const texts = [...bytes].map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  const digest = createHmac('sha256', revisionKey).update(
    canonicalJson({ name, type, labels, annotations, texts }),
  );
  const data = Object.fromEntries([...bytes].map(([key, value]) => [key, secret(value)]));
  return { name, type, labels, annotations, revision: digest.digest('hex').slice(0, 32), data };
}
