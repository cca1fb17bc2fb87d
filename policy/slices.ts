/**
 * Does work that is cut into slices, each far below 5 ms.
 * @param pause awaited between two slices: let the event loop turn in it.
 */
export async function workInSlices<T>(work: Generator<void, T>, pause?: () => Promise<void>): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    await pause?.();
  }
}
