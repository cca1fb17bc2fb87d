import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { ledgerCounts, type MtaState } from '../bundle/state.ts';
import { DirectorySync } from './outbound/directory-sync.ts';
import { problemOf } from './problem.ts';
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
  private readonly parts: LedgerParts;
  private readonly sync = new DirectorySync();
  private readonly stopping = new AbortController();
  private told = new Map<string, Seldom<Counts>>();
  /** Another map once domains have been forgotten. */
  private domains: Map<string, Counts>;
  private saved: ReadonlyMap<string, Counts>;
  private total = zero;
  private isSaved = true;
  private isTroubled = false;
  private saving: Promise<void> | undefined;

  private constructor(parts: LedgerParts, domains: ReadonlyMap<string, Counts>) {
    this.parts = parts;
    this.domains = new Map(domains);
    this.saved = domains;
  }

  /** Goes on where the process before stopped. A file that cannot be read is told of, and made anew: no mail is refused for it. */
  static async open(parts: LedgerParts): Promise<Ledger> {
    const domains = await read(parts).catch((error: unknown) => {
      parts.problem(problemOf(error));
      return [];
    });
    return new Ledger(parts, new Map(domains));
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
    this.save();
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
    this.save();
  }

  /**
   * Hosted domain -> what was counted since it is hosted here, as of ten minutes ago at most.
   * @param now seconds since the epoch.
   */
  byDomain(now: number): MtaState['domainLedgers'] {
    if (this.parts.file === undefined) return undefined;
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
    this.stopping.abort();
    await this.saving;
    const { file } = this.parts;
    if (file !== undefined && !this.isSaved) await this.write(file);
  }

  private save(): void {
    this.isSaved = false;
    const { file } = this.parts;
    if (file === undefined) return;
    this.saving ??= this.follow(file).finally(() => {
      this.saving = undefined;
    });
  }

  private async follow(file: string): Promise<void> {
    const { signal } = this.stopping;
    while (!this.isSaved && !signal.aborted) {
      await this.write(file);
      await delay(writeEveryMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  private async write(file: string): Promise<void> {
    const { domains } = this;
    const written = new Map(domains);
    this.isSaved = true;
    try {
      await replace(file, JSON.stringify({ domains: Object.fromEntries(written) }));
      await this.sync.sync(dirname(file));
      // Otherwise what was written holds domains that have been forgotten meanwhile, and is soon written anew.
      if (this.domains === domains) this.saved = written;
      this.isTroubled = false;
    } catch (error) {
      this.isSaved = false;
      if (!this.isTroubled) this.parts.problem(problemOf(error));
      this.isTroubled = true;
    }
  }
}

function only<T>(map: ReadonlyMap<string, T>, domains: { has(domain: string): boolean }): Map<string, T> {
  return new Map([...map].filter(([domain]) => domains.has(domain)));
}

function plusOne(counts: Counts, entries: readonly LedgerEntry[]): Counts {
  return { ...counts, ...Object.fromEntries(entries.map((entry) => [entry, counts[entry] + 1])) };
}

async function read({ file }: LedgerParts): Promise<[string, Counts][]> {
  if (file === undefined) return [];
  try {
    return Object.entries(content.parse(JSON.parse(await readFile(file, 'utf8'))).domains);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new Error(`${file}: ${problemOf(error)}`, { cause: error });
  }
}

/** Makes the file hold the text, the old one or the new one at any moment. The rename is durable once the directory is synchronised. */
async function replace(file: string, text: string): Promise<void> {
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}
