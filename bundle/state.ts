import * as z from 'zod';

const routeProbe = z.strictObject({
  reachable: z.boolean(),
  reason: z.enum([
    'Connected',
    'ConnectFailed',
    'ConnectRejected',
    'AuthRejected',
    'TlsFailed',
    'TimedOut',
    'NameNotFound',
  ]),
  detail: z.string(),
  /** Seconds since the epoch. */
  checkedAt: z.int(),
  certificateExpires: z.int().optional(),
});

/**
 * Why a session had not the TLS that was required, in the words of TLS reports (RFC 8460 section 4.3). Its other words are about
 * DANE and MTA-STS, which are not asked for here.
 */
const tlsResult = z.enum([
  'starttls-not-supported',
  'certificate-host-mismatch',
  'certificate-expired',
  'certificate-not-trusted',
  'validation-failure',
]);
export type TlsResult = z.infer<typeof tlsResult>;

/** The last failure of a partner for whom TlsPolicies require TLS; gone once mail has come through to it. */
const partnerTlsFailure = z.object({
  /** The hosted domain that sends. */
  domain: z.string(),
  /** Domain of the recipients. */
  partner: z.string(),
  /** `Mx` or `Route/<name>`. */
  via: z.string(),
  /** The host that was spoken to, by the name that its certificate must carry. */
  host: z.string(),
  result: tlsResult,
  detail: z.string(),
  /** Sessions that failed since the last one that did not. */
  failures: z.int(),
  /** Seconds since the epoch. */
  lastFailure: z.int(),
});
export type PartnerTlsFailure = z.infer<typeof partnerTlsFailure>;

/**
 * How recipients on their way to one destination began and ended since the process started. In the same answer
 * accepted + reports + found + adopted = delivered + bounced + ledger + handedOver + the size of the queue, but for what is being filed
 * at that moment.
 */
const legCounts = z.object({
  /** From clients. */
  accepted: z.int(),
  /** DSNs of our own. */
  reports: z.int(),
  /** In the queue when the process started. */
  found: z.int(),
  /** From another pod of the MTA, at its end. */
  adopted: z.int(),
  delivered: z.int(),
  /** With a report to the sender. */
  bounced: z.int(),
  /** Without one. */
  ledger: z.int(),
  /** To another pod of the MTA, at the end of this one. */
  handedOver: z.int(),
});
export type LegCounts = z.infer<typeof legCounts>;

/** Mail that ended without a delivery or a report (G9), and how much of all that failed had outlived the queue. */
export const ledgerCounts = z.object({
  suppressedNdrs: z.int(),
  backscatterAvoided: z.int(),
  doubleBounces: z.int(),
  expired: z.int(),
});

/**
 * What `GET /state` of an MTA answers: the truth about one pod, from which `Programmed` is made. Readers take what they know and
 * leave the rest: during an upgrade the pods and whoever asks them are of two versions.
 */
export const mtaState = z.object({
  /** Bundle format versions that this build can read. */
  readableVersions: z.array(z.int()),
  mta: z.string(),
  /** Null until a bundle has been loaded. */
  bundleHash: z.string().nullable(),
  secretsRevision: z.string().nullable(),
  /** Hash of the cold configuration that the process started with. */
  coldHash: z.string(),
  domains: z.record(z.string(), z.string()),
  routes: z.record(z.string(), z.string()),
  /** Why the newest files on disk are not what is loaded; null when they are. */
  loadError: z.strictObject({ message: z.string(), since: z.int() }).nullable(),
  /** Seconds since the epoch at which the loaded bundle became active; null until then. */
  loadedAt: z.int().nullable(),
  ready: z.boolean(),
  readyReason: z.enum(['Ready', 'NoBundle', 'Draining', 'QueueNotWritable', 'Starting']),
  queue: z.strictObject({ size: z.int(), deferred: z.int() }),
  legs: legCounts.optional(),
  /** Since the process started. */
  ledger: ledgerCounts,
  /** Hosted domain -> what the volume of the queue holds of it; a domain changes every ten minutes at most. */
  domainLedgers: z.record(z.string(), ledgerCounts).optional(),
  routeProbes: z.record(z.string(), routeProbe),
  /** IpAccessList -> how many of its entries mail has met since the process started; changes every ten minutes at most. */
  entriesHit: z.record(z.string(), z.int()).optional(),
  /** Mail has come in the last hour from an address that the cluster has, so nobody knows from whom (G14). */
  clusterPeers: z.boolean().optional(),
  /** Newest first, at most a hundred. */
  tlsFailures: z.array(partnerTlsFailure).optional(),
});
export type MtaState = z.infer<typeof mtaState>;
export type RouteProbe = z.infer<typeof routeProbe>;
