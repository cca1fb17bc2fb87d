/** One sample mail, and what must become of it. */
export interface SampleMail {
  readonly story: string;
  /** Address of this machine that the client connects from. */
  readonly client: string;
  readonly from: string;
  readonly to: string;
  readonly tls?: true;
  /** Header lines instead of the usual ones. */
  readonly headers?: string;
  /** What the wire must say, code and enhanced code. */
  readonly expected: string;
  /** The object that must have decided. */
  readonly because: string;
}

/** A dozen and some, each for one thing that the manifests say. */
export const sampleMails: readonly SampleMail[] = [
  {
    story: 'anybody writes to a recipient who exists',
    client: '127.0.0.2',
    from: 'friend@elsewhere.example',
    to: 'alice@example.com',
    expected: '250 2.1.5',
    because: 'MailDomain/example-com',
  },
  {
    story: 'a partner on the allow list',
    client: '127.0.0.10',
    from: 'news@partner.example',
    to: 'bob@example.com',
    expected: '250 2.1.5',
    because: 'IpAccessList/partners',
  },
  {
    story: 'a client on the block list',
    client: '127.0.0.20',
    from: 'win@spam.example',
    to: 'alice@example.com',
    expected: '550 5.7.1',
    because: 'IpAccessList/spammers',
  },
  {
    story: 'blocked, but postmaster can always be reached',
    client: '127.0.0.20',
    from: 'win@spam.example',
    to: 'postmaster@example.com',
    expected: '250 2.1.5',
    because: 'MailDomain/example-com',
  },
  {
    story: 'on both lists: allow wins',
    client: '127.0.0.30',
    from: 'news@partner.example',
    to: 'alice@example.com',
    expected: '250 2.1.5',
    because: 'IpAccessList/partners',
  },
  {
    story: 'blocked for example.org ...',
    client: '127.0.0.50',
    from: 'someone@elsewhere.example',
    to: 'carol@example.org',
    expected: '550 5.7.1',
    because: 'IpAccessList/blocked-for-example-org',
  },
  {
    story: '... and not for example.com',
    client: '127.0.0.50',
    from: 'someone@elsewhere.example',
    to: 'alice@example.com',
    expected: '250 2.1.5',
    because: 'MailDomain/example-com',
  },
  {
    story: 'inside a blocked range',
    client: '127.0.0.66',
    from: 'someone@elsewhere.example',
    to: 'carol@example.org',
    expected: '550 5.7.1',
    because: 'IpAccessList/blocked-for-example-org',
  },
  {
    story: 'a block whose time is over',
    client: '127.0.0.40',
    from: 'someone@elsewhere.example',
    to: 'alice@example.com',
    expected: '250 2.1.5',
    because: 'MailDomain/example-com',
  },
  {
    story: 'a recipient that a ConfigMap names',
    client: '127.0.0.2',
    from: 'friend@elsewhere.example',
    to: 'dave@example.org',
    expected: '250 2.1.5',
    because: 'MailDomain/example-org',
  },
  {
    story: 'a subaddress of a known recipient',
    client: '127.0.0.2',
    from: 'friend@elsewhere.example',
    to: 'bob+news@example.com',
    expected: '250 2.1.5',
    because: 'MailDomain/example-com',
  },
  {
    story: 'a recipient who does not exist',
    client: '127.0.0.2',
    from: 'friend@elsewhere.example',
    to: 'nobody@example.com',
    expected: '550 5.1.1',
    because: 'MailDomain/example-com',
  },
  {
    story: 'relaying to a domain that is not ours',
    client: '127.0.0.10',
    from: 'news@partner.example',
    to: 'victim@elsewhere.example',
    expected: '550 5.7.1',
    because: 'Postern/relay',
  },
  {
    story: 'relaying by a trick address',
    client: '127.0.0.10',
    from: 'news@partner.example',
    to: 'victim%elsewhere.example@example.com',
    expected: '553 5.1.3',
    because: 'Postern/address-form',
  },
  {
    story: 'a sender whose mail must come over TLS, without it',
    client: '127.0.0.2',
    from: 'teller@bank.example',
    to: 'alice@example.com',
    expected: '530 5.7.0',
    because: 'TlsPolicy/bank',
  },
  {
    story: '... and with STARTTLS',
    client: '127.0.0.2',
    from: 'teller@bank.example',
    to: 'alice@example.com',
    tls: true,
    expected: '250 2.1.5',
    because: 'MailDomain/example-com',
  },
  {
    story: 'a From header that is no address',
    client: '127.0.0.2',
    from: 'friend@elsewhere.example',
    to: 'alice@example.com',
    headers: 'From: somebody\r\nSubject: no author',
    expected: '550 5.7.1',
    because: 'Postern/from-header',
  },
];

/** The message as it is sent. */
export function messageText({ headers, from, to, story }: SampleMail, date: Date): string {
  const usual = `From: <${from}>\r\nTo: <${to}>\r\nSubject: ${story}`;
  return `${headers ?? usual}\r\nDate: ${date.toUTCString().replace('GMT', '+0000')}\r\n\r\nSent by the quickstart.\r\n`;
}
