// Long steps say what they do and that they still live: nobody should wonder whether a first install hangs.

const HEARTBEAT_MS = 10_000;

/**
 * Runs a step, printing a line when it starts, one every 10 s with the time gone, and one when it is done.
 *
 * @param what What is done and to what end, with the expected time if it is long.
 */
export async function step<T>(what: string, run: () => Promise<T>): Promise<T> {
  const began = process.hrtime.bigint();
  const elapsed = () => `${Number((process.hrtime.bigint() - began) / 100_000_000n) / 10} s`;
  console.log(`  ${what} ...`);
  const heartbeat = setInterval(() => console.log(`    still at it: ${what} (${elapsed()})`), HEARTBEAT_MS);
  try {
    const result = await run();
    console.log(`    done in ${elapsed()}`);
    return result;
  } finally {
    clearInterval(heartbeat);
  }
}
