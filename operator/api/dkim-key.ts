import * as z from 'zod';
import { flag, integer, object, objectName, oneOf, reference, text, time } from './field.ts';
import { ageColumn, conditionColumn, defineKind, readyColumn, reasonColumn } from './kind.ts';
import { limits } from './limits.ts';
import { listOf } from './list.ts';
import { immutable, immutableOptional, matches, withRules, withTransitions } from './rule.ts';
import { commonStatus, counter, digest, nameInStatus } from './status.ts';

const verification = object('How it is found out that the record is published.', {
  mode: oneOf(
    'Automatic: looked for until found, and daily afterwards. OnRequest: only after a new requestId. Disabled: taken as published.',
    ['Automatic', 'OnRequest', 'Disabled'],
  ).default('Automatic'),
  requestId: withRules(
    text('Any new value begins the authentication: the record is looked for at once, for 72 hours.', {
      min: 1,
      max: 64,
    }),
    [matches('^[A-Za-z0-9:._-]+$', 'must be letters, digits, colons, dots, underscores and hyphens')],
  ).optional(),
  scope: oneOf('Authoritative: every name server of the zone is asked. Recursive: the resolver is asked.', [
    'Authoritative',
    'Recursive',
  ]).default('Authoritative'),
});

const dns = object('Publishing the record.', {
  publish: oneOf('ExternalDNS: a DNSEndpoint is written for external-dns. None: you publish it by hand.', [
    'None',
    'ExternalDNS',
  ]).default('None'),
  targetFormat: oneOf(
    'How the value is written: Quoted chunks for most providers, Raw for those that quote themselves.',
    ['Quoted', 'Raw'],
  ).default('Quoted'),
  ttlSeconds: integer('Time to live of the record.', { min: 60, max: 86_400 }).default(3_600),
});

const spec = withTransitions(
  withRules(
    object('The key, and what it is for.', {
      domainRef: immutable(reference('The MailDomain whose mail is signed.', 'MailDomain')),
      selector: immutable(
        withRules(
          text('Selector: the record stands at <selector>._domainkey.<domain>.', {
            min: 1,
            max: limits.labelLength,
          }),
          [
            matches(
              '^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$',
              'must be letters, digits and inner hyphens, without dots',
            ),
          ],
        ).default('postern'),
      ),
      algorithm: immutable(
        oneOf(
          'RSA is understood by every receiver; Ed25519 (RFC 8463) may sign beside it with a second DkimKey.',
          ['RSA', 'Ed25519'],
        ).default('RSA'),
      ),
      keyLength: z
        .literal([1024, 2048])
        .meta({
          description:
            'Bits of an RSA key; unset means 2048. 1024 only for DNS hosts that cannot store more.',
        })
        .optional(),
      secretName: objectName(
        'Bring your own key: name of a Secret with a PEM private key under tls.key. Unset: a key is made once.',
      ).optional(),
      state: oneOf(
        'Active: signs once published. Standby: published, waits for its turn. Retired: signs no more.',
        ['Active', 'Standby', 'Retired'],
      ).default('Active'),
      fallback: flag('Also signs mail of domains of the same MTA that have no key of their own.').default(
        false,
      ),
      verification: verification.prefault({}),
      secretRetention: oneOf(
        'Whether the Secret of a key that Postern made stays when this object is deleted. Delete: it goes a minute later, unless a DkimKey names it again.',
        ['Retain', 'Delete'],
      ).default('Retain'),
      dns: dns.prefault({}),
    }),
    [
      {
        cel: "!has(self.keyLength) || self.algorithm == 'RSA'",
        message: 'may only be set with algorithm RSA',
        holds: (self) => self.keyLength === undefined || self.algorithm === 'RSA',
        field: 'keyLength',
      },
    ],
  ),
  [immutableOptional('keyLength'), immutableOptional('secretName')],
);

const status = object('What is true in DNS and in the running pods.', {
  ...commonStatus,
  keyLength: counter('Bits of the key.'),
  dnsRecord: object('The TXT record to publish.', {
    name: text('Host name of the record.', { min: 1, max: limits.domainLength }),
    value: text('Its value in one piece.', { min: 1, max: limits.dnsValueLength }),
    chunks: listOf(
      'The value in strings of at most 255 characters, as DNS stores it.',
      text('One string.', { min: 1, max: limits.dnsChunkLength }),
      { max: limits.dnsChunks },
    ),
    zoneFileLine: text('The record as a line for a zone file.', { min: 1, max: 2_048 }),
  }).optional(),
  secretRef: object('The Secret with the private key.', {
    name: text('Its name.', { min: 1, max: limits.objectNameLength }),
  }).optional(),
  dnsEndpointRef: object('The DNSEndpoint by which external-dns publishes the record.', {
    name: text('Its name.', { min: 1, max: limits.objectNameLength }),
  }).optional(),
  publicKeySHA256: digest('SHA-256 of the public key (SubjectPublicKeyInfo).'),
  observedRequestId: text('The requestId that was answered last.', { max: 64 }).optional(),
  attempts: counter('Checks since the authentication began.'),
  lastCheckTime: time('When the record was looked for last.').optional(),
  nextCheckTime: time('When it is looked for next.').optional(),
  verifiedTime: time('When it was found first.').optional(),
  deadlineTime: time('When the authentication counts as failed: 72 hours after it began.').optional(),
  nameservers: listOf(
    'What each name server answered last.',
    object('One name server.', {
      name: text('Its name or address.', { min: 1, max: limits.domainLength }),
      result: text('Match, or a reason of the condition Published.', { min: 1, max: 64 }),
    }),
    { max: limits.nameservers },
  ).optional(),
  domain: nameInStatus('The domain that is signed for.'),
});

export const dkimKey = defineKind({
  kind: 'DkimKey',
  shortNames: ['dkim'],
  description: 'A DKIM key of a domain: its private key, its DNS record, and whether it signs.',
  columns: [
    { name: 'Domain', type: 'string', jsonPath: '.spec.domainRef.name', description: 'Its MailDomain.' },
    { name: 'Selector', type: 'string', jsonPath: '.spec.selector', description: 'Its selector.' },
    { name: 'Bits', type: 'integer', jsonPath: '.status.keyLength', description: 'Bits of the key.' },
    conditionColumn('Published', 'Published', 'Whether the record was found.'),
    conditionColumn('Signing', 'Signing', 'Whether the pods sign with it.'),
    readyColumn,
    {
      name: 'Host',
      type: 'string',
      jsonPath: '.status.dnsRecord.name',
      description: 'Host name of the record.',
      wide: true,
    },
    {
      ...reasonColumn,
      jsonPath: '.status.conditions[?(@.type=="Published")].reason',
      description: 'Why it is published or not.',
    },
    {
      name: 'Next-Check',
      type: 'string',
      jsonPath: '.status.nextCheckTime',
      description: 'When the record is looked for next.',
      wide: true,
    },
    ageColumn,
  ],
  selectableFields: ['.spec.domainRef.name'],
  conditions: [
    'Accepted',
    'ResolvedRefs',
    'Programmed',
    'Ready',
    'KeyGenerated',
    'Published',
    'Signing',
    'WeakKey',
    'RecordNotWritten',
  ],
  spec,
  status,
});
