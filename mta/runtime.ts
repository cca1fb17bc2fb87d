import type { Server as NetServer } from 'node:net';
import type { judgeConnect, judgeData, judgeMail, judgeRcpt } from '../policy/judge.ts';
import type { LookupAnswer, RecipientLookup } from '../policy/types.ts';
import type { AccountUsage } from './account-usage.ts';
import type { BundleWatch } from './bundle-watch.ts';
import type { ClusterPeers } from './cluster-peers.ts';
import type { Drain } from './drain.ts';
import type { Deadline } from './guard.ts';
import type { Haraka, HarakaOutbound } from './haraka.ts';
import type { Hits } from './hits.ts';
import type { Ledger } from './ledger.ts';
import type { Log } from './log.ts';
import type { Ask } from './lookups/dns-cache.ts';
import type { AcceptedMessage } from './mail-store.ts';
import type { Metrics } from './metrics.ts';
import type { ConnectionPool } from './outbound/connection-pool.ts';
import type { MailDns } from './outbound/exchangers.ts';
import type { FreshMails } from './outbound/fresh-mail.ts';
import type { PartnerTls } from './outbound/partner-tls.ts';
import type { LastAnswers } from './queue/last-answers.ts';
import type { RefusalLog } from './refusals.ts';
import type { MtaFile } from './settings.ts';
import type { KeyRing } from './signer/key-ring.ts';

/** The decision engine, as four functions. A parameter, so that tests can put a broken one in its place. */
interface Judge {
  readonly connect: typeof judgeConnect;
  readonly mail: typeof judgeMail;
  readonly rcpt: typeof judgeRcpt;
  readonly data: typeof judgeData;
}

/** Where accepted mail goes. */
interface Store {
  /** Messages that are being filed now. */
  readonly busy: number;
  /** Resolves when all of the message is safe; see MailStore. */
  file(message: AcceptedMessage, deadline: Deadline): Promise<void>;
}

/** What decides, what asks and what files. Parameters, so that tests can put broken ones in their place. */
export interface Parts {
  readonly judge: Judge;
  /** Asks the outside what the stage of a recipient needs to know; absent: the Routes themselves are asked (RecipientProbe). */
  readonly lookUp?: (lookup: RecipientLookup) => Promise<LookupAnswer>;
  /** Milliseconds that a hook has for its answer. */
  readonly deadlineMs: number;
  /** Where mail servers of others listen: 25. */
  readonly mxPort: number;
  readonly openStore: (
    outbound: HarakaOutbound,
    freshMails: FreshMails,
    paths: { queue: string; maildir: string },
  ) => Store;
}

/** Everything that the hooks work with. */
export interface Runtime extends Parts {
  readonly lookUp: (lookup: RecipientLookup) => Promise<LookupAnswer>;
  readonly haraka: Haraka;
  readonly settings: MtaFile;
  readonly bundles: BundleWatch;
  readonly store: Store;
  readonly drain: Drain;
  readonly connections: ConnectionPool;
  readonly freshMails: FreshMails;
  /** How many messages are on their way in: from MAIL to the answer at the end of their data. */
  readonly transactions: { open: number };
  readonly ledger: Ledger;
  readonly lastAnswers: LastAnswers;
  readonly partnerTls: PartnerTls;
  readonly refusals: RefusalLog;
  readonly usage: AccountUsage;
  readonly signingKeys: KeyRing;
  readonly dns: MailDns;
  /** Refuses addresses that an MX must not lead to. */
  readonly mayBeMx: (address: string) => boolean;
  readonly hits: Hits;
  readonly clusterPeers: ClusterPeers;
  readonly metrics: Metrics;
  readonly log: Log;
  /** DNS for sender authentication. */
  readonly authenticationDns: Ask;
  /** Is there a certificate to offer STARTTLS with? */
  readonly tlsReady: () => boolean;
  /** Listening sockets that take submissions; all others take mail from other servers. */
  readonly submissionServers: ReadonlySet<NetServer>;
  /** Seconds since the epoch. */
  readonly now: () => number;
}

let current: Runtime | undefined;

/** Haraka loads the plugin itself and passes it nothing: this is where the plugin finds what main made for it. */
export function provideRuntime(runtime: Runtime): void {
  current = runtime;
}

/** @throws Error if main has not provided one. */
export function requireRuntime(): Runtime {
  if (current === undefined) throw new Error('the Postern plugin was loaded without its runtime');
  return current;
}
