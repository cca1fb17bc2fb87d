import * as z from 'zod';

/** The six kinds of postern.dev/v1alpha1, in the order in which a tenant usually writes them. */
export const kindNames = [
  'MailDomain',
  'Route',
  'IpAccessList',
  'InboundGateway',
  'TlsPolicy',
  'DkimKey',
] as const;
export type KindName = (typeof kindNames)[number];

/** Which object (and which generation of it) a part of the bundle was compiled from. */
export const sourceRef = z.strictObject({
  kind: z.enum(kindNames),
  name: z.string().min(1).max(253),
  generation: z.int().min(0),
});
export type SourceRef = z.infer<typeof sourceRef>;
