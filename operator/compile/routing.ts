import type { InboundRule, OutboundRule } from '../../bundle/domain-policy.ts';
import { compareText } from '../../bundle/shards.ts';
import type { MailDomain } from '../api/index.ts';
import { type ConditionInput, condition } from './conditions.ts';
import type { Gateway } from './gateway.ts';
import { checkRoute, nameOf, type References, type RefProblem } from './references.ts';

/** The routing rules of a domain, sorted; none for a Platform domain (G3). */
export function routingOf(object: MailDomain): { inbound: InboundRule[]; outbound: OutboundRule[] } {
  if (object.spec.ownership === 'Platform') return { inbound: [], outbound: [] };
  const inbound = object.spec.inboundRouting.map(({ routeRef, ...rule }) => ({
    ...rule,
    route: routeRef.name,
  }));
  const outbound = object.spec.outboundRouting.map(({ match, changeRoute, sendCopyTo }) => ({
    match,
    ...(changeRoute === undefined ? {} : { changeRoute: changeRoute.name }),
    ...(sendCopyTo === undefined ? {} : { sendCopyTo: sendCopyTo.name }),
  }));
  return {
    inbound: inbound.sort((left, right) => compareText(left.match + left.target, right.match + right.target)),
    outbound: outbound.sort((left, right) => compareText(left.match, right.match)),
  };
}

/** A field of an object that names a Route. */
export interface RouteUse {
  readonly route: string;
  readonly field: string;
}

/** Every Route that a MailDomain names, and where. */
export function routesNamedBy(object: MailDomain): RouteUse[] {
  const { mailbox, inboundRouting, outboundRouting } = object.spec;
  const uses = [
    { ref: mailbox.routeRef, field: 'spec.mailbox.routeRef' },
    ...inboundRouting.map(({ routeRef }, index) => ({
      ref: routeRef,
      field: `spec.inboundRouting[${index}].routeRef`,
    })),
    ...outboundRouting.flatMap(({ changeRoute, sendCopyTo }, index) => [
      { ref: changeRoute, field: `spec.outboundRouting[${index}].changeRoute` },
      { ref: sendCopyTo, field: `spec.outboundRouting[${index}].sendCopyTo` },
    ]),
  ];
  return uses.flatMap(({ ref, field }) => (ref === undefined ? [] : { route: ref.name, field }));
}

/** What is wrong with the Routes that a MailDomain names. */
export function routeProblems(object: MailDomain, references: References): RefProblem[] {
  return routesNamedBy(object).flatMap(({ route, field }) => checkRoute(route, field, references) ?? []);
}

/**
 * Rules that can never apply, because an earlier one takes all their mail (I14). The order is that of architecture.md 8 step 5:
 * outbound changeRoute, the gateway's internal mail, the inbound rules.
 *
 * @param gateway the gateway of the domain, if it has one
 */
export function shadowedRules(object: MailDomain, gateway: Gateway | undefined): ConditionInput[] {
  const { inbound, outbound } = routingOf(object);
  const shadows: string[] = [];
  if (outbound.some(({ match, changeRoute }) => match === 'Internal' && changeRoute !== undefined)) {
    const taken = inbound
      .filter(({ match }) => match === 'Internal')
      .map(({ target }) => `inboundRouting Internal ${target}`);
    if (gateway?.object.spec.internalMailViaGateway === true) {
      taken.push(`internalMailViaGateway of ${nameOf(gateway.object)}`);
    }
    if (taken.length > 0)
      shadows.push(`outboundRouting Internal changeRoute takes the mail of ${taken.join(', ')}`);
  }
  if (object.spec.recipients.mode === 'Any') {
    const taken = inbound.filter(({ target }) => target === 'Unknown').map(({ match }) => `${match} Unknown`);
    if (taken.length > 0) {
      shadows.push(
        `recipients.mode Any knows every recipient, so inboundRouting ${taken.join(', ')} never applies`,
      );
    }
  }
  return shadows.length === 0
    ? []
    : [condition('RoutingShadowed', 'True', 'RoutingShadowed', shadows.join('; '))];
}
