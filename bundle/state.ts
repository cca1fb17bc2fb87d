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

/** What `GET /state` of an MTA answers: the truth about one pod, from which `Programmed` is made. */
export const mtaState = z.strictObject({
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
  ledger: z.strictObject({
    suppressedNdrs: z.int(),
    backscatterAvoided: z.int(),
    doubleBounces: z.int(),
    expired: z.int(),
  }),
  routeProbes: z.record(z.string(), routeProbe),
  /** IpAccessList -> how many of its entries mail has met since the process started; changes every ten minutes at most. */
  entriesHit: z.record(z.string(), z.int()).optional(),
  /** Mail has come in the last hour from an address that the cluster has, so nobody knows from whom (G14). */
  clusterPeers: z.boolean().optional(),
});
export type MtaState = z.infer<typeof mtaState>;
export type RouteProbe = z.infer<typeof routeProbe>;
