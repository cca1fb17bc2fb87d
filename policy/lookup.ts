import type { Lookup } from './types.ts';

/** Key under which the answer to a look-up stands in `RcptFacts.lookups` and `DataFacts.lookups`. */
export function lookupKey({ kind, route, recipient }: Lookup): string {
  return `${kind} ${route} ${recipient}`;
}
