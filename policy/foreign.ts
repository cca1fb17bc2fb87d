import { authservIdOf } from './authentication-results.ts';

/** Header fields that only Postern may write, and that a message must not bring along. */
export interface OwnFields {
  /** Our name in Authentication-Results. */
  readonly authservId: string;
  /** Names of the Junk headers of the recipient domains (G18). */
  readonly junkHeaders: readonly string[];
}

/**
 * Is this a field that only Postern may have written? Such a field of a message that comes in is forged, or a left-over of
 * another visit: `X-Spam-*` and the Junk header (G18), `X-Postern-*` (S4), and Authentication-Results in our name (RFC 8601
 * section 5), also one whose name cannot be read but has ours in it.
 * @param value unfolded.
 */
export function isForeign(name: string, value: string, { authservId, junkHeaders }: OwnFields): boolean {
  const lower = name.toLowerCase();
  if (lower.startsWith('x-spam-') || lower.startsWith('x-postern-')) return true;
  if (junkHeaders.some((own) => own.toLowerCase() === lower)) return true;
  if (lower !== 'authentication-results') return false;
  const own = authservId.toLowerCase();
  const id = authservIdOf(value);
  return id === undefined ? value.toLowerCase().includes(own) : id === own;
}
