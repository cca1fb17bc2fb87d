/**
 * Every limit of the API, once. The zod schemas, the CRDs, the reference page, the compiler and the tests read them
 * from here, so a limit can be changed in one place and no message can name another number than the one that acts.
 */
export const limits = {
  /** Entries of one IpAccessList, and of one (domain, action) over all lists (A2, B1). */
  accessEntries: 10_000,
  /** Bytes that one IpAccessList may need when stored: etcd refuses requests over 1.5 MiB. */
  accessListBytes: 1_400_000,
  /** What one plain address and one `{address}` entry without its note count against `accessListBytes`. */
  accessAddressBytes: 46,
  accessEntryBytes: 110,
  /** Characters of `IpAccessList.spec.text`. */
  accessTextLength: 524_288,
  /** ConfigMap keys of `IpAccessList.spec.entriesFrom`. */
  entriesFrom: 16,
  /** Longest text of an address: eight IPv6 groups, a slash and three digits. */
  addressLength: 43,
  /** Note of an entry or of a Route, characters. */
  noteLength: 256,
  /** MailDomains that one policy object may name. */
  domainRefs: 100,
  /** Registered gateway addresses (D5) and their widest ranges (D6; the IPv6 bound is ours). */
  gatewayAddresses: 50,
  gatewayPrefix4: 20,
  gatewayPrefix6: 48,
  /** Junk patterns of a gateway (D9). */
  junkPatterns: 20,
  junkPatternLength: 512,
  /** TLS policies per MailDomain (T2), partner domains per policy (T7), title length (T3). */
  tlsPoliciesPerDomain: 30,
  peerDomains: 100,
  titleLength: 128,
  /** Recipients written into a MailDomain itself; longer lists belong into a ConfigMap. */
  inlineRecipients: 1_000,
  inboundRoutes: 4,
  outboundRoutes: 2,
  trustedArcSealers: 100,
  virusSymbols: 64,
  /** Length of a domain name without the final dot (RFC 1035 2.3.4), and of one label. */
  domainLength: 253,
  labelLength: 63,
  /** Local part, "@" and domain (RFC 5321 4.5.3.1). */
  mailAddressLength: 320,
  /** Names of Kubernetes objects (RFC 1123 subdomain) and keys of ConfigMaps and Secrets. */
  objectNameLength: 253,
  mtaNameLength: 40,
  /** Smallest size every mail server takes (RFC 5321 4.5.3.1.7), our default (25 MiB), and the highest to set (1 GiB). */
  minMessageBytes: 65_536,
  defaultMessageBytes: 26_214_400,
  maxMessageBytes: 1_073_741_824,
  /** Lists in status are samples, never proportional to other objects. */
  usedBy: 32,
  invalidEntries: 20,
  effectiveTls: 100,
  effectiveTlsFrom: 30,
  nameservers: 13,
  dnsChunks: 4,
  dnsChunkLength: 255,
  dnsValueLength: 1_024,
} as const;
