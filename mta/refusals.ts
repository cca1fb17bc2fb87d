import type { Because, Reply } from '../policy/types.ts';

/** One refusal, as `postern blocks` shows it. */
export interface RefusalRecord {
  /** Seconds since the epoch. */
  readonly time: number;
  readonly peer: string;
  readonly mailFrom: string;
  readonly recipient: string;
  readonly reply: Reply;
  readonly ref: string;
  readonly because: Because;
}

/** The most recent refusals, most recent first when read. A ring: the oldest make room. */
export class RefusalLog {
  private readonly records: RefusalRecord[] = [];
  private next = 0;
  private readonly capacity: number;

  constructor(capacity = 1000) {
    this.capacity = capacity;
  }

  add(record: RefusalRecord): void {
    this.records[this.next] = record;
    this.next = (this.next + 1) % this.capacity;
  }

  recent(): RefusalRecord[] {
    return [...this.records.slice(this.next), ...this.records.slice(0, this.next)].reverse();
  }
}
