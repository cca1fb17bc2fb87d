import type { DomainPolicy, GatewayPolicy, InboundRule } from '../bundle/domain-policy.ts';
import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import type { RangeList } from '../bundle/range-list.ts';
import { loadPolicy } from './load.ts';
import type { Policy } from './policy.ts';
import type {
  Authentication,
  AuthenticationResult,
  DataFacts,
  DmarcPolicy,
  FilterAnswer,
  RcptFacts,
} from './types.ts';

// Bundles and facts for the tests of this folder: a plain domain and a plain message, with what the test is about on top.

/** A domain that takes mail for `user`, `sales` and `info` into a Maildir, and asks nothing of anybody. */
export function domainPolicy(domain: string, over: Partial<DomainPolicy> = {}): DomainPolicy {
  return {
    domain,
    source: { kind: 'MailDomain', name: domain.replaceAll('.', '-'), generation: 3 },
    ownership: 'Customer',
    mailbox: { kind: 'Maildir' },
    junk: {
      method: 'Header',
      header: { name: 'X-Spam-Flag', spamValue: 'YES', inboxValue: 'NO' },
      subaddress: { delimiter: '+', folder: 'Junk' },
    },
    recipients: recipients(['info', 'sales', 'user']),
    inboundRouting: [],
    outboundRouting: [],
    submission: { enabled: true, accounts: true, recipientsPerHour: 500 },
    maxMessageBytes: 10_000,
    authentication: { spf: 'Disabled', dkim: 'Disabled', dmarc: 'Disabled', trustedArcSealers: [] },
    access: { allow: [], block: [] },
    tls: { inbound: [], outbound: [] },
    dkim: [],
    ...over,
  };
}

/** List mode, or what `over` makes of it. */
export function recipients(
  localParts: string[],
  over: Partial<DomainPolicy['recipients']> = {},
): DomainPolicy['recipients'] {
  return { mode: 'List', localParts, subaddressDelimiter: '+', available: true, ...over };
}

/** An IpAccessList. */
export function list(key: string, ranges: string[], expires: Record<string, number> = {}): RangeList {
  return { key, source: { kind: 'IpAccessList', name: key, generation: 2 }, ranges, expires };
}

/** A gateway at 198.51.100.0/24. */
export function gatewayPolicy(over: Partial<GatewayPolicy> = {}): GatewayPolicy {
  return {
    source: { kind: 'InboundGateway', name: 'front', generation: 1 },
    addresses: ['198.51.100.0/24'],
    onlyFromGateway: true,
    internalMailViaGateway: false,
    junkPatterns: [],
    skipContentFilter: false,
    ...over,
  };
}

/** The inbound half of a TlsPolicy. */
export function tlsPeers(...peers: string[]): DomainPolicy['tls'] {
  const from = [{ kind: 'TlsPolicy' as const, name: 'partners', generation: 4 }];
  return { inbound: peers.map((peer) => ({ peer, from })), outbound: [] };
}

/** A content filter, with `VIRUS` as the name of its one virus symbol. */
export function filterPolicy(
  over: Partial<NonNullable<DomainPolicy['contentFilter']>> = {},
): NonNullable<DomainPolicy['contentFilter']> {
  return {
    rspamdUrl: 'http://rspamd.example:11333',
    onFailure: 'Accept',
    rejectAction: 'Junk',
    virusSymbols: ['VIRUS'],
    ...over,
  };
}

/** What the filter says; `no action` unless told. */
export function filterAnswer(action = 'no action', symbols: string[] = []): FilterAnswer {
  return { kind: 'answer', action, score: 1, symbols };
}

/** Results for mail from sender.example; `none` where nothing is said. */
export function authenticationOf({
  spf = 'none',
  dkim,
  dmarc = 'none',
  policy,
  arc,
}: {
  spf?: AuthenticationResult;
  dkim?: { result: AuthenticationResult; domain: string };
  dmarc?: AuthenticationResult;
  policy?: DmarcPolicy;
  arc?: Authentication['arc'];
} = {}): Authentication {
  return {
    spf: { result: spf, identity: { property: 'mailfrom', value: 'author@sender.example' } },
    dkim: dkim === undefined ? [] : [{ ...dkim, selector: 's1' }],
    dmarc: { result: dmarc, from: 'sender.example', ...(policy && { policy }) },
    arc: arc ?? { result: 'none' },
  };
}

/** A rule of inboundRouting. */
export function rule(over: Partial<InboundRule>): InboundRule {
  return {
    match: 'External',
    target: 'Known',
    route: 'archive',
    alsoDeliverLocally: false,
    ndr: 'Auto',
    verifyRecipient: 'None',
    ...over,
  };
}

/** A bundle of these domains and lists. */
export function bundleOf(
  domains: DomainPolicy[],
  lists: RangeList[] = [],
  audited: DomainPolicy[] = [],
): PolicyBundle {
  return { version: 1, namespace: 'mail', mta: 'default', domains, audited, lists, routes: [] };
}

/** The same, loaded. */
export function policyOf(
  domains: DomainPolicy[],
  lists: RangeList[] = [],
  audited: DomainPolicy[] = [],
): Promise<Policy> {
  return loadPolicy(bundleOf(domains, lists, audited));
}

/** Noon on 25 November 2026, as the facts have it. */
export const noon = 1_795_608_000;

/** RCPT TO:<user@example.com> from somebody elsewhere, in clear. */
export function rcpt(over: Partial<RcptFacts> = {}): RcptFacts {
  return {
    now: noon,
    peer: '192.0.2.1',
    tls: false,
    envelopeFrom: 'author@sender.example',
    recipient: 'user@example.com',
    unknownSoFar: 0,
    lookups: new Map(),
    ...over,
  };
}

/** The end of a small, flawless message for user@example.com. */
export function data(over: Partial<DataFacts> = {}): DataFacts {
  return {
    now: noon,
    peer: '192.0.2.1',
    tls: false,
    envelopeFrom: 'author@sender.example',
    recipients: ['user@example.com'],
    lookups: new Map(),
    heloName: 'mx.example.com',
    headers: [
      ['From', 'author@sender.example'],
      ['Subject', 'hello'],
    ],
    size: 500,
    smuggling: 'none',
    ...over,
  };
}
