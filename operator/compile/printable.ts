/**
 * A text of DNS as it may stand in a status: strangers write it, and it may hold anything.
 *
 * @param max characters
 */
export function printable(text: string, max = 253): string {
  const shown = text.slice(0, max).replace(/[^\x20-\x7e]/g, '?');
  return text.length > max ? `${shown}...` : shown;
}
