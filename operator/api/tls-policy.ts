import {
  configMapKey,
  domainRefs,
  enforcement,
  flag,
  integer,
  object,
  oneOf,
  peerDomain,
  text,
} from './field.ts';
import { ageColumn, defineKind, readyColumn, reasonColumn } from './kind.ts';
import { limits } from './limits.ts';
import { listOf, setOf } from './list.ts';
import { withRules } from './rule.ts';
import { commonStatus, counter, domainsStatus } from './status.ts';

const outbound = withRules(
  object('What is asked of the server of a partner, beyond TLS itself; only with direction Outbound.', {
    requireTrustedCA: flag('Its certificate must come from a trusted CA.').default(false),
    requireHostnameMatch: flag('Its certificate must name the host that is spoken to.').default(false),
    caBundleRef: configMapKey(
      'ConfigMap with the PEM certificates of the trusted CAs. Unset: those of the system.',
      'ca.crt',
    ).optional(),
    onFailure: oneOf('Defer: try again until giveUpAfterSeconds. Bounce: report to the sender at once.', [
      'Defer',
      'Bounce',
    ]).default('Defer'),
    giveUpAfterSeconds: integer('Seconds after which deferred mail is reported to its sender.', {
      min: 60,
      max: 432_000,
    }).default(14_400),
  }),
  [
    {
      cel: '!has(self.caBundleRef) || self.requireTrustedCA',
      message: 'may only be set when requireTrustedCA is true',
      holds: (self) => self.caBundleRef === undefined || self.requireTrustedCA,
      field: 'caBundleRef',
    },
  ],
);

const spec = withRules(
  object('Which partners, and what is required.', {
    title: text('What the policy is for, in a few words.', { min: 1, max: limits.titleLength }),
    domainRefs: domainRefs('The MailDomains whose mail with the partners is meant.'),
    enforcement: enforcement('An Outbound policy in Audit therefore lets clear text go.'),
    directions: setOf(
      'Inbound: partners must use TLS to send to us. Outbound: mail to them is sent over TLS only.',
      oneOf('A direction.', ['Inbound', 'Outbound']),
      { min: 1, max: 2 },
    ),
    outbound: outbound.prefault({}),
    peerDomains: setOf(
      'Domains of the partners. With a leading *. the subdomains are meant, not the domain itself.',
      peerDomain('Domain of a partner, in lower case; xn--... for other scripts.'),
      { min: 1, max: limits.peerDomains },
    ),
  }),
  [
    {
      cel: "!self.outbound.requireTrustedCA || 'Outbound' in self.directions",
      message: 'may only be true with direction Outbound',
      holds: (self) => !self.outbound.requireTrustedCA || self.directions.includes('Outbound'),
      field: 'outbound.requireTrustedCA',
    },
    {
      cel: "!self.outbound.requireHostnameMatch || 'Outbound' in self.directions",
      message: 'may only be true with direction Outbound',
      holds: (self) => !self.outbound.requireHostnameMatch || self.directions.includes('Outbound'),
      field: 'outbound.requireHostnameMatch',
    },
  ],
);

const status = object('What is true in the running pods.', {
  ...commonStatus,
  ...domainsStatus,
  directionSummary: text('The directions in one line, for the column.', { max: 32 }).optional(),
  peerCount: counter('Partner domains.'),
  effective: listOf(
    'What all policies of a domain together require of the partners of this one (the strictest wins).',
    object('One partner, in one direction.', {
      domain: text('The domain of ours.', { min: 1, max: limits.domainLength }).optional(),
      peer: text('The partner.', { min: 1, max: limits.domainLength }),
      direction: oneOf('The direction.', ['Inbound', 'Outbound']),
      requirements: setOf(
        'All that is required.',
        oneOf('A requirement.', ['TLS', 'TrustedCA', 'HostnameMatch']),
        {
          max: 3,
        },
      ),
      from: setOf(
        'Names of the TlsPolicies that require it.',
        text('Name of a TlsPolicy.', { min: 1, max: limits.objectNameLength }),
        { max: limits.effectiveTlsFrom },
      ),
    }),
    { max: limits.effectiveTls },
  ).optional(),
});

export const tlsPolicy = defineKind({
  kind: 'TlsPolicy',
  plural: 'tlspolicies',
  shortNames: ['mtp'],
  description: 'Partner domains with which mail is exchanged over TLS only.',
  columns: [
    {
      name: 'Directions',
      type: 'string',
      jsonPath: '.status.directionSummary',
      description: 'Inbound, Outbound or both.',
    },
    { name: 'Peers', type: 'integer', jsonPath: '.status.peerCount', description: 'Partner domains.' },
    {
      name: 'CA',
      type: 'boolean',
      jsonPath: '.spec.outbound.requireTrustedCA',
      description: 'Whether a trusted CA is required.',
    },
    {
      name: 'Hostname',
      type: 'boolean',
      jsonPath: '.spec.outbound.requireHostnameMatch',
      description: 'Whether the host name must match.',
    },
    readyColumn,
    { name: 'Title', type: 'string', jsonPath: '.spec.title', description: 'What it is for.', wide: true },
    reasonColumn,
    ageColumn,
  ],
  selectableFields: [],
  conditions: ['Accepted', 'ResolvedRefs', 'Programmed', 'Ready'],
  spec,
  status,
});
