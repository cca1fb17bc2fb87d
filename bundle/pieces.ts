/**
 * Long arrays are cut into pieces, so that a change of one entry rewrites a small part. The cut is a function of the
 * entries alone: entries fall into a binary tree by the bits of their hash, and a node is split only when it is too big.
 * So an inserted entry changes the one piece it falls into (at worst it splits that piece in two), whatever was there before.
 */

/** Entries that a piece may hold before it is split. */
const maxPieceEntries = 2_048;

/** Deepest split: 32 bits of hash are all there is. Equal hashes then share a piece, however big. */
const maxDepth = 32;

/** One piece: the bits that all its entries' hashes begin with, or `all` for an array that was not cut. */
export interface Piece<T> {
  readonly id: string;
  readonly entries: readonly T[];
}

/** What the id of a piece looks like. */
export const pieceId = /^(?:all|[01]{1,32})$/;

/**
 * FNV-1a over UTF-16 code units with MurmurHash3's finalizer: fast, the same on every machine and in every release (it
 * decides where things lie), and no defence against people who look for collisions; those only unbalance their own pieces.
 *
 * @returns an unsigned 32-bit integer
 */
export function stableHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * Cuts an array into pieces.
 *
 * @param entries in the order that every piece is to keep
 * @param keyOf text that identifies an entry: its hash decides the piece
 * @param limit entries per piece
 * @returns no piece without entries; an empty array gives none
 */
export function cutIntoPieces<T>(
  entries: readonly T[],
  keyOf: (entry: T) => string,
  limit: number = maxPieceEntries,
): Piece<T>[] {
  if (entries.length === 0) return [];
  if (entries.length <= limit) return [{ id: 'all', entries }];
  const pieces: Piece<T>[] = [];
  const split = (id: string, part: readonly { readonly entry: T; readonly hash: number }[]): void => {
    if (part.length === 0) return;
    if (part.length <= limit || id.length === maxDepth) {
      pieces.push({ id, entries: part.map(({ entry }) => entry) });
      return;
    }
    const bit = 31 - id.length;
    for (const value of [0, 1]) {
      split(
        `${id}${value}`,
        part.filter(({ hash }) => ((hash >>> bit) & 1) === value),
      );
    }
  };
  split(
    '',
    entries.map((entry) => ({ entry, hash: stableHash(keyOf(entry)) })),
  );
  return pieces;
}
