import * as z from 'zod';
import { ledgerCounts, type MtaState } from '../bundle/state.ts';
import { KeptFile, readKept } from './kept-file.ts';
import { Seldom } from './seldom.ts';

type Counts = Readonly<MtaState['ledger']>;
export type LedgerEntry = keyof Counts;

/** Milliseconds between two writes: what a process that is killed may forget. */
const writeEveryMs = 5_000;

const content = z.object({ domains: z.record(z.string(), ledgerCounts) });
const zero: Counts = { suppressedNdrs: 0, backscatterAvoided: 0, doubleBounces: 0, expired: 0 };

interface LedgerParts {
  /** File on the volume of the queue; undefined: nothing is kept, and nothing told by domain. */
  readonly file: string | undefined;
  /** Told when the file cannot be read or written. */
  readonly problem: (problem: string) => void;
}

/**
 * Messages that ended without a delivery and without a DSN (G9): counted, so that nothing disappears silently. What is told by domain
 * was saved before, so it never goes back because a process was killed; the total is of this process alone, as the books are.
 */
export class Ledger {
  private readonly file: KeptFile | undefined;
  private told = new Map<string, Seldom<Counts>>();
  /** Another map once domains have been forgotten. */
  private domains: Map<string, Counts>;
  private saved: ReadonlyMap<string, Counts>;
  private total = zero;

  private constructor({ file, problem }: LedgerParts, domains: ReadonlyMap<string, Counts>) {
    if (file !== undefined)
      this.file = new KeptFile({ file, everyMs: writeEveryMs, content: () => this.content(), problem });
    this.domains = new Map(domains);
    this.saved = domains;
  }

  /** Goes on where the process before stopped. A file that cannot be read is told of, and made anew: no mail is refused for it. */
  static async open(parts: LedgerParts): Promise<Ledger> {
    const { file, problem } = parts;
    const kept = file === undefined ? undefined : await readKept({ file, problem }, content);
    return new Ledger(parts, new Map(Object.entries(kept?.domains ?? {})));
  }

  /**
   * Counts one failure.
   * @param entries what it counts as.
   * @param domain the hosted domain on whose behalf the mail was on its way; undefined: none that is hosted here.
   */
  add(entries: readonly LedgerEntry[], domain: string | undefined): void {
    this.total = plusOne(this.total, entries);
    if (domain === undefined || entries.length === 0) return;
    this.domains.set(domain, plusOne(this.domains.get(domain) ?? zero, entries));
    this.file?.changed();
  }

  /** All that was counted since the process started. */
  snapshot(): Counts {
    return this.total;
  }

  /** Domains that are hosted no more are forgotten. */
  keep(hosted: { has(domain: string): boolean }): void {
    const kept = only(this.domains, hosted);
    if (kept.size === this.domains.size) return;
    this.domains = kept;
    this.saved = only(this.saved, hosted);
    this.told = only(this.told, hosted);
    this.file?.changed();
  }

  /**
   * Hosted domain -> what was counted since it is hosted here, as of ten minutes ago at most.
   * @param now seconds since the epoch.
   */
  byDomain(now: number): MtaState['domainLedgers'] {
    if (this.file === undefined) return undefined;
    return Object.fromEntries(
      [...this.saved].map(([domain, counts]) => {
        const seldom = this.told.get(domain) ?? new Seldom<Counts>();
        this.told.set(domain, seldom);
        return [domain, seldom.tell(counts, now)];
      }),
    );
  }

  /** Saves what is not saved yet. Never throws. */
  async close(): Promise<void> {
    await this.file?.close();
  }

  private content() {
    const { domains } = this;
    const written = new Map(domains);
    return {
      text: JSON.stringify({ domains: Object.fromEntries(written) }),
      kept: () => {
        // Otherwise what was written holds domains that have been forgotten meanwhile, and is soon written anew.
        if (this.domains === domains) this.saved = written;
      },
    };
  }
}

function only<T>(map: ReadonlyMap<string, T>, domains: { has(domain: string): boolean }): Map<string, T> {
  return new Map([...map].filter(([domain]) => domains.has(domain)));
}

function plusOne(counts: Counts, entries: readonly LedgerEntry[]): Counts {
  return { ...counts, ...Object.fromEntries(entries.map((entry) => [entry, counts[entry] + 1])) };
}
