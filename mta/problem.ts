/** What a failure says: whoever throws need not throw an Error. */
export function problemOf(failure: unknown): string {
  return failure instanceof Error ? failure.message : String(failure);
}
