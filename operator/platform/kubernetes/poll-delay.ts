/**
 * Milliseconds until pods that have not loaded a bundle are asked again: kubelet needs 0.2-0.5 s after the touch, so the first
 * seconds are worth asking often; what takes longer takes minutes.
 *
 * @param ageMs time since the bundle was written
 */
export function pollDelay(ageMs: number): number {
  if (ageMs < 5_000) return 250;
  return ageMs < 30_000 ? 1_000 : 5_000;
}
