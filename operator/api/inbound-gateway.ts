import { domainRefs, enforcement, flag, object, reference, text } from './field.ts';
import { ageColumn, defineKind, readyColumn, reasonColumn } from './kind.ts';
import { limits } from './limits.ts';
import { setOf } from './list.ts';
import { matches, withRules } from './rule.ts';
import { commonStatus, counter, domainsStatus } from './status.ts';
import { hasHostBits, parseStrictCidr, parseStrictIp } from './strict-address.ts';

const gatewayAddress = withRules(
  text('IP address or CIDR of a hop, no wider than /20 (IPv6: /48).', { min: 2, max: limits.addressLength }),
  [
    {
      cel: 'isIP(self) || isCIDR(self)',
      message:
        'must be an IP address or a CIDR such as 10.0.0.1 or 10.1.1.0/24 (no leading zeros, no ::ffff: form)',
      holds: (self) => parseStrictIp(self) !== undefined || parseStrictCidr(self) !== undefined,
    },
    {
      cel: `!isCIDR(self) || cidr(self).prefixLength() >= (cidr(self).ip().family() == 4 ? ${limits.gatewayPrefix4} : ${limits.gatewayPrefix6})`,
      message: `may not be wider than /${limits.gatewayPrefix4} (IPv6: /${limits.gatewayPrefix6})`,
      holds: (self) => {
        const network = parseStrictCidr(self);
        if (network === undefined) return true;
        return (
          network.prefixLength >= (network.bytes.length === 4 ? limits.gatewayPrefix4 : limits.gatewayPrefix6)
        );
      },
    },
    {
      cel: '!isCIDR(self) || cidr(self) == cidr(self).masked()',
      message: 'may not have host bits right of the prefix: write the first address of the network',
      holds: (self) => {
        const network = parseStrictCidr(self);
        return network === undefined || !hasHostBits(network);
      },
    },
  ],
);

const spam = object('What is spam in mail that came through the gateway.', {
  junkPatterns: setOf(
    'RE2 expressions that are searched in the unfolded header lines; a hit files the mail as spam.',
    text('One expression.', { min: 1, max: limits.junkPatternLength }),
    { max: limits.junkPatterns },
  ).default([]),
  skipContentFilter: flag(
    'Do not ask the content filter about spam: the gateway has done so. Its virus verdict still counts.',
  ).default(false),
});

const spec = withRules(
  object('The gateway, and the domains it stands in front of.', {
    domainRefs: domainRefs(
      'The MailDomains whose mail comes through the gateway; each may have one gateway.',
    ),
    suspend: flag('The gateway counts as not there, until this is false again.').default(false),
    enforcement: enforcement('A gateway in Audit refuses no direct mail.'),
    addresses: setOf('All addresses that mail passes on its way through the gateway.', gatewayAddress, {
      min: 1,
      max: limits.gatewayAddresses,
    }),
    onlyFromGateway: flag(
      'Refuse mail that does not come from these addresses with 550 5.7.1; authenticated and allowed senders may pass.',
    ).default(false),
    internalMailViaGateway: flag(
      'Send mail between accounts of the domain through the gateway, too.',
    ).default(false),
    routeRef: reference('The Route to the gateway, for internalMailViaGateway.', 'Route').optional(),
    spam: spam.prefault({}),
    trustedAuthservId: withRules(
      text(
        'Identifier of the Authentication-Results line of the gateway that replaces our own SPF, DKIM and DMARC.',
        {
          min: 1,
          max: limits.domainLength,
        },
      ),
      [matches('^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$', 'must be an identifier such as gw.example.com')],
    ).optional(),
  }),
  [
    {
      cel: '!self.internalMailViaGateway || has(self.routeRef)',
      message: 'must be set when internalMailViaGateway is true',
      holds: (self) => !self.internalMailViaGateway || self.routeRef !== undefined,
      field: 'routeRef',
    },
  ],
);

const status = object('What is true in the running pods.', {
  ...commonStatus,
  ...domainsStatus,
  addressCount: counter('Registered addresses and ranges.'),
});

export const inboundGateway = defineKind({
  kind: 'InboundGateway',
  shortNames: ['ingw'],
  description: 'A server in front of the MTA that mail of some domains comes through, such as a spam filter.',
  columns: [
    { name: 'Domains', type: 'string', jsonPath: '.status.domainSummary', description: 'Its domains.' },
    {
      name: 'Addresses',
      type: 'integer',
      jsonPath: '.status.addressCount',
      description: 'Registered addresses.',
    },
    {
      name: 'Only',
      type: 'boolean',
      jsonPath: '.spec.onlyFromGateway',
      description: 'Whether direct mail is refused.',
    },
    readyColumn,
    reasonColumn,
    ageColumn,
  ],
  selectableFields: [],
  conditions: [
    'Accepted',
    'ResolvedRefs',
    'Programmed',
    'Ready',
    'OriginalClientUnknown',
    'AllowListBypassesGateway',
    'AllowListCoversGateway',
    'ClientIPNotPreserved',
  ],
  spec,
  status,
});
