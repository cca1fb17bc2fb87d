import { domainName, flag, integer, mailAddress, object, oneOf, reference, text } from './field.ts';
import { ageColumn, conditionColumn, defineKind, readyColumn, reasonColumn } from './kind.ts';
import { limits } from './limits.ts';
import { mapOf } from './list.ts';
import { authentication, contentFilter } from './mail-checks.ts';
import { junk, mailbox, recipients } from './mailbox.ts';
import { inboundRule, outboundRule } from './routing-rule.ts';
import { immutable, matches, withRules } from './rule.ts';
import { commonStatus, counter, digest, nameInStatus } from './status.ts';

const submission = withRules(
  object('Sending by authenticated accounts on the submission ports.', {
    enabled: flag('Whether accounts may sign in at all.').default(false),
    accountsSecretRef: reference(
      'Secret with label postern.dev/use: accounts that holds the accounts and their password hashes.',
      'Secret',
    ).optional(),
    limits: object('What one account may do.', {
      recipientsPerHour: integer('Recipients per hour; more are deferred with 450 4.7.1.', {
        min: 1,
        max: 1_000_000,
      }).default(500),
    }).prefault({}),
  }),
  [
    {
      cel: '!self.enabled || has(self.accountsSecretRef)',
      message: 'must be set when submission is enabled',
      holds: (self) => !self.enabled || self.accountsSecretRef !== undefined,
      field: 'accountsSecretRef',
    },
  ],
);

const spec = withRules(
  object('What is to happen with mail of this domain.', {
    domain: immutable(
      domainName(
        'The domain, in lower case; xn--... for other scripts. A subdomain is a MailDomain of its own.',
      ),
    ),
    ownership: oneOf(
      'Platform: a domain of the provider, which takes no gateway, no routing rules and no DkimKey except the fallback.',
      ['Customer', 'Platform'],
    ).default('Customer'),
    mta: immutable(
      withRules(
        text(
          'Which MTA of the namespace serves the domain: the value of label postern.dev/mta on its StatefulSet.',
          {
            min: 1,
            max: limits.mtaNameLength,
          },
        ),
        [matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$', 'must be lower-case letters, digits and inner hyphens')],
      ).default('default'),
    ),
    mailbox,
    junk: junk.prefault({}),
    recipients: recipients.prefault({}),
    postmaster: mailAddress(
      'Receives mail for postmaster@ and abuse@ when those are no recipients. Unset: the postmaster of the MTA.',
    ).optional(),
    inboundRouting: mapOf(
      'Received mail that goes elsewhere; each pair of match and target may have its own Route.',
      ['match', 'target'],
      inboundRule,
      { max: limits.inboundRoutes },
    ).default([]),
    outboundRouting: mapOf('Sent mail that goes elsewhere, or is copied.', ['match'], outboundRule, {
      max: limits.outboundRoutes,
    }).default([]),
    submission: submission.prefault({}),
    limits: object('Limits for mail of this domain.', {
      maxMessageBytes: integer('Largest message in bytes; larger ones are refused with 552 5.3.4.', {
        min: limits.minMessageBytes,
        max: limits.maxMessageBytes,
      }).default(limits.defaultMessageBytes),
    }).prefault({}),
    contentFilter: contentFilter.optional(),
    authentication: authentication.prefault({}),
  }),
  [
    {
      cel: "!has(self.mailbox.maildir) || (has(self.recipients.mode) && self.recipients.mode == 'List')",
      message: 'must be List when the mailbox is a maildir: there is no server to ask',
      holds: (self) => self.mailbox.maildir === undefined || self.recipients.mode === 'List',
      field: 'recipients.mode',
    },
    {
      cel: "self.recipients.addresses.all(a, !a.contains('@') || a.endsWith('@' + self.domain))",
      message: 'must be local parts or addresses of spec.domain',
      holds: (self) =>
        self.recipients.addresses.every(
          (address) => !address.includes('@') || address.endsWith(`@${self.domain}`),
        ),
      field: 'recipients.addresses',
    },
  ],
);

const status = object('What is true in the running pods.', {
  ...commonStatus,
  attached: object('What acts on the domain.', {
    ipAccessLists: counter('IpAccessLists.'),
    inboundGateways: counter('InboundGateways that name the domain; one of them acts.'),
    tlsPolicies: counter('TlsPolicies.'),
    dkimKeys: counter('DkimKeys.'),
    allowEntries: counter('Entries of all allow lists.'),
    blockEntries: counter('Entries of all block lists.'),
    inboundGateway: nameInStatus('Name of the InboundGateway that acts.'),
  }).optional(),
  dkim: object('The key that signs.', {
    activeKey: nameInStatus('Name of the DkimKey.'),
    selector: text('Its selector.', { max: limits.labelLength }).optional(),
  }).optional(),
  policyHash: digest('Digest of the compiled policy of this domain; equal policy, equal digest.'),
  ledger: object(
    'Mail on behalf of the domain that ended without a delivery or a report: what the pods of its MTA have counted on their volumes since they began to serve it. Absent until there is something to tell. Each pod tells of changes every 10 minutes at most; while one does not answer, the numbers stay. One that is killed may forget the last 5 seconds, and one that is scaled away takes its counts along, until it is back with its volume.',
    {
      suppressedNdrs: counter('Failures that are not reported: ndr Never or Auto, and copies.'),
      backscatterAvoided: counter('Reports that were not sent because the sender was not proven.'),
      doubleBounces: counter('Reports that could not be delivered themselves, or had nowhere to go.'),
      expired: counter(
        'Failures of mail that outlived the queue lifetime; each is in another count or was reported.',
      ),
    },
  ).optional(),
});

export const mailDomain = defineKind({
  kind: 'MailDomain',
  shortNames: ['mdom'],
  description:
    'A mail domain: where its mail goes, who its recipients are, and how mail from and to it is judged.',
  columns: [
    { name: 'Domain', type: 'string', jsonPath: '.spec.domain', description: 'The domain.' },
    readyColumn,
    conditionColumn('DKIM', 'DkimReady', 'Whether mail is signed with a key of the domain.'),
    { name: 'MTA', type: 'string', jsonPath: '.spec.mta', description: 'The MTA that serves it.' },
    reasonColumn,
    {
      name: 'Allow',
      type: 'integer',
      jsonPath: '.status.attached.allowEntries',
      description: 'Allow entries.',
      wide: true,
    },
    {
      name: 'Block',
      type: 'integer',
      jsonPath: '.status.attached.blockEntries',
      description: 'Block entries.',
      wide: true,
    },
    {
      name: 'Gateway',
      type: 'string',
      jsonPath: '.status.attached.inboundGateway',
      description: 'Its gateway.',
      wide: true,
    },
    ageColumn,
  ],
  selectableFields: ['.spec.domain'],
  conditions: [
    'Accepted',
    'ResolvedRefs',
    'Programmed',
    'Ready',
    'MtaAvailable',
    'DkimReady',
    'MxReady',
    'SpfReady',
    'DmarcReady',
    'RecipientsReady',
    'ClientIPNotPreserved',
    'BackscatterRisk',
    'RoutingShadowed',
    'TlsPolicyAffected',
    'DmarcUnaligned',
    'QueueStranded',
  ],
  spec,
  status,
});
