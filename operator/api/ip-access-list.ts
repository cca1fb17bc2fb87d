import {
  accessAddress,
  configMapKey,
  domainRefs,
  enforcement,
  flag,
  integer,
  object,
  oneOf,
  text,
  time,
} from './field.ts';
import { ageColumn, defineKind, readyColumn, reasonColumn } from './kind.ts';
import { limits } from './limits.ts';
import { listOf } from './list.ts';
import { immutable, withRules } from './rule.ts';
import { commonStatus, counter, digest, domainsStatus } from './status.ts';

const entry = object('One annotated entry.', {
  address: accessAddress('IP address or CIDR.'),
  note: text('Free text for people; `postern why` shows it.', { max: limits.noteLength }).optional(),
  expireTime: time(
    'From this moment on the entry acts no more, by the clock of the MTA. It counts against the limits until it is removed.',
  ).optional(),
});

const spec = withRules(
  object('The list, and the domains it is for.', {
    action: immutable(
      oneOf(
        'Allow: mail from these addresses is received and not filtered for spam. Block: it is refused with 550 5.7.1. Allow wins over Block.',
        ['Allow', 'Block'],
      ),
    ),
    domainRefs: domainRefs('The MailDomains the list is for; or set allDomains.').optional(),
    allDomains: flag('The list is for every MailDomain of the namespace; instead of domainRefs.').optional(),
    enforcement: enforcement('Allow entries in Audit allow nothing.'),
    addresses: listOf(
      'Entries without notes: the form for long lists, 10,000 of which pass `kubectl apply`.',
      accessAddress('IP address, or CIDR with a prefix over 0 and no host bits.'),
      { max: limits.accessEntries },
    ).default([]),
    entries: listOf(
      'Entries with notes and expiry. Long lists of them need `kubectl apply --server-side`.',
      entry,
      { max: limits.accessEntries },
    ).default([]),
    text: text(
      'Entries as free text, separated by commas, blanks or newlines; "#" begins a note up to the end of the line. Ranges a-b are taken too.',
      { max: limits.accessTextLength },
    ).optional(),
    entriesFrom: listOf(
      'More entries from ConfigMaps of the namespace, in the form of text.',
      object('One source.', {
        configMapKeyRef: configMapKey('The key of a ConfigMap.', 'addresses'),
      }),
      { max: limits.entriesFrom },
    ).default([]),
  }),
  [
    {
      cel: 'has(self.domainRefs) != (has(self.allDomains) && self.allDomains)',
      message: 'must have exactly one of domainRefs and allDomains: true',
      holds: (self) => (self.domainRefs !== undefined) !== (self.allDomains === true),
    },
    {
      cel: `size(self.addresses) + size(self.entries) <= ${limits.accessEntries}`,
      message: `may have at most ${limits.accessEntries} entries in addresses and entries together`,
      holds: (self) => self.addresses.length + self.entries.length <= limits.accessEntries,
    },
    {
      cel: `size(self.addresses) * ${limits.accessAddressBytes} + (has(self.text) ? size(bytes(self.text)) : 0) + self.entries.map(e, ${limits.accessEntryBytes} + (has(e.note) ? size(bytes(e.note)) : 0)).sum() <= ${limits.accessListBytes}`,
      message: `may need at most ${limits.accessListBytes} bytes: shorten the notes, or split the list into several objects`,
      holds: (self) =>
        self.addresses.length * limits.accessAddressBytes +
          byteLength(self.text) +
          self.entries.reduce((sum, { note }) => sum + limits.accessEntryBytes + byteLength(note), 0) <=
        limits.accessListBytes,
    },
  ],
);

/** Bytes of a text in UTF-8, as it is stored. */
function byteLength(value: string | undefined): number {
  return value === undefined ? 0 : Buffer.byteLength(value);
}

const status = object('What is true in the running pods.', {
  ...commonStatus,
  ...domainsStatus,
  entryCount: counter('Entries of all forms together, valid ones; a range a-b counts as one.'),
  effectiveCount: counter('Ranges that are left when duplicates and contained ones are merged.'),
  duplicateCount: counter('Entries that stand there more than once.'),
  shadowedCount: counter('Entries without effect, because an entry of an Allow list covers them.'),
  neverHitCount: counter('Entries that no mail has met yet; written at most every 10 minutes.'),
  invalid: listOf(
    'The first entries that cannot be read; all others act.',
    object('One entry.', {
      source: text('Where it stands: text, or the ConfigMap and key.', { min: 1, max: 512 }),
      line: integer('Line in that source, from 1.', { min: 1, max: 10_000_000 }),
      value: text('The entry as written, shortened.', { max: 128 }),
      reason: text('What is wrong with it.', { min: 1, max: 256 }),
    }),
    { max: limits.invalidEntries },
  ).optional(),
  sourceHash: digest('Digest of all sources as they were read last.'),
});

export const ipAccessList = defineKind({
  kind: 'IpAccessList',
  shortNames: ['ipal'],
  description: 'A list of client addresses whose mail is received (Allow) or refused (Block).',
  columns: [
    { name: 'Action', type: 'string', jsonPath: '.spec.action', description: 'Allow or Block.' },
    { name: 'Entries', type: 'integer', jsonPath: '.status.entryCount', description: 'Valid entries.' },
    readyColumn,
    {
      name: 'Duplicates',
      type: 'integer',
      jsonPath: '.status.duplicateCount',
      description: 'Entries that stand there twice.',
      wide: true,
    },
    {
      name: 'Shadowed',
      type: 'integer',
      jsonPath: '.status.shadowedCount',
      description: 'Entries without effect.',
      wide: true,
    },
    reasonColumn,
    ageColumn,
  ],
  selectableFields: ['.spec.action'],
  conditions: [
    'Accepted',
    'ResolvedRefs',
    'Programmed',
    'Ready',
    'BroadRange',
    'AllowListBypassesGateway',
    'AllowListCoversGateway',
    'ClientIPNotPreserved',
  ],
  spec,
  status,
});
