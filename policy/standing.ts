import type { Address } from './ip/address.ts';
import type { Range } from './ip/range.ts';
import { formatRange } from './ip/range.ts';
import { findRange } from './ip/range-index.ts';
import type { AccessList, Domain } from './policy.ts';
import { byObject } from './stage.ts';
import type { Because } from './types.ts';

/** How a peer stands with one domain. */
export interface Standing {
  /** It is a registered hop of the domain's gateway. */
  readonly viaGateway: boolean;
  /** The entry of an allow list that holds it. */
  readonly allow?: Match;
  /** The entry of a block list that holds it. Not looked for if an allow list does: any allow beats any block (A10). */
  readonly block?: Match;
}

/** An entry of a list; see `becauseOf`. */
interface Match {
  readonly list: AccessList;
  readonly range: Range;
}

/** @param now seconds since the epoch, for entries that expire (B5). */
export function standingOf({ gateway, allow, block }: Domain, peer: Address, now: number): Standing {
  const viaGateway = gateway !== undefined && findRange(gateway.addresses, peer, now) !== undefined;
  const allowed = findIn(allow, peer, now);
  if (allowed !== undefined) return { viaGateway, allow: allowed };
  const blocked = findIn(block, peer, now);
  return blocked === undefined ? { viaGateway } : { viaGateway, block: blocked };
}

/** The entry as a reason, in canonical text. */
export function becauseOf({ list, range }: Match): Because {
  return byObject(list.source, formatRange(range));
}

/** The first list that holds the address, and in it the narrowest entry. */
function findIn(lists: readonly AccessList[], peer: Address, now: number): Match | undefined {
  for (const list of lists) {
    const range = findRange(list.index, peer, now);
    if (range !== undefined) return { list, range };
  }
  return undefined;
}
