import { type Case, casesOf, longDomain, many } from './case.ts';

const route = { name: 'mailbox' };
const base = { domain: 'example.com', mailbox: { routeRef: route } };
const { good, bad } = casesOf('MailDomain', base);
const inbound = (match: string, target: string) => ({ match, target, routeRef: route });
const domainMessage = 'write xn--...';

export const mailDomainCases: Case[] = [
  good('least spec', {}),
  bad('spec without fields', 'spec.domain: Required value', { domain: undefined, mailbox: undefined }),
  good('domain of 253 characters', { domain: longDomain(253) }),
  bad('domain of 254 characters', 'may not be more than 253', { domain: longDomain(254) }),
  good('A-label domain', { domain: 'xn--bcher-kva.example' }),
  bad('U-label domain', domainMessage, { domain: 'bücher.example' }),
  bad('upper case domain', domainMessage, { domain: 'Example.com' }),
  bad('domain of one label', domainMessage, { domain: 'localhost' }),
  bad('domain with final dot', domainMessage, { domain: 'example.com.' }),
  bad('domain with a label of 64 characters', domainMessage, { domain: `${'a'.repeat(64)}.com` }),
  bad('domain with newline', domainMessage, { domain: 'example.com\n' }),
  bad('domain that is an address', domainMessage, { domain: '192.0.2.1' }),
  bad('domain with underscore', domainMessage, { domain: 'a_b.example' }),
  bad('G3: unknown ownership', 'supported values: "Customer", "Platform"', { ownership: 'Provider' }),
  good('G3: Platform domain', { ownership: 'Platform' }),
  good('MTA name of 40 characters', { mta: 'm'.repeat(40) }),
  bad('MTA name of 41 characters', 'may not be more than 40', { mta: 'm'.repeat(41) }),
  bad('MTA name with dot', 'must be lower-case letters', { mta: 'a.b' }),
  bad('empty MTA name', 'should be at least 1 chars long', { mta: '' }),

  bad('mailbox without choice', 'must have exactly one of routeRef and maildir', { mailbox: {} }),
  bad('mailbox with both choices', 'must have exactly one of routeRef and maildir', {
    mailbox: { routeRef: route, maildir: {} },
    recipients: { mode: 'List' },
  }),
  bad('mailbox null', 'spec.mailbox: Required value', { mailbox: null }),
  good('I9: maildir with List', {
    mailbox: { maildir: {} },
    recipients: { mode: 'List', addresses: ['alice'] },
  }),
  bad('I9: maildir with Any', 'must be List when the mailbox is a maildir', {
    mailbox: { maildir: {} },
    recipients: { mode: 'Any' },
  }),
  bad('I9: maildir with Probe', 'must be List when the mailbox is a maildir', {
    mailbox: { maildir: {} },
    recipients: { mode: 'Probe' },
  }),
  bad('I9: maildir without mode', 'must be List when the mailbox is a maildir', { mailbox: { maildir: {} } }),
  bad('mailbox route without name', 'spec.mailbox.routeRef.name: Required value', {
    mailbox: { routeRef: {} },
  }),
  bad('mailbox route with path', 'must be the name of an object', {
    mailbox: { routeRef: { name: '../x' } },
  }),

  good('I9: 1,000 recipients', { recipients: { mode: 'List', addresses: many(1_000, (i) => `user${i}`) } }),
  bad('I9: 1,001 recipients', 'must have at most 1000 items', {
    recipients: { mode: 'List', addresses: many(1_001, (i) => `user${i}`) },
  }),
  good('I9: recipients in both forms', {
    recipients: { mode: 'List', addresses: ['a.b', "O'Neil@example.com"] },
  }),
  bad('I9: recipient of another domain', 'must be local parts or addresses of spec.domain', {
    recipients: { mode: 'List', addresses: ['a@example.org'] },
  }),
  bad('I9: recipient with percent', 'must be a local part', { recipients: { addresses: ['a%example.org'] } }),
  bad('I9: recipient twice', 'Duplicate value: "alice"', { recipients: { addresses: ['alice', 'alice'] } }),
  good('I9: recipients from a ConfigMap', { recipients: { mode: 'List', configMapRef: { name: 'people' } } }),
  bad('I9: ConfigMap key with slash', 'must be a key', {
    recipients: { configMapRef: { name: 'people', key: 'a/b' } },
  }),
  good('I12: no subaddresses', { recipients: { subaddressDelimiter: '' } }),
  bad('I12: delimiter of two characters', 'Unsupported value: "++"', {
    recipients: { subaddressDelimiter: '++' },
  }),
  good('I11: postmaster', { postmaster: 'admin@example.com' }),
  bad('I11: postmaster without domain', 'must be a mail address', { postmaster: 'admin' }),
  bad('I11: postmaster with two @', 'must be a mail address', { postmaster: 'a@b@example.com' }),

  good('I1: all four pairs', {
    inboundRouting: [
      inbound('Internal', 'Known'),
      inbound('Internal', 'Unknown'),
      inbound('External', 'Known'),
      inbound('External', 'Unknown'),
    ],
  }),
  bad('I1: a pair twice', 'Duplicate value', {
    inboundRouting: [inbound('Internal', 'Known'), inbound('Internal', 'Known')],
  }),
  bad('I1: five rules', 'must have at most 4 items', {
    inboundRouting: many(5, () => inbound('Internal', 'Known')),
  }),
  bad('I4: rule without Route', 'spec.inboundRouting[0].routeRef: Required value', {
    inboundRouting: [{ match: 'Internal', target: 'Known' }],
  }),
  bad('I5: rule without target', 'target: Required value', {
    inboundRouting: [{ match: 'Internal', routeRef: route }],
  }),
  bad('I8: unknown ndr', 'supported values: "Auto", "Always", "Never"', {
    inboundRouting: [{ ...inbound('Internal', 'Known'), ndr: 'Sometimes' }],
  }),
  bad('I13: unknown verifyRecipient', 'supported values: "Probe", "None"', {
    inboundRouting: [{ ...inbound('Internal', 'Known'), verifyRecipient: 'Ask' }],
  }),
  good('O6: changeRoute and sendCopyTo together', {
    outboundRouting: [
      { match: 'Internal', changeRoute: route, sendCopyTo: route },
      { match: 'External', sendCopyTo: route },
    ],
  }),
  bad('O1: rule that does nothing', 'must have changeRoute or sendCopyTo', {
    outboundRouting: [{ match: 'Internal' }],
  }),
  bad('O4: match twice', 'Duplicate value', {
    outboundRouting: [
      { match: 'External', changeRoute: route },
      { match: 'External', sendCopyTo: route },
    ],
  }),
  bad('O4: three rules', 'must have at most 2 items', {
    outboundRouting: many(3, () => ({ match: 'External', changeRoute: route })),
  }),

  good('G18: Subaddress', { junk: { method: 'Subaddress', subaddress: { folder: 'Spam' } } }),
  bad('G18: unknown method', 'supported values: "Header", "Subaddress"', { junk: { method: 'Folder' } }),
  bad('G18: header of the message itself', 'must be a header name that begins with X-', {
    junk: { header: { name: 'Subject' } },
  }),
  bad('G18: header value with newline', 'must be printable ASCII', {
    junk: { header: { spamValue: 'YES\r\nX: y' } },
  }),
  bad('G18: folder with slash', 'must be letters', { junk: { subaddress: { folder: '../x' } } }),

  bad('P1: enabled without accounts', 'must be set when submission is enabled', {
    submission: { enabled: true },
  }),
  good('P1: enabled with accounts', {
    submission: { enabled: true, accountsSecretRef: { name: 'accounts' } },
  }),
  bad('P1: enabled as text', 'must be of type boolean: "string"', { submission: { enabled: 'true' } }),
  good('P7: one recipient per hour', { submission: { limits: { recipientsPerHour: 1 } } }),
  bad('P7: no recipient per hour', 'should be greater than or equal to 1', {
    submission: { limits: { recipientsPerHour: 0 } },
  }),
  good('G12: smallest size', { limits: { maxMessageBytes: 65_536 } }),
  bad('G12: too small a size', 'should be greater than or equal to 65536', {
    limits: { maxMessageBytes: 65_535 },
  }),
  good('G12: largest size', { limits: { maxMessageBytes: 1_073_741_824 } }),
  bad('G12: too large a size', 'should be less than or equal to 1073741824', {
    limits: { maxMessageBytes: 1_073_741_825 },
  }),
  bad('G12: size with fraction', 'must be of type integer: "number"', {
    limits: { maxMessageBytes: 65_536.5 },
  }),

  good('G17: content filter', { contentFilter: { rspamd: { url: 'http://rspamd:11333/checkv2' } } }),
  good('G17: content filter at an IPv6 address', {
    contentFilter: { rspamd: { url: 'https://[2001:db8::1]:11333' } },
  }),
  bad('G17: content filter without server', 'contentFilter.rspamd: Required value', { contentFilter: {} }),
  bad('G17: content filter by file', 'must be an http or https URL', {
    contentFilter: { rspamd: { url: 'file:///etc' } },
  }),
  bad('G17: user name in the URL', 'must be an http or https URL', {
    contentFilter: { rspamd: { url: 'http://a:b@rspamd' } },
  }),
  good('G17: 64 virus symbols', {
    contentFilter: { rspamd: { url: 'http://rspamd' }, virusSymbols: many(64, (i) => `VIRUS_${i}`) },
  }),
  bad('G17: 65 virus symbols', 'must have at most 64 items', {
    contentFilter: { rspamd: { url: 'http://rspamd' }, virusSymbols: many(65, (i) => `VIRUS_${i}`) },
  }),
  good('G19: strictest', { authentication: { spf: 'Reject', dkim: 'Mark', dmarc: 'Reject' } }),
  bad('G19: DKIM cannot reject', 'supported values: "Disabled", "Mark"', {
    authentication: { dkim: 'Reject' },
  }),
  good('D16: 100 sealers', { authentication: { trustedArcSealers: many(100, (i) => `list${i}.example`) } }),
  bad('D16: 101 sealers', 'must have at most 100 items', {
    authentication: { trustedArcSealers: many(101, (i) => `list${i}.example`) },
  }),

  good('nulls count as absent', {
    ownership: null,
    junk: { method: null, header: null },
    postmaster: null,
    inboundRouting: null,
    contentFilter: null,
  }),
  bad('null in a list', 'must be of type string: "null"', { recipients: { addresses: [null] } }),
  bad('null for a required field', 'spec.domain: Required value', { domain: null }),
  bad('unknown field', 'unknown field "spec.owner"', { owner: 'x' }),
  bad('unknown field that is null', 'unknown field "spec.owner"', { owner: null }),
  bad('unknown field deep inside', 'unknown field "spec.inboundRouting[0].verify"', {
    inboundRouting: [{ ...inbound('Internal', 'Known'), verify: true }],
  }),
  bad('unknown field that JavaScript knows', 'unknown field "spec.constructor"', { constructor: {} }),
  {
    title: 'unknown field beside spec',
    manifest: {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'MailDomain',
      metadata: { name: 'case' },
      spec: base,
      data: {},
    },
    refused: 'unknown field "data"',
  },
  {
    title: 'no spec',
    manifest: { apiVersion: 'postern.dev/v1alpha1', kind: 'MailDomain', metadata: { name: 'case' } },
    refused: 'spec: Required value',
  },
  {
    title: 'spec that is a list',
    manifest: {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'MailDomain',
      metadata: { name: 'case' },
      spec: [],
    },
    refused: 'must be of type object: "array"',
  },
  {
    title: 'object name in upper case',
    manifest: {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'MailDomain',
      metadata: { name: 'Case' },
      spec: base,
    },
    refused: 'metadata.name: ',
  },
];
