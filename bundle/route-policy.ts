import * as z from 'zod';
import { sourceRef } from './source.ts';

/** A next hop. Legs in the queue hold its name only; it is resolved at every attempt (R2). */
export const routePolicy = z.strictObject({
  name: z.string().min(1).max(253),
  source: sourceRef,
  /** Host name or IP address; a single-label host of the API is already written as its Service's full name. */
  host: z.string().min(1).max(253),
  port: z.int().min(1).max(65535),
  protocol: z.enum(['SMTP', 'LMTP']),
  lookupMx: z.boolean(),
  tls: z.strictObject({
    mode: z.enum(['Disabled', 'Opportunistic', 'Required', 'Implicit']),
    verify: z.enum(['None', 'TrustedCA', 'Hostname', 'TrustedCAAndHostname']),
    /** PEM text of the trusted CAs; absent: the system's. */
    caBundle: z.string().optional(),
    serverName: z.string().optional(),
  }),
  /** True: user name and password lie in the secret bundle under this Route's name. */
  authenticated: z.boolean(),
  connection: z.strictObject({
    maxConcurrent: z.int().min(1),
    timeoutSeconds: z.int().min(1),
  }),
});
export type RoutePolicy = z.infer<typeof routePolicy>;
