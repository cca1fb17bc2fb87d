import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const maxBytes = 16 * 1024 * 1024;

/** A log file of lines that never grows beyond twice 16 MiB: a full one becomes `<path>.1`. */
export class LineLog {
  private readonly path: string;
  private bytes: number;

  constructor(path: string) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Appends one line. A full disk loses log lines, never the process. */
  write(line: string): void {
    try {
      if (this.bytes > maxBytes) {
        renameSync(this.path, `${this.path}.1`);
        this.bytes = 0;
      }
      appendFileSync(this.path, `${line}\n`, { mode: 0o600 });
      this.bytes += Buffer.byteLength(line) + 1;
    } catch {
      this.bytes = 0;
    }
  }
}
