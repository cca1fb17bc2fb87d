/** Reads of single objects that cost a request only when the object has changed. */

export interface ObjectCacheOptions<T> {
  /** Version of the object as the metadata informer shows it; undefined: it shows none of that name. */
  readonly version: (name: string) => string | undefined;
  /** GET; undefined if there is no such object. */
  readonly read: (
    name: string,
  ) => Promise<{ readonly resourceVersion: string; readonly value: T } | undefined>;
}

interface Entry<T> {
  readonly resourceVersion: string;
  readonly value: T;
  /** The informer has not shown this version yet (we wrote it, or read faster than the watch): only a GET can tell. */
  readonly ahead: boolean;
}

/**
 * Contents of objects of which an informer follows the metadata alone: memory holds what is used, and the API server is asked
 * once for each version.
 */
export class ObjectCache<T> {
  private readonly entries = new Map<string, Entry<T>>();
  private readonly options: ObjectCacheOptions<T>;

  constructor(options: ObjectCacheOptions<T>) {
    this.options = options;
  }

  /** The object as of now, as far as the informer or a request can tell. @throws what the request throws. */
  async get(name: string): Promise<T | undefined> {
    const version = this.options.version(name);
    const known = this.entries.get(name);
    if (version === undefined && known?.ahead !== true) {
      this.entries.delete(name);
      return undefined;
    }
    if (known !== undefined && known.resourceVersion === version) {
      if (known.ahead) this.entries.set(name, { ...known, ahead: false });
      return known.value;
    }
    const read = await this.options.read(name);
    if (read === undefined) {
      this.entries.delete(name);
      return undefined;
    }
    this.entries.set(name, { ...read, ahead: this.options.version(name) !== read.resourceVersion });
    return read.value;
  }

  /** Takes in what a write of our own answered. */
  wrote(name: string, resourceVersion: string, value: T): void {
    this.entries.set(name, { resourceVersion, value, ahead: true });
  }

  /** Whether this version of the object is one that we know already: then its event is no news. */
  knows(name: string, resourceVersion: string): boolean {
    return this.entries.get(name)?.resourceVersion === resourceVersion;
  }

  /** Forgets all but these names: what nobody refers to any more need not stay in memory. */
  retain(names: ReadonlySet<string>): void {
    for (const name of this.entries.keys()) if (!names.has(name)) this.entries.delete(name);
  }

  /** Forgets an object, after a conflict or a deletion of our own. */
  forget(name: string): void {
    this.entries.delete(name);
  }
}
