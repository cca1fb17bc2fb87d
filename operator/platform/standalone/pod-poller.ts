import { setTimeout as delay } from 'node:timers/promises';
import { type MtaState, mtaState } from '../../../bundle/state.ts';
import type { PodObservation } from '../../compile/model.ts';

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

/** Longest wait for an answer, milliseconds. */
const timeoutMs = 2_000;

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
      await this.ask();
      if (memorable(this.state) !== before || this.behindSince !== wasBehind) changed();
      const wait = AbortSignal.any([signal, this.hurry.signal]);
      await delay(this.isCurrent() ? slowMs : fastMs, undefined, { signal: wait }).catch(() => undefined);
    }
  }

  private async ask(): Promise<void> {
    const address = this.options.address();
    if (address === undefined) this.state = { ok: false, problem: 'the MTA process does not serve' };
    else {
      try {
        this.state = { ok: true, value: await fetchState(address, this.options.token) };
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.state = { ok: false, problem: `its /state cannot be read: ${reason}` };
      }
    }
    const isBehind = this.state.ok && this.state.value.ready && this.state.value.bundleHash !== this.wanted;
    this.behindSince = isBehind ? (this.behindSince ?? this.options.now()) : undefined;
  }
}

/**
 * Reads `GET /state` of an MTA.
 * @param address `host:port`.
 * @throws Error if there is no answer in time, or none in the shape of this version.
 */
export async function fetchState(address: string, token: string): Promise<MtaState> {
  const response = await fetch(`http://${address}/state`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (!response.ok) throw new Error(`${address} answers ${response.status}`);
  return mtaState.parse(await response.json());
}

/** What of a state is worth a new reconcile: not the queue, which changes with every mail, nor when a Route was tried last. */
function memorable(state: PodObservation['state']): string {
  if (!state.ok) return state.problem;
  const { queue: _queue, ...rest } = state.value;
  return JSON.stringify(rest, (key, value) => (key === 'checkedAt' ? undefined : value));
}
