import { stringify } from 'yaml';
import { accountOf } from '../wire/account.ts';
import type { Random } from './random.ts';

/** A random tenant: its manifests, and what of them the cases should aim at. */
export interface World {
  /** File name -> text. */
  readonly files: Readonly<Record<string, string>>;
  readonly domains: readonly string[];
  readonly people: readonly string[];
  /** Addresses in, and just beside, the entries of the lists. */
  readonly addresses: readonly string[];
  /** Registered addresses of the gateway, should the world have one. */
  readonly hops: readonly string[];
  /** Sender domains that need TLS for some recipient domain. */
  readonly tlsPeers: readonly string[];
  /** Who may sign in, all of the first domain. */
  readonly accounts: readonly WorldAccount[];
}

export interface WorldAccount {
  readonly name: string;
  readonly kind: 'User' | 'Relay';
  readonly sendAs: readonly string[];
  readonly fromRoute?: string;
}

const apiVersion = 'postern.dev/v1alpha1';
const domains = ['alpha.test', 'beta.test', 'gamma.test', 'sub.alpha.test'];
const people = ['alice', 'bob', 'carol', 'sales', 'o.brien'];
const tlsPeers = ['bank.example', 'clinic.example'];
const hops = ['10.20.0.1', '10.20.0.2', '2001:db8:aa::1'];
const accounts: readonly WorldAccount[] = [
  { name: 'alice@alpha.test', kind: 'User', sendAs: ['sales@alpha.test'] },
  {
    name: 'dlp@alpha.test',
    kind: 'Relay',
    sendAs: ['*@alpha.test'],
    fromRoute: 'store',
  },
];
const past = '2020-01-01T00:00:00Z';
const future = '2099-01-01T00:00:00Z';

export function randomWorld(random: Random): World {
  const entries = Array.from({ length: 24 }, () => randomEntry(random));
  const documents = [
    ...domains.map((domain, position) => mailDomain(random, domain, position)),
    ...['one', 'two', 'three', 'four', 'five', 'six'].map((name) => accessList(random, name, entries)),
    ...(random.chance(0.7) ? [tlsPolicy(random)] : []),
    ...(random.chance(0.8) ? [gateway(random)] : []),
    route('store'),
    route('filter'),
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'accounts', labels: { 'postern.dev/use': 'accounts' } },
      stringData: {
        'accounts.yaml': JSON.stringify(
          accounts.map(({ name, ...rest }) => accountOf(name, { ...rest, sendAs: [...rest.sendAs] })),
        ),
      },
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'people' },
      data: { recipients: `${people.join('\n')} # all\n` },
    },
  ];
  return {
    files: {
      'mta.yaml': 'heloName: mx.alpha.test\n',
      'policy.yaml': documents.map((each) => stringify(each)).join('---\n'),
    },
    domains,
    people,
    hops,
    addresses: [...entries.flatMap(around), '192.0.2.200', '2001:db8:ffff::1'],
    accounts,
    tlsPeers: [...tlsPeers, 'mx.clinic.example'],
  };
}

function object(kind: string, name: string, spec: object): object {
  return { apiVersion, kind, metadata: { name }, spec };
}

function mailDomain(random: Random, domain: string, position: number): object {
  const fromMap = random.chance(0.3);
  const list = {
    mode: 'List',
    ...(fromMap
      ? { configMapRef: { name: random.chance(0.9) ? 'people' : 'missing', key: 'recipients' } }
      : { addresses: random.some(people, 1, 5) }),
  };
  const toRoute = random.chance(0.25);
  return object('MailDomain', `domain-${position}`, {
    domain,
    mailbox: toRoute ? { routeRef: { name: 'store' } } : { maildir: {} },
    recipients: { ...list, subaddressDelimiter: random.pick(['+', '-', '']) },
    ...(random.chance(0.5) ? { postmaster: `alice@${domain}` } : {}),
    authentication: { dmarc: random.pick(['Mark', 'Quarantine']) },
    inboundRouting: random
      .some(
        ['Internal', 'External'].flatMap((match) =>
          ['Known', 'Unknown'].map((target) => ({ match, target })),
        ),
        0,
        3,
      )
      .map((pair) => ({
        ...pair,
        routeRef: { name: random.pick(['store', 'filter']) },
        verifyRecipient: random.pick(['Probe', 'None', 'None']),
        alsoDeliverLocally: random.chance(0.5),
      })),
    ...(position === 0
      ? {
          submission: {
            enabled: true,
            accountsSecretRef: { name: 'accounts' },
            limits: { recipientsPerHour: 100_000 },
          },
        }
      : {}),
  });
}

function accessList(random: Random, name: string, entries: readonly string[]): object {
  const chosen = random.some(entries, 2, 10);
  const everywhere = random.chance(0.3);
  return object('IpAccessList', name, {
    action: random.pick(['Allow', 'Block', 'Block']),
    enforcement: random.chance(0.15) ? 'Audit' : 'Enforce',
    ...(everywhere
      ? { allDomains: true }
      : {
          domainRefs: random.some(
            domains.map((_, at) => ({ name: `domain-${at}` })),
            1,
            3,
          ),
        }),
    addresses: chosen.filter((_, at) => at % 3 === 0),
    entries: chosen
      .filter((_, at) => at % 3 === 1)
      .map((address) => ({
        address,
        ...(random.chance(0.6) ? { expireTime: random.pick([past, future]) } : {}),
      })),
    text: chosen.filter((_, at) => at % 3 === 2).join(', '),
  });
}

function tlsPolicy(random: Random): object {
  return object('TlsPolicy', 'partners', {
    title: 'Partners',
    domainRefs: random.some(
      domains.map((_, at) => ({ name: `domain-${at}` })),
      1,
      3,
    ),
    enforcement: random.chance(0.15) ? 'Audit' : 'Enforce',
    directions: ['Inbound'],
    peerDomains: [tlsPeers[0], random.pick([`*.${tlsPeers[1]}`, tlsPeers[1]])],
  });
}

function gateway(random: Random): object {
  return object('InboundGateway', 'filter', {
    domainRefs: random.some(
      domains.map((_, at) => ({ name: `domain-${at}` })),
      1,
      2,
    ),
    suspend: random.chance(0.2),
    enforcement: random.chance(0.2) ? 'Audit' : 'Enforce',
    addresses: hops,
    onlyFromGateway: random.chance(0.7),
    ...(random.chance(0.6) ? { internalMailViaGateway: true, routeRef: { name: 'filter' } } : {}),
    spam: {
      junkPatterns: random.some(['^X-Gateway: spam$', '(?i)subject: .*hello', '(a+)+$'], 0, 3),
      skipContentFilter: random.chance(0.5),
    },
  });
}

function route(name: string): object {
  return object('Route', name, { host: '127.0.0.1', port: 9, protocol: 'LMTP' });
}

function randomEntry(random: Random): string {
  if (random.chance(0.3)) {
    const network = `2001:db8:${random.int(4)}`;
    return random.chance(0.5) ? `${network}::${(random.int(30) + 1).toString(16)}` : `${network}::/48`;
  }
  const network = random.pick(['192.0.2', '198.51.100', '203.0.113']);
  const prefix = random.pick([32, 32, 32, 30, 28, 26, 24]);
  const size = 2 ** (32 - prefix);
  const start = Math.floor(random.int(256) / size) * size;
  return prefix === 32 ? `${network}.${start}` : `${network}.${start}/${prefix}`;
}

/** The ends of an entry and their neighbours: where a comparison that is off by one shows. */
function around(entry: string): readonly string[] {
  const [host = '', length] = entry.split('/');
  if (host.includes(':')) return [host.endsWith('::') ? `${host}1` : host, host.replace(/::.*$/, ':8000::1')];
  const parts = host.split('.').map(Number);
  const last = parts.pop() ?? 0;
  const size = 2 ** (32 - Number(length ?? 32));
  const candidates = [last - 1, last, last + size - 1, last + size].filter(
    (octet) => octet >= 0 && octet <= 255,
  );
  return candidates.map((octet) => `${parts.join('.')}.${octet}`);
}
