import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { DirectoryWatch } from './directory-watch.ts';

/** A certificate chain and its key, in PEM. */
export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Seconds since the epoch. */
  readonly expires: number;
}

interface CertificateEvents {
  /** A pair that differs from the last one and can be used. */
  readonly changed: (certificate: Certificate) => void;
  /** Called once for each different problem. */
  readonly failed: (problem: string) => void;
}

/**
 * Keeps the newest usable certificate of a directory with `tls.crt` and `tls.key`, a mounted Secret for example. A pair that does not
 * fit together, or cannot be read, changes nothing.
 */
export class CertificateWatch {
  private readonly directory: string;
  private readonly files: DirectoryWatch;
  private events: CertificateEvents | undefined;
  private loaded: Certificate | undefined;

  constructor(directory: string) {
    this.directory = directory;
    this.files = new DirectoryWatch({
      directory,
      look: () => this.load(),
      failed: (problem) => this.events?.failed(problem),
    });
  }

  /** The certificate in use; undefined until there was one. */
  get current(): Certificate | undefined {
    return this.loaded;
  }

  /** Looks once. Never throws: no certificate is a state, not an end. */
  look(): Promise<void> {
    return this.files.check();
  }

  /** Tells what was found so far, and from now on what changes. */
  async follow(events: CertificateEvents): Promise<void> {
    this.events = events;
    if (this.loaded !== undefined) events.changed(this.loaded);
    if (this.files.problem !== undefined) events.failed(this.files.problem);
    await this.files.start();
  }

  stop(): void {
    this.files.stop();
  }

  private async load(): Promise<void> {
    const found = await readCertificate(this.directory);
    if (this.loaded?.cert.equals(found.cert) === true && this.loaded.key.equals(found.key)) return;
    this.loaded = found;
    this.events?.changed(found);
  }
}

/** @throws Error naming the file and what is wrong with it. */
async function readCertificate(directory: string): Promise<Certificate> {
  const read = (name: string) =>
    readFile(join(directory, name)).catch((error: NodeJS.ErrnoException) => {
      throw new Error(`${name}: cannot be read (${error.code})`);
    });
  const [cert, key] = await Promise.all([read('tls.crt'), read('tls.key')]);
  const parsed = usable('tls.crt is no certificate in PEM', () => new X509Certificate(cert));
  const privateKey = usable('tls.key is no private key in PEM', () => createPrivateKey(key));
  if (!parsed.checkPrivateKey(privateKey)) throw new Error('tls.key is not the key of tls.crt');
  usable('tls.crt and tls.key cannot be used for TLS', () => createSecureContext({ cert, key }));
  return { cert, key, expires: Math.floor(Date.parse(parsed.validTo) / 1000) };
}

function usable<T>(otherwise: string, make: () => T): T {
  try {
    return make();
  } catch {
    // The error of the library may quote the file, and one of the files is a key.
    throw new Error(otherwise);
  }
}
