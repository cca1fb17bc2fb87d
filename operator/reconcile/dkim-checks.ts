import type { DkimObservation } from '../compile/model.ts';
import type { CheckDkim } from './tenant.ts';

export interface DkimChecksOptions {
  /** Asks the name servers. It answers ResolverError rather than throwing when they do not. */
  readonly check: (want: CheckDkim, signal: AbortSignal) => Promise<DkimObservation>;
  /** Keeps the outcome for the next snapshot and asks for a reconcile of the namespace. */
  readonly record: (namespace: string, observation: DkimObservation) => void;
  /** A check that broke for a reason of our own: it is logged, and the same question rests for `restMs`. */
  readonly failed: (namespace: string, want: CheckDkim, error: unknown) => void;
  readonly signal: AbortSignal;
  /** Milliseconds for which a question whose check broke is not asked again. */
  readonly restMs?: number;
  readonly now: () => number;
}

/**
 * DNS checks in the background, one per question. A reconcile may ask for the same check many times while it runs; name servers
 * see it once.
 */
export class DkimChecks {
  private readonly running = new Map<string, Promise<void>>();
  private readonly resting = new Map<string, number>();
  private readonly options: DkimChecksOptions;

  constructor(options: DkimChecksOptions) {
    this.options = options;
  }

  /** Starts the check unless the same one runs or rests. Never throws and never waits. */
  start(namespace: string, want: CheckDkim): void {
    const question = [namespace, want.dkimKey, want.host, want.publicKeySHA256, want.scope].join('\n');
    if (this.options.signal.aborted || this.running.has(question)) return;
    if ((this.resting.get(question) ?? 0) > this.options.now()) return;
    this.resting.delete(question);
    this.running.set(question, this.run(namespace, want, question));
  }

  /** Resolves when no check runs any more. */
  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running.values());
  }

  private async run(namespace: string, want: CheckDkim, question: string): Promise<void> {
    const { check, record, failed, signal, now, restMs = 30_000 } = this.options;
    try {
      const observation = await check(want, signal);
      this.running.delete(question);
      if (!signal.aborted) record(namespace, observation);
    } catch (error) {
      this.running.delete(question);
      this.resting.set(question, now() + restMs);
      if (!signal.aborted) failed(namespace, want, error);
    }
  }
}
