import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits until a condition holds.
 * @param deadlineMs far longer than it can take: only a defect reaches it.
 * @throws Error naming what did not come true, with the last error of the check.
 */
export async function eventually(
  check: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = 30_000,
): Promise<void> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    let problem = '';
    try {
      if (await check()) return;
    } catch (error) {
      problem = `: ${error instanceof Error ? error.message : String(error)}`;
    }
    if (Date.now() > end) throw new Error(`did not come true within ${deadlineMs} ms: ${what}${problem}`);
    await delay(20);
  }
}
