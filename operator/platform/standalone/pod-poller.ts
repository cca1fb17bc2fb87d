import { setTimeout as delay } from 'node:timers/promises';
import type { PodObservation } from '../../compile/model.ts';
import { fetchPodState } from '../../observe/pod-state.ts';

export interface PodPollerOptions {
  /** Name of the pod in statuses, and of its MTA. */
  readonly pod: string;
  readonly mta: string;
  /** Address of the child's HTTP server, `host:port`; undefined while none serves. */
  readonly address: () => string | undefined;
  readonly token: string;
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Told when something changed that a status may say. */
  readonly changed: () => void;
  /** Milliseconds between two questions while the child is behind, and otherwise. */
  readonly fastMs?: number;
  readonly slowMs?: number;
}

/** Asks the MTA child what it has loaded: often while that is not what was delivered, seldom otherwise. */
export class PodPoller {
  private readonly options: PodPollerOptions;
  private state: PodObservation['state'] = { ok: false, problem: 'the MTA process has not been asked yet' };
  private behindSince: number | undefined;
  private wanted: string | undefined;
  private hurry = new AbortController();

  constructor(options: PodPollerOptions) {
    this.options = options;
  }

  /** The bundle that the child is to load; asks at once. */
  expect(bundleHash: string): void {
    if (this.wanted === bundleHash) return;
    this.wanted = bundleHash;
    this.poke();
  }

  /** Asks now rather than at the next turn: the child has just begun or ceased to serve. */
  poke(): void {
    this.hurry.abort();
  }

  observation(): PodObservation {
    const { pod, mta } = this.options;
    const ready = this.state.ok && this.state.value.ready;
    const seen: PodObservation = { name: pod, mta, ready, state: this.state };
    return this.behindSince === undefined ? seen : { ...seen, behindSince: this.behindSince };
  }

  /** True once the child serves what was delivered last. */
  isCurrent(): boolean {
    return this.state.ok && this.state.value.ready && this.state.value.bundleHash === this.wanted;
  }

  /** Runs until the signal. */
  async run(): Promise<void> {
    const { signal, changed, fastMs = 50, slowMs = 5_000 } = this.options;
    while (!signal.aborted) {
      this.hurry = new AbortController();
      const before = memorable(this.state);
      const wasBehind = this.behindSince;
      try {
        await this.ask();
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      if (memorable(this.state) !== before || this.behindSince !== wasBehind) changed();
      const wait = AbortSignal.any([signal, this.hurry.signal]);
      await delay(this.isCurrent() ? slowMs : fastMs, undefined, { signal: wait }).catch(() => undefined);
    }
  }

  private async ask(): Promise<void> {
    const { address, token, signal } = this.options;
    const at = address();
    this.state =
      at === undefined
        ? { ok: false, problem: 'the MTA process does not serve' }
        : await fetchPodState(at, token, signal);
    const isBehind = this.state.ok && this.state.value.ready && this.state.value.bundleHash !== this.wanted;
    this.behindSince = isBehind ? (this.behindSince ?? this.options.now()) : undefined;
  }
}

/** What of a state is worth a new reconcile: not the queue and the books, which change with every mail, nor when a Route was tried last. */
function memorable(state: PodObservation['state']): string {
  if (!state.ok) return state.problem;
  const { queue: _queue, legs: _legs, ledger: _ledger, tlsFailures: _tlsFailures, ...rest } = state.value;
  return JSON.stringify(rest, (key, value) => (key === 'checkedAt' ? undefined : value));
}
