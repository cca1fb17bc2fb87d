import * as z from 'zod';
import { sourceRef } from './source.ts';

const domainName = z.string().min(1).max(253);
const routeName = z.string().min(1).max(253);

/** Mail-in or mail-out rules of one (match, target); `target` is absent for outbound rules. */
const inboundRule = z.strictObject({
  match: z.enum(['Internal', 'External']),
  target: z.enum(['Known', 'Unknown']),
  route: routeName,
  alsoDeliverLocally: z.boolean(),
  ndr: z.enum(['Auto', 'Always', 'Never']),
  verifyRecipient: z.enum(['Probe', 'None']),
});
export type InboundRule = z.infer<typeof inboundRule>;

const outboundRule = z.strictObject({
  match: z.enum(['Internal', 'External']),
  changeRoute: routeName.optional(),
  sendCopyTo: routeName.optional(),
});
export type OutboundRule = z.infer<typeof outboundRule>;

/** An InboundGateway as it acts on one domain (section D). */
const gatewayPolicy = z.strictObject({
  source: sourceRef,
  /** Canonical CIDRs or addresses of every registered hop, at most 50. */
  addresses: z.array(z.string()),
  onlyFromGateway: z.boolean(),
  internalMailViaGateway: z.boolean(),
  route: routeName.optional(),
  junkPatterns: z.array(z.string()),
  skipContentFilter: z.boolean(),
  trustedAuthservId: z.string().optional(),
});
export type GatewayPolicy = z.infer<typeof gatewayPolicy>;

/** What all TlsPolicies together ask of mail with one peer domain (T8: the union of the requirements). */
const inboundTls = z.strictObject({
  /** `partner.example` or `*.partner.example`. */
  peer: z.string(),
  from: z.array(sourceRef),
});
const outboundTls = z.strictObject({
  peer: z.string(),
  requireTrustedCA: z.boolean(),
  requireHostnameMatch: z.boolean(),
  /**
   * The trust stores that must each verify the chain (T8 joins requirements, it never widens trust): `System`, or PEM text.
   * `Unavailable` is a bundle that cannot be read and verifies nothing. Empty unless requireTrustedCA.
   */
  caBundles: z.array(z.string()),
  onFailure: z.enum(['Defer', 'Bounce']),
  giveUpAfterSeconds: z.int().min(0),
  from: z.array(sourceRef),
});
export type InboundTls = z.infer<typeof inboundTls>;
export type OutboundTls = z.infer<typeof outboundTls>;

/** A key that may sign for the domain; its private half lies in the secret bundle under `<domain>/<selector>`. */
const dkimSigner = z.strictObject({
  source: sourceRef,
  domain: domainName,
  selector: z.string().min(1).max(63),
  algorithm: z.enum(['RSA', 'Ed25519']),
  /** SHA-256 (hex) of the SubjectPublicKeyInfo DER: lets a pod prove that it holds the right private key. */
  publicKeySHA256: z.string().length(64),
  fallback: z.boolean(),
});
export type DkimSigner = z.infer<typeof dkimSigner>;

/**
 * Everything that acts on mail from or to one hosted domain. `policyHash` of MailDomain.status is the SHA-256 of this slice
 * together with the lists it names.
 */
export const domainPolicy = z.strictObject({
  domain: domainName,
  source: sourceRef,
  ownership: z.enum(['Customer', 'Platform']),
  mailbox: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('Route'), route: routeName }),
    z.strictObject({ kind: z.literal('Maildir') }),
  ]),
  junk: z.strictObject({
    method: z.enum(['Header', 'Subaddress']),
    header: z.strictObject({ name: z.string(), spamValue: z.string(), inboxValue: z.string() }),
    subaddress: z.strictObject({ delimiter: z.string(), folder: z.string() }),
  }),
  recipients: z.strictObject({
    mode: z.enum(['List', 'Probe', 'Any']),
    /** Local parts in lower case, sorted, without duplicates; List mode only. */
    localParts: z.array(z.string()),
    subaddressDelimiter: z.string(),
    /** Route that is asked in Probe mode. */
    probeRoute: routeName.optional(),
    /** False: the source (a ConfigMap key, say) cannot be read, so nobody can be called unknown: 451 4.3.0. */
    available: z.boolean(),
  }),
  postmaster: z.string().optional(),
  inboundRouting: z.array(inboundRule),
  outboundRouting: z.array(outboundRule),
  submission: z.strictObject({
    enabled: z.boolean(),
    /** True: the accounts lie in the secret bundle under this domain's name. */
    accounts: z.boolean(),
    recipientsPerHour: z.int().min(1),
  }),
  maxMessageBytes: z.int().min(1),
  contentFilter: z
    .strictObject({
      rspamdUrl: z.string(),
      onFailure: z.enum(['Accept', 'Defer']),
      rejectAction: z.enum(['Junk', 'Reject']),
      virusSymbols: z.array(z.string()),
    })
    .optional(),
  authentication: z.strictObject({
    spf: z.enum(['Disabled', 'Mark', 'Reject']),
    dkim: z.enum(['Disabled', 'Mark']),
    dmarc: z.enum(['Disabled', 'Mark', 'Quarantine', 'Reject']),
    trustedArcSealers: z.array(z.string()),
  }),
  /** Keys of RangeLists; any allow match beats any block match (A10). */
  access: z.strictObject({ allow: z.array(z.string()), block: z.array(z.string()) }),
  gateway: gatewayPolicy.optional(),
  tls: z.strictObject({ inbound: z.array(inboundTls), outbound: z.array(outboundTls) }),
  dkim: z.array(dkimSigner),
});
export type DomainPolicy = z.infer<typeof domainPolicy>;
