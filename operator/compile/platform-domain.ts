import type { MailDomain } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';

/**
 * A domain of the provider takes no gateway, no routing rules and no DkimKey but the fallback; IP lists and TLS policies it
 * takes (G3). This file says it for routing rules; gateways and keys say it themselves.
 *
 * @returns Accepted=False if the MailDomain has routing rules of its own; they are left out and the rest acts
 */
export function routingOnPlatformDomain(object: MailDomain): ConditionInput | undefined {
  const { ownership, inboundRouting, outboundRouting } = object.spec;
  if (ownership !== 'Platform') return undefined;
  const fields = [
    ...(inboundRouting.length > 0 ? ['spec.inboundRouting'] : []),
    ...(outboundRouting.length > 0 ? ['spec.outboundRouting'] : []),
  ];
  if (fields.length === 0) return undefined;
  const message = `${fields.join(' and ')}: a domain with ownership Platform takes no routing rules; they do not act`;
  return condition('Accepted', 'False', 'UnavailableOnPlatformDomain', message);
}
