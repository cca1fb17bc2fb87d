/**
 * 32-bit FNV-1a over UTF-16 units with a final mix (murmur3's): short texts spread over all bits. For references, never for
 * anything that an attacker gains by colliding.
 */
export function hash32(text: string): number {
  return mix(extend(basis, text));
}

/** State of a hash over nothing, for `extend`. */
export const basis = 0x811c9dc5;

/**
 * Continues an unmixed hash; `mix` ends it.
 * @param factor another odd number makes another, independent hash.
 */
export function extend(state: number, text: string, factor = 0x01000193): number {
  let hash = state;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), factor);
  return hash;
}

/** Ends a hash that was made with `extend`. */
export function mix(state: number): number {
  let hash = state ^ (state >>> 16);
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Makes a second hash that knows nothing of the first. */
const otherFactor = 0x5bd1e995;

/** 64 bits of a text, as two numbers: short enough to compare and keep, long enough never to meet by chance. */
export function hash64(text: string): string {
  return `${mix(extend(basis, text))}.${mix(extend(basis, text, otherFactor))}`;
}
