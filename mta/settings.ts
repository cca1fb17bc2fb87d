import * as z from 'zod';

/** File name of the settings among the cold files. */
export const settingsFile = 'mta.json';

/**
 * What the operator tells the process beside Haraka's own files. It is read once: a change is a new cold configuration, so
 * the process starts anew.
 */
const mtaFile = z.object({
  namespace: z.string().min(1).max(63),
  mta: z.string().min(1).max(40),
  /** Name in the greeting, in Received lines and in EHLO to others. */
  heloName: z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/),
  /** Address in the From of reports. */
  postmaster: z.string().min(3),
  /** Octets; larger messages are refused whatever a MailDomain says. */
  maxMessageBytes: z.int().min(1),
  /** CIDRs and addresses of the proxies that may send a PROXY line. */
  proxyProtocolFrom: z.array(z.string()),
  /** Name servers as `address:port` or `address`; empty: those of the machine. */
  resolvers: z.array(z.string()).default([]),
  /** What pods, nodes and Services have for addresses, and which of them are true client addresses all the same (G14). */
  clusterRanges: z.array(z.string()).default([]),
  trustedRanges: z.array(z.string()).default([]),
  /** Deliveries at a time to one Route, unless the Route says less. */
  perDestinationConcurrency: z.int().min(1),
  /** CIDRs and addresses that an MX may lead to although they are not public. */
  internalMxRanges: z.array(z.string()),
});
export type MtaFile = z.infer<typeof mtaFile>;

/**
 * Reads mta.json.
 * @throws Error naming the field that is wrong.
 */
export function parseMtaFile(text: string): MtaFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${settingsFile}: is not JSON`);
  }
  const parsed = mtaFile.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path, message }) => `${path.join('.') || '(root)'}: ${message}`,
  );
  throw new Error(`${settingsFile}: ${problems.join('; ')}`);
}
