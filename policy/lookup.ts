import type { RecipientLookup } from './types.ts';

/** Key under which the answer to a recipient look-up stands in `RcptFacts.lookups` and `DataFacts.lookups`. */
export function lookupKey({ kind, route, recipient }: RecipientLookup): string {
  return `${kind} ${route} ${recipient}`;
}
