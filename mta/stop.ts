import { setTimeout as delay } from 'node:timers/promises';
import type { Runtime } from './runtime.ts';

const pollMs = 50;

/**
 * Drains the process: no new connections, idle sessions are told 421, running messages are finished and answered, running
 * deliveries end, and connections that wait for another mail are closed. Never throws.
 * @param graceSeconds after which what still runs is cut off (its sender tries again).
 * @returns true if nothing was cut off.
 */
export async function drainAll(runtime: Runtime, graceSeconds: number): Promise<boolean> {
  const deadline = Date.now() + graceSeconds * 1000;
  runtime.drain.start();
  runtime.connections.close();
  while (Date.now() < deadline) {
    if (runtime.drain.openSessions === 0 && runtime.store.busy === 0 && runningDeliveries(runtime) === 0)
      return true;
    await delay(pollMs);
  }
  return false;
}

/** Deliveries that have begun and not ended. */
export function runningDeliveries({ haraka }: Pick<Runtime, 'haraka'>): number {
  return Number(haraka.outbound.get_stats().split('/')[0]);
}
