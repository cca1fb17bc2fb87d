import type { Address } from './ip/address.ts';
import type { Range } from './ip/range.ts';
import { formatRange } from './ip/range.ts';
import { findRange } from './ip/range-index.ts';
import type { OriginalClient, Peer } from './original-client.ts';
import type { AccessList, Domain } from './policy.ts';
import { byObject } from './stage.ts';
import type { Because } from './types.ts';

/** What the lists of one domain say of an address. */
interface Listing {
  /** The entry of an allow list that holds it. */
  readonly allow?: Match;
  /** The entry of a block list that holds it. Not looked for if an allow list does: any allow beats any block (A10). */
  readonly block?: Match;
}

/** How a peer stands with one domain. */
export interface Standing extends Listing {
  /** It is a registered hop of the domain's gateway. */
  readonly viaGateway: boolean;
}

/** An entry of a list; see `becauseOf`. */
interface Match {
  readonly list: AccessList;
  readonly range: Range;
}

/** @param now seconds since the epoch, for entries that expire (B5). */
export function standingOf(domain: Domain, { address }: Peer, now: number): Standing {
  const { gateway } = domain;
  const viaGateway = gateway !== undefined && findRange(gateway.addresses, address, now) !== undefined;
  return { viaGateway, ...listingOf(domain, address, now) };
}

/** The same lists on who is behind a gateway; of somebody unknown they say nothing. */
export function clientListing(domain: Domain, client: OriginalClient, now: number): Listing {
  return client.role === 'originalClient' ? listingOf(domain, client.address, now) : {};
}

function listingOf({ allow, block }: Domain, address: Address, now: number): Listing {
  const allowed = findIn(allow, address, now);
  if (allowed !== undefined) return { allow: allowed };
  const blocked = findIn(block, address, now);
  return blocked === undefined ? {} : { block: blocked };
}

/** The entry as a reason, in canonical text. */
export function becauseOf({ list, range }: Match): Because {
  return byObject(list.source, formatRange(range));
}

/** The first list that holds the address, and in it the narrowest entry. */
function findIn(lists: readonly AccessList[], address: Address, now: number): Match | undefined {
  for (const list of lists) {
    const range = findRange(list.index, address, now);
    if (range !== undefined) return { list, range };
  }
  return undefined;
}
