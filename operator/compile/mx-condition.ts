import { parseAddress } from '../../policy/ip/address.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { Gateway } from './gateway.ts';
import { canonical } from './mail-senders.ts';
import type { MxFacts } from './model.ts';
import { printable } from './printable.ts';
import { coverOf, isCovered } from './range-cover.ts';
import { nameOf } from './references.ts';

/** Where the MX records of a domain should lead. */
export interface MxTarget {
  readonly domain: string;
  readonly mta: string;
  readonly heloName: string;
  /** The MTA's, as far as they are declared. */
  readonly egressAddresses: readonly string[];
  /** Also one in Audit: mail may come through it. */
  readonly gateway: Gateway | undefined;
}

/**
 * MxReady (D3): with a gateway no MX may lead to the MTA, since mail would pass the gateway by; without one all of them must,
 * since mail that goes elsewhere meets no policy.
 *
 * A host leads to the MTA if it has its name or one of its addresses. The addresses of a gateway are those that it connects
 * from: where it listens is its owner's to know, so with a gateway any other host is taken as its.
 */
export function mxCondition(facts: MxFacts, target: MxTarget): ConditionInput {
  const { domain, mta, heloName, gateway } = target;
  const enforced = gateway?.object.spec.enforcement === 'Enforce' ? nameOf(gateway.object) : undefined;
  const record = `${domain}. IN MX 10 ${heloName}.`;
  const { exchangers } = facts;
  if (exchangers.length === 0) {
    const advice = enforced === undefined ? `publish ${record}` : `publish one that names ${enforced}`;
    return condition('MxReady', 'False', 'RecordNotFound', `${domain} has no MX record: ${advice}`);
  }
  if (exchangers.every(({ host }) => host === '')) {
    const message = `${domain} has a null MX, which says that it takes no mail (RFC 7505)`;
    return condition('MxReady', 'False', 'ValueMismatch', message);
  }
  const own = new Set([...facts.ownAddresses, ...target.egressAddresses].map(canonical));
  const ranges = coverOf(gateway?.ranges ?? []);
  const leadsHere = ({ host, addresses }: MxFacts['exchangers'][number]) =>
    host === heloName.toLowerCase() || addresses.some((address) => own.has(canonical(address)));
  const leadsToGateway = ({ addresses }: MxFacts['exchangers'][number]) =>
    addresses.some((text) => {
      const address = parseAddress(text);
      return address !== undefined && isCovered({ address, prefix: address.family === 4 ? 32 : 128 }, ranges);
    });
  if (enforced !== undefined) {
    const passing = exchangers.filter(leadsHere);
    if (passing.length === 0) return condition('MxReady', 'True', 'MxReady', `MX ${names(exchangers)}`);
    const message = `MX ${names(passing)} of ${domain} leads to MTA ${mta} and passes ${enforced} by: name the gateway only`;
    return condition('MxReady', 'False', 'ValueMismatch', message);
  }
  const away = exchangers.filter((one) => !leadsHere(one) && !leadsToGateway(one));
  if (away.length === 0) return condition('MxReady', 'True', 'MxReady', `MX ${names(exchangers)}`);
  const message = `MX ${names(away)} of ${domain} does not lead to MTA ${mta}: publish ${record}`;
  return condition('MxReady', 'False', 'ValueMismatch', message);
}

/** There may be many, and strangers write them. */
function names(exchangers: MxFacts['exchangers']): string {
  const shown = exchangers
    .slice(0, 8)
    .map(
      ({ host, addresses }) => `${printable(host)}${addresses.length === 0 ? ' (without an address)' : ''}`,
    );
  return [...shown, ...(exchangers.length > 8 ? [`${exchangers.length - 8} more`] : [])].join(', ');
}
