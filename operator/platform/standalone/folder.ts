import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type FileDocuments, parseDocuments } from './documents.ts';

export interface FolderFile extends FileDocuments {
  /** Path below the folder, `/` between its parts. */
  readonly path: string;
  /** Why the file could not be read at all. */
  readonly unreadable?: string;
}

/** Folders in folders are read to this depth, which also ends a loop of links. */
const maxDepth = 8;
const maxFileBytes = 16 * 1024 * 1024;
const extensions = ['.yaml', '.yml', '.json'];

/**
 * Reads all manifests of a folder and of the folders in it, in the order of their names. Hidden files are left out, as is the state
 * folder if it lies inside. A file that did not change since the last call is not parsed again, and its documents are the same
 * objects as before, so whatever is derived from them can be memoised.
 */
export class FolderReader {
  private readonly root: string;
  private readonly without: string | undefined;
  private known = new Map<string, { stamp: string; file: FolderFile }>();

  /** @param without a folder that is not read, such as the state folder. */
  constructor(root: string, without?: string) {
    this.root = resolve(root);
    this.without = without === undefined ? undefined : resolve(without);
  }

  /** @throws the file system's error if the folder itself cannot be read. */
  async read(): Promise<readonly FolderFile[]> {
    const paths = await this.list('', 0);
    const next = new Map<string, { stamp: string; file: FolderFile }>();
    for (const path of paths) {
      const entry = await this.readOne(path);
      if (entry !== undefined) next.set(path, entry);
    }
    this.known = next;
    return [...next.values()].map(({ file }) => file);
  }

  /** Every folder that can hold manifests: what a watcher has to watch. */
  async folders(): Promise<readonly string[]> {
    const found: string[] = [];
    await this.list('', 0, found);
    return found;
  }

  private async list(below: string, depth: number, folders: string[] = []): Promise<readonly string[]> {
    const directory = join(this.root, below);
    folders.push(directory);
    const files: string[] = [];
    const names = await readdir(directory).catch((error: unknown) => {
      if (depth === 0) throw error;
      return [];
    });
    for (const name of names.toSorted()) {
      if (name.startsWith('.') || name === 'node_modules') continue;
      const path = below === '' ? name : `${below}/${name}`;
      if (this.without === join(this.root, path)) continue;
      const info = await stat(join(this.root, path)).catch(() => undefined);
      if (info?.isDirectory() && depth < maxDepth) files.push(...(await this.list(path, depth + 1, folders)));
      else if (info?.isFile() && extensions.some((extension) => name.endsWith(extension))) files.push(path);
    }
    return files;
  }

  /** @returns undefined if the file went away meanwhile. */
  private async readOne(path: string): Promise<{ stamp: string; file: FolderFile } | undefined> {
    try {
      const info = await stat(join(this.root, path));
      const stamp = `${info.ino} ${info.size} ${info.mtimeMs} ${info.ctimeMs}`;
      const known = this.known.get(path);
      if (known?.stamp === stamp) return known;
      if (info.size > maxFileBytes) {
        return {
          stamp,
          file: { path, documents: [], broken: [], unreadable: `is larger than ${maxFileBytes} bytes` },
        };
      }
      const text = await readFile(join(this.root, path), 'utf8');
      // Many editors empty a file before they write it, and so does a full disk.
      if (text.trim() === '') {
        return {
          stamp,
          file: { path, documents: [], broken: [], unreadable: 'is empty: remove it to remove its objects' },
        };
      }
      return { stamp, file: { path, ...parseDocuments(path, text) } };
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      const unreadable = error instanceof Error ? error.message : String(error);
      return { stamp: '', file: { path, documents: [], broken: [], unreadable } };
    }
  }
}
