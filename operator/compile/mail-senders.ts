import { formatAddress, parseAddress } from '../../policy/ip/address.ts';
import { internalRanges } from '../../policy/ip/internal-ranges.ts';
import { parseRange } from '../../policy/ip/range.ts';
import type { MtaSettings } from '../api/index.ts';
import type { DomainSlice } from './domain-slice.ts';
import type { MailSender, Snapshot } from './model.ts';
import { coverOf, isCovered } from './range-cover.ts';
import type { References } from './references.ts';
import { fullHost } from './route-host.ts';

/**
 * The servers from which mail of a domain goes out to the world, so those that its SPF record must cover (O5): the MTA, or the
 * Route that its external mail goes over. A Route that hands mail back to the MTA (an account with its name as `fromRoute`) sends
 * nothing out itself.
 */
export function sendersOf(
  { hosted, submission, policy }: DomainSlice,
  settings: MtaSettings,
  references: References,
  snapshot: Snapshot,
): MailSender[] {
  const external = policy.outboundRouting.find(({ match }) => match === 'External')?.changeRoute;
  const returns = submission.accounts?.some(({ fromRoute }) => fromRoute === external) ?? false;
  if (external === undefined || returns) {
    const what = `MTA ${hosted.mta}`;
    const unknown = `egressAddresses of ${what} names no public address`;
    return [{ what, addresses: settings.egressAddresses.map(canonical).toSorted(), unknown }];
  }
  const what = `Route ${external}`;
  const route = references.routes.get(external);
  if (route === undefined) return [{ what, addresses: [], unknown: `${what} does not exist` }];
  const { host, lookupMx } = route.spec;
  const unknown = `${what} leads to a host without a public address, and how the world sees it is not known`;
  if (parseAddress(host) !== undefined) return [{ what, addresses: [canonical(host)], unknown }];
  const name = fullHost(host, snapshot.namespace, snapshot.options).replace(/\.$/, '').toLowerCase();
  return [{ what, addresses: [], host: { name, lookupMx }, unknown }];
}

const internal = coverOf(internalRanges.flatMap((text) => parseRange(text) ?? []));

/** An address as DNS answers spell it. */
export function canonical(text: string): string {
  const address = parseAddress(text);
  return address === undefined ? text : formatAddress(address);
}

/** Whether a mail server somewhere else can see mail come from this address. */
export function isPublic(text: string): boolean {
  const address = parseAddress(text);
  return address !== undefined && !isCovered({ address, prefix: address.family === 4 ? 32 : 128 }, internal);
}
