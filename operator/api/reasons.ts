/**
 * Every condition type and every reason that any status may carry, in one table. Code can only use what stands here (the
 * types say so), and docs/reference/conditions.md is generated from it: each reason has one sentence that says what to do.
 */

type ConditionStatus = 'True' | 'False' | 'Unknown';

/** `status`: which statuses the reason comes with; `advice`: what it means and what to do next, one sentence. */
type ReasonSpec = { status: readonly ConditionStatus[]; advice: string };

type ConditionSpec = {
  /** What True means. */
  meaning: string;
  /** A warning is True when there is something to say; it never counts for Ready. */
  warning: boolean;
  reasons: Readonly<Record<string, ReasonSpec>>;
};

const isTrue = (advice: string) => ({ status: ['True'], advice }) as const satisfies ReasonSpec;
const isFalse = (advice: string) => ({ status: ['False'], advice }) as const satisfies ReasonSpec;
const isUnknown = (advice: string) => ({ status: ['Unknown'], advice }) as const satisfies ReasonSpec;
const notTrue = (advice: string) => ({ status: ['False', 'Unknown'], advice }) as const satisfies ReasonSpec;

const pending = {
  Pending: notTrue(
    'The operator has not finished with this generation yet: wait, and if it lasts look at the operator log.',
  ),
};

const accepted = {
  PartiallyAccepted: isTrue(
    'Some of the named domains take the object and others do not: read status.domains for each.',
  ),
};
const notAccepted = {
  ...pending,
  Invalid: isFalse('The object breaks a rule of the API: correct the field that the message names.'),
  Conflicted: isFalse(
    'An older object of this namespace holds the single place: delete one of the two, the older one is named.',
  ),
  LimitExceeded: isFalse('Older objects have used up the limit: remove entries or objects, or merge them.'),
  UnavailableOnPlatformDomain: isFalse(
    'The domain has ownership Platform, which takes no gateway, routing or key: name a Customer domain.',
  ),
  UnsupportedPattern: isFalse(
    'A pattern is no RE2 expression (look-around and back references are not): rewrite the one that is named.',
  ),
  MtaNotFound: isFalse(
    'No MTA of this namespace has the name in spec.mta: install the tenant chart, or correct the name.',
  ),
  MtaAmbiguous: isFalse(
    'Several StatefulSets carry the same postern.dev/mta label: leave it on exactly one.',
  ),
  MtaNotConfigured: isFalse(
    'The settings of the MTA are missing or invalid: correct its postern-mta ConfigMap (standalone: mta.yaml).',
  ),
  MaildirNeedsSingleReplica: isFalse(
    'A Maildir lies in one pod: scale the MTA to one replica, or give the mailbox a Route.',
  ),
  DomainNotAllowed: isFalse(
    'The namespace may not have this domain: ask the cluster admin to add it to postern.dev/domains.',
  ),
  HostNotAllowed: isFalse(
    'A Route may not lead to link-local, loopback or API server addresses: name another host, or let the operator allow the range.',
  ),
  Paused: isFalse(
    'The annotation postern.dev/paused holds the object: remove it to go on; the compiled policy stays as it was.',
  ),
} as const;

const unresolved = {
  ...pending,
  RouteNotFound: isFalse(
    'The Route that is named does not exist in this namespace: create it, or correct the name.',
  ),
  DomainNotFound: isFalse(
    'The MailDomain that is named does not exist in this namespace: create it, or correct the name.',
  ),
  SecretNotFound: isFalse(
    'The Secret that is named does not exist or lacks a key: create it as the message says.',
  ),
  SecretNotAllowed: isFalse(
    'The Secret does not say that it may be used for this: set the type and the postern.dev/use label that the message names.',
  ),
  ConfigMapKeyNotFound: isFalse(
    'The ConfigMap or its key does not exist: create it, or correct the reference.',
  ),
  InvalidSourceData: isFalse(
    'The referenced data cannot be read: correct the lines that the message or status.invalid names.',
  ),
} as const;

const programmed = {
  NothingToProgram: isTrue('The object asks nothing of an MTA, so there is nothing to load.'),
};
const writeRefused = {
  WriteRefused: isFalse(
    'The API server does not let the operator write what the object needs: give it the right that the message names, or raise the quota.',
  ),
};
const notProgrammed = {
  ...pending,
  ...writeRefused,
  PartiallyProgrammed: isFalse(
    'Some ready pods still report an older policy: the message names them; look at their log if it lasts.',
  ),
  NoReadyPods: isUnknown(
    'No MTA pod is ready, so nobody can say what is loaded: look at the pods of the MTA.',
  ),
  LoadFailed: isFalse(
    'A pod could not load the policy and goes on with its last good one: the message says why.',
  ),
  ConfigTooLarge: isFalse(
    'The policy of the MTA is larger than its objects can hold: the youngest MailDomains wait; spread them over several MTAs.',
  ),
  RangeNotTrusted: isFalse(
    'An entry covers pod, node or Service addresses, which say nothing about the client: list the addresses of the clients themselves, or the range in trustedRanges if clients truly have them.',
  ),
} as const;

const keyNotGenerated = {
  ...pending,
  ...writeRefused,
  SecretConflict: isFalse(
    'A Secret of that name exists and belongs to something else: delete or rename it, or set spec.secretName to another name.',
  ),
  InvalidKey: isFalse(
    'The Secret holds no private key of the algorithm and length in spec: replace the key, or correct the spec.',
  ),
} as const;

const mtaNotAvailable = {
  ...pending,
  MtaNotFound: notAccepted.MtaNotFound,
  MtaAmbiguous: notAccepted.MtaAmbiguous,
  MtaNotConfigured: notAccepted.MtaNotConfigured,
  NoReadyPods: notProgrammed.NoReadyPods,
} as const;

export const conditionTypes = {
  Accepted: {
    meaning: 'The spec is valid, and it wins or merges for at least one domain.',
    warning: false,
    reasons: { Accepted: isTrue('Nothing to do.'), ...accepted, ...notAccepted },
  },
  ResolvedRefs: {
    meaning: 'Every reference exists and may be used.',
    warning: false,
    reasons: { ResolvedRefs: isTrue('Nothing to do.'), ...unresolved },
  },
  Programmed: {
    meaning:
      'Every MTA that serves one of the domains had a ready pod, and all ready pods reported that they have loaded this generation.',
    warning: false,
    reasons: { Programmed: isTrue('Nothing to do.'), ...programmed, ...notProgrammed },
  },
  Ready: {
    meaning:
      'Accepted, ResolvedRefs and Programmed (DkimKey: and KeyGenerated) are True; else the first of their reasons.',
    warning: false,
    reasons: {
      Ready: isTrue('Nothing to do.'),
      ...notAccepted,
      ...unresolved,
      ...notProgrammed,
      ...keyNotGenerated,
    },
  },

  InUse: {
    meaning: 'A MailDomain or InboundGateway names this Route, so it cannot be deleted.',
    warning: false,
    reasons: {
      Referenced: isTrue('Remove the references in status.usedBy before you delete the Route.'),
      Unreferenced: isFalse('Nothing names this Route: it may be deleted.'),
      ...pending,
    },
  },
  Reachable: {
    meaning: 'The MTA pods could open an SMTP or LMTP session with the host as spec says.',
    warning: false,
    reasons: {
      Reachable: isTrue('Nothing to do.'),
      ...pending,
      NotProbed: isUnknown('No MTA pod has probed the Route yet: wait for the next probe.'),
      HostNotFound: isFalse('The host name does not resolve in the MTA pods: correct spec.host, or its DNS.'),
      ConnectFailed: isFalse(
        'Nobody answers at the host and port: start the server, correct spec.port, or open the network path from the MTA pods.',
      ),
      ConnectRejected: isFalse(
        'The server refuses the session before any recipient: mail waits in the queue; ask its operator to take ours.',
      ),
      TlsFailed: isFalse(
        'TLS as spec.tls asks for cannot be had: correct the certificate or STARTTLS of the server, or spec.tls.',
      ),
      AuthRejected: isFalse(
        'The server refuses the user name or password: correct the Secret; mail waits in the queue until then.',
      ),
    },
  },

  KeyGenerated: {
    meaning: 'The private key exists in its Secret.',
    warning: false,
    reasons: {
      KeyGenerated: isTrue(
        'Nothing to do: the key was made, or adopted from an earlier object of the same domain and selector.',
      ),
      Imported: isTrue('Nothing to do: the key of spec.secretName is used.'),
      ...keyNotGenerated,
    },
  },
  Published: {
    meaning: 'The name servers answer with the record of this key.',
    warning: false,
    reasons: {
      RecordVerified: isTrue('Nothing to do.'),
      VerificationDisabled: isTrue(
        'Verification is switched off: see to it yourself that the record in status.dnsRecord is published.',
      ),
      ...pending,
      AwaitingRequest: isFalse(
        'Publish the record in status.dnsRecord, then set spec.verification.requestId to any new value.',
      ),
      RecordNotFound: isFalse(
        'The record does not exist yet: publish status.dnsRecord at your DNS host; it is looked for again by itself.',
      ),
      ValueMismatch: isFalse(
        'A record exists and holds another key: replace its value by status.dnsRecord.value.',
      ),
      PartiallyPropagated: isFalse(
        'Some name servers have the record and others do not: wait, status.nameservers says which.',
      ),
      MultipleRecords: isFalse(
        'The selector has more than one TXT record, which receivers refuse: leave only the one of status.dnsRecord.',
      ),
      Revoked: isFalse(
        'The record has an empty p= tag, which revokes the key: publish status.dnsRecord.value, or retire the key.',
      ),
      KeyTooShort: isFalse(
        'The published key is shorter than 1024 bits, which receivers refuse: publish status.dnsRecord.value.',
      ),
      ResolverError: notTrue(
        'The name servers do not answer: correct the delegation or the resolver of the operator.',
      ),
      CnameLoop: isFalse('The CNAME of the record leads back to itself: correct it at your DNS host.'),
      PropagationTimeout: isFalse(
        'The record was not found for 72 hours and is looked for hourly now: publish it, then set a new requestId.',
      ),
      RecordLost: isFalse('The record was there and is gone: publish it again; signing goes on meanwhile.'),
    },
  },
  Signing: {
    meaning: 'All ready pods sign mail of the domain with this key.',
    warning: false,
    reasons: {
      Signing: isTrue('Nothing to do.'),
      ...pending,
      NotPublished: isFalse('A key signs only after its record was verified: see the condition Published.'),
      Standby: isFalse('The key waits for its turn: set spec.state to Active once it is Published.'),
      Retired: isFalse(
        'The key signs no more: leave its record for the queue lifetime and two days, then delete the object.',
      ),
      Conflicted: notAccepted.Conflicted,
      Superseded: isFalse(
        'An older Active key of this algorithm signs for the domain: set that one to Retired.',
      ),
      KeyNotGenerated: isFalse('There is no usable private key yet: see the condition KeyGenerated.'),
      NotAccepted: isFalse('The object is not accepted: see the condition Accepted.'),
    },
  },

  MtaAvailable: {
    meaning: 'The MTA in spec.mta exists, is configured, and has a ready pod.',
    warning: false,
    reasons: { MtaAvailable: isTrue('Nothing to do.'), ...mtaNotAvailable },
  },
  DkimReady: {
    meaning: 'Mail of the domain is signed with a key of its own.',
    warning: false,
    reasons: {
      DkimReady: isTrue('Nothing to do.'),
      ...pending,
      NoKey: isFalse(
        'No DkimKey names this domain: create one, and publish the record that its status shows.',
      ),
      NotPublished: isFalse('The DkimKey is not Published yet: publish the record in its status.'),
      NotSigning: isFalse('The DkimKey is Published but no pod signs with it: see its condition Signing.'),
    },
  },
  MxReady: {
    meaning: 'The MX records of the domain lead to this MTA, or with a gateway to that alone.',
    warning: false,
    reasons: {
      MxReady: isTrue('Nothing to do.'),
      ...pending,
      NotChecked: isUnknown('DNS was not asked: nothing is known about this record.'),
      RecordNotFound: isFalse('The domain has no MX record: publish the one in the message.'),
      ValueMismatch: isFalse(
        'The MX records lead elsewhere: publish those in the message, with a gateway only the gateway.',
      ),
      ResolverError: isUnknown(
        'The name servers do not answer: correct the delegation or the resolver of the operator.',
      ),
    },
  },
  SpfReady: {
    meaning: 'The SPF record of the domain covers every address that mail leaves from.',
    warning: false,
    reasons: {
      SpfReady: isTrue('Nothing to do.'),
      ...pending,
      NotChecked: isUnknown(
        'DNS was not asked, or it is not known which addresses mail leaves from: correct what the message names.',
      ),
      RecordNotFound: isFalse('The domain has no SPF record: publish the one in the message.'),
      ValueMismatch: isFalse(
        'The SPF record leaves out an address, or receivers cannot use it: do what the message says.',
      ),
      ResolverError: isUnknown(
        'The name servers do not answer: correct the delegation or the resolver of the operator.',
      ),
    },
  },
  DmarcReady: {
    meaning:
      'The domain, or its organizational domain, publishes a DMARC policy. DmarcUnaligned says whether mail meets it.',
    warning: false,
    reasons: {
      DmarcReady: isTrue('Nothing to do.'),
      ...pending,
      NotChecked: isUnknown('DNS was not asked: nothing is known about this record.'),
      RecordNotFound: isFalse('The domain has no DMARC record: publish the one in the message.'),
      ValueMismatch: isFalse('The DMARC record is invalid: correct it, or publish the one in the message.'),
      ResolverError: isUnknown(
        'The name servers do not answer: correct the delegation or the resolver of the operator.',
      ),
    },
  },
  RecipientsReady: {
    meaning: 'It can be decided which recipients exist.',
    warning: false,
    reasons: {
      RecipientsReady: isTrue('Nothing to do.'),
      ...pending,
      CatchAll: isTrue(
        'Every address is taken as known: set recipients.mode to List or Probe to refuse unknown ones.',
      ),
      SourceUnavailable: isFalse(
        'The list or the server that knows the recipients cannot be read, mail is deferred with 451: see the message.',
      ),
    },
  },

  BroadRange: {
    meaning: 'An allow entry covers more than an IPv4 /24 or an IPv6 /48.',
    warning: true,
    reasons: {
      BroadRange: isTrue(
        'Shared senders may be among those addresses: list the hosts that you trust instead.',
      ),
    },
  },
  WeakKey: {
    meaning: 'The key has 1024 bits.',
    warning: true,
    reasons: {
      WeakKey: isTrue(
        'Create a second key with keyLength 2048 and rotate to it, if your DNS host takes the longer record.',
      ),
    },
  },
  RecordNotWritten: {
    meaning:
      'The DNSEndpoint by which external-dns would publish the record could not be written or taken away.',
    warning: true,
    reasons: {
      KindNotInstalled: isTrue(
        'Install external-dns with its DNSEndpoint CRD, or set spec.dns.publish to None and publish status.dnsRecord by hand.',
      ),
      Forbidden: isTrue(
        'Let the operator write DNSEndpoints (value rbac.externalDns of the chart), or publish status.dnsRecord by hand.',
      ),
      NameTaken: isTrue('Somebody else made a DNSEndpoint of this name: delete it, or rename the DkimKey.'),
      NotInStandalone: isTrue('A folder has no external-dns: publish status.dnsRecord by hand.'),
    },
  },
  AllowListBypassesGateway: {
    meaning: 'Allowed peers reach a domain that takes mail from its gateway only.',
    warning: true,
    reasons: {
      AllowListBypassesGateway: isTrue('Remove the allow entries if nothing may pass the gateway by.'),
    },
  },
  AllowListCoversGateway: {
    meaning: 'An allow entry covers an address of the gateway.',
    warning: true,
    reasons: {
      AllowListCoversGateway: isTrue(
        'The entry does not allow the mail that comes through the gateway: list the original senders instead.',
      ),
    },
  },
  ClientIPNotPreserved: {
    meaning: 'Peers arrive with node, pod or Service addresses.',
    warning: true,
    reasons: {
      ClientIPNotPreserved: isTrue(
        'Set externalTrafficPolicy Local, or PROXY protocol with proxyProtocolFrom, or IP lists see the wrong address.',
      ),
    },
  },
  OriginalClientUnknown: {
    meaning: 'Mail through the gateway arrives without a readable original client.',
    warning: true,
    reasons: {
      OriginalClientUnknown: isTrue(
        'Register every hop of the gateway in spec.addresses, and let it write Received lines.',
      ),
    },
  },
  BackscatterRisk: {
    meaning: 'Mail may be accepted that cannot be delivered.',
    warning: true,
    reasons: {
      BackscatterRisk: isTrue(
        'Set recipients.mode to List or Probe, so that unknown recipients are refused in the session.',
      ),
    },
  },
  RoutingShadowed: {
    meaning: 'A routing rule can never apply, because an earlier one takes its mail.',
    warning: true,
    reasons: { RoutingShadowed: isTrue('Remove one of the two rules that the message names.') },
  },
  TlsPolicyAffected: {
    meaning: 'TlsPolicies act on mail of the domain.',
    warning: true,
    reasons: {
      TlsPolicyAffected: isTrue(
        'Read status.effective of the policies that the message names for what is required of whom.',
      ),
    },
  },
  DmarcUnaligned: {
    meaning: 'Mail of the domain is signed for another domain, or not at all.',
    warning: true,
    reasons: {
      DmarcUnaligned: isTrue(
        'Create a DkimKey for the domain: DMARC then passes by its signature, not by SPF alone.',
      ),
    },
  },
  QueueStranded: {
    meaning: 'A queue volume with mail has no pod.',
    warning: true,
    reasons: {
      QueueStranded: isTrue(
        'Scale the MTA up again: its pod delivers the queue, or hands it over when you scale down; or delete the claim, and the mail with it.',
      ),
    },
  },
} as const satisfies Readonly<Record<string, ConditionSpec>>;

/** Name of a condition. */
export type ConditionType = keyof typeof conditionTypes;

/** Reasons that a condition of one type may carry. */
export type ReasonOf<T extends ConditionType> = keyof (typeof conditionTypes)[T]['reasons'] & string;
