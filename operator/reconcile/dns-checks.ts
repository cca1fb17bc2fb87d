export interface DnsChecksOptions<W, O> {
  /** Equal for equal questions. */
  readonly question: (want: W) => string;
  /** Asks the name servers. It answers with an error of DNS rather than throwing when they do not. */
  readonly check: (want: W, signal: AbortSignal) => Promise<O>;
  /** Keeps the outcome for the next snapshot and asks for a reconcile of the namespace. */
  readonly record: (namespace: string, observation: O) => void;
  /** A check that broke for a reason of our own: it is logged, and the same question rests for `restMs`. */
  readonly failed: (namespace: string, want: W, error: unknown) => void;
  readonly signal: AbortSignal;
  /** Milliseconds for which a question whose check broke is not asked again. */
  readonly restMs?: number;
  /** Checks that run at a time; the others wait in line. */
  readonly concurrency?: number;
  readonly now: () => number;
}

/**
 * DNS checks in the background, one per question. A reconcile may ask for the same check many times while it runs; name servers
 * see it once.
 */
export class DnsChecks<W, O> {
  /** Those that run, and those that wait in line. */
  private readonly running = new Map<string, Promise<void>>();
  private readonly resting = new Map<string, number>();
  private readonly line: (() => void)[] = [];
  private free: number;
  private readonly options: DnsChecksOptions<W, O>;

  constructor(options: DnsChecksOptions<W, O>) {
    this.options = options;
    this.free = options.concurrency ?? Number.POSITIVE_INFINITY;
  }

  /** Starts the check unless the same one runs or rests. Never throws and never waits. */
  start(namespace: string, want: W): void {
    const question = `${namespace}\n${this.options.question(want)}`;
    if (this.options.signal.aborted || this.running.has(question)) return;
    if ((this.resting.get(question) ?? 0) > this.options.now()) return;
    this.resting.delete(question);
    this.running.set(question, this.run(namespace, want, question));
  }

  /** Resolves when no check runs any more. */
  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.all(this.running.values());
  }

  private async run(namespace: string, want: W, question: string): Promise<void> {
    const { check, record, failed, signal, now, restMs = 30_000 } = this.options;
    await this.turn();
    try {
      signal.throwIfAborted();
      const observation = await check(want, signal);
      this.running.delete(question);
      if (!signal.aborted) record(namespace, observation);
    } catch (error) {
      this.running.delete(question);
      this.resting.set(question, now() + restMs);
      if (!signal.aborted) failed(namespace, want, error);
    } finally {
      const next = this.line.shift();
      if (next === undefined) this.free += 1;
      else next();
    }
  }

  /** Resolves when it is this check's turn. */
  private async turn(): Promise<void> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((go) => this.line.push(go));
  }
}
