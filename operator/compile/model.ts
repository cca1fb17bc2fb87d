import type { PolicyBundle, SecretBundle } from '../../bundle/policy-bundle.ts';
import type { KindName } from '../../bundle/source.ts';
import type { MtaState, RouteProbe } from '../../bundle/state.ts';
import type { MtaSettings, ObjectStatus, PosternObject } from '../api/index.ts';

/** A value that must not be printed: JSON, string and inspect give `[redacted]`; `reveal()` is greppable. */
export interface Secret<T> {
  reveal(): T;
  toJSON(): string;
  toString(): string;
}

/** A Secret of the namespace, as the compiler sees it. */
export interface SecretRecord {
  readonly name: string;
  /** `kubernetes.io/basic-auth`, `Opaque`, ... */
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Changes whenever the content does, and tells nothing about it: resourceVersion, or a keyed digest. */
  readonly revision: string;
  readonly data: Readonly<Record<string, Secret<Uint8Array>>>;
}

export interface ConfigMapRecord {
  readonly name: string;
  readonly data: Readonly<Record<string, string>>;
}

/** An MTA of the namespace: a StatefulSet with label postern.dev/mta, or the standalone child process. */
export interface MtaRecord {
  readonly name: string;
  readonly replicas: number;
  /** The validated settings, or why they cannot be used. */
  readonly settings:
    | { readonly ok: true; readonly value: MtaSettings }
    | { readonly ok: false; readonly problem: string };
  /** More than one workload carries the label: MtaAmbiguous. */
  readonly workloads: readonly string[];
}

/** One running MTA process and what its /state said, or why it could not be asked. */
export interface PodObservation {
  readonly name: string;
  readonly mta: string;
  /** Kubernetes' own readiness of the pod (standalone: the process serves). */
  readonly ready: boolean;
  readonly state:
    | { readonly ok: true; readonly value: MtaState }
    | { readonly ok: false; readonly problem: string };
  /** Milliseconds since the epoch since when this ready pod has reported something older than the wanted bundle; absent when it is current. */
  readonly behindSince?: number;
}

/** What one name server (or the recursive resolver) says about a DKIM record. */
export type DkimAnswer =
  | {
      readonly result: 'Match';
      /** What the record adds that the owner should know of: test mode (`t=y`), say. */
      readonly detail?: string;
    }
  | {
      readonly result:
        | 'RecordNotFound'
        | 'ValueMismatch'
        | 'MultipleRecords'
        | 'Revoked'
        | 'KeyTooShort'
        | 'ResolverError'
        | 'CnameLoop';
      readonly detail: string;
    };

/** The outcome of one DNS check of a DkimKey, kept by the platform between reconciles. */
export interface DkimObservation {
  readonly dkimKey: string;
  /** Milliseconds since the epoch. */
  readonly checkedAt: number;
  /** The host and value that were checked: an answer to another question does not count. */
  readonly host: string;
  readonly publicKeySHA256: string;
  readonly nameservers: readonly { readonly name: string; readonly answer: DkimAnswer }[];
}

/** What came of bringing a DNSEndpoint about, or of taking it away. */
export type DnsEndpointOutcome =
  | { readonly outcome: 'Written' | 'Withdrawn' }
  | {
      readonly outcome: 'Failed';
      readonly reason: 'KindNotInstalled' | 'Forbidden' | 'NameTaken' | 'NotInStandalone';
      /** What it met, without a final full stop. */
      readonly message: string;
    };

export type DnsEndpointObservation = DnsEndpointOutcome & { readonly dkimKey: string };

/** What DNS said, or that nobody gave a usable answer. `failures`: how many checks in a row got none; the value is then the last known. */
export type DnsFact<T> =
  | { readonly answered: true; readonly value: T; readonly failures: number }
  | { readonly answered: false; readonly detail: string; readonly failures: number };

/** Mail exchangers of a domain, by preference and name. */
export interface MxFacts {
  readonly exchangers: readonly {
    /** Lower case, without a final dot; empty for the null MX (RFC 7505). */
    readonly host: string;
    readonly preference: number;
    readonly addresses: readonly string[];
  }[];
  /** Addresses of the MTA's heloName; empty where no exchanger had to be compared with them. */
  readonly ownAddresses: readonly string[];
}

/** SPF records of a domain, and what they say of each address (RFC 7208 section 2.6). */
export interface SpfFacts {
  /** Those that begin with `v=spf1`. */
  readonly records: readonly string[];
  /** One for each of the question's senders. */
  readonly senders: readonly {
    readonly what: string;
    readonly verdicts: readonly {
      readonly address: string;
      readonly result: 'pass' | 'fail' | 'softfail' | 'neutral' | 'none' | 'permerror';
      /** Why a record cannot be evaluated. */
      readonly detail?: string;
    }[];
  }[];
}

/** TXT records at `_dmarc.<name>`, for the domain and each name above it that the tree walk asks about (RFC 9989 section 4.10). */
export type DmarcFacts = readonly { readonly name: string; readonly records: readonly string[] }[];

/** Servers from which mail of a domain goes out to the world. */
export interface MailSender {
  /** `MTA default`, `Route dlp`: for people. */
  readonly what: string;
  /** Those that are declared. */
  readonly addresses: readonly string[];
  /** A name that leads to its addresses. */
  readonly host?: { readonly name: string; readonly lookupMx: boolean };
  /** What to say where no public address is known. */
  readonly unknown: string;
}

/** The outcome of one look at the MX, SPF and DMARC records of a MailDomain, kept by the platform between reconciles. */
export interface MailDnsObservation {
  readonly mailDomain: string;
  /** Of the want: an answer to another question does not count. */
  readonly question: string;
  /** Milliseconds since the epoch. */
  readonly checkedAt: number;
  /** How many checks before this one said the same. */
  readonly unchanged: number;
  readonly mx: DnsFact<MxFacts>;
  readonly spf: DnsFact<SpfFacts>;
  readonly dmarc: DnsFact<DmarcFacts>;
}

/** A queue volume that no pod will mount: the MTA was scaled down. */
export interface QueueObservation {
  readonly mta: string;
  /** Name of the PersistentVolumeClaim. */
  readonly claim: string;
  /** How many mails lie there; undefined: nobody could say. */
  readonly queued: number | undefined;
}

interface Observed {
  readonly pods: readonly PodObservation[];
  readonly dkim: readonly DkimObservation[];
  /** The last look at each MailDomain's records; undefined: nobody here looks, so none is wanted. */
  readonly mailDns?: readonly MailDnsObservation[];
  readonly routeProbes: Readonly<Record<string, RouteProbe>>;
  /** Absent: there are no volumes that could be left behind. */
  readonly strandedQueues?: readonly QueueObservation[];
  /** The last outcome for each DkimKey that has or had one. */
  readonly dnsEndpoints?: readonly DnsEndpointObservation[];
  /** What the API server refused to write the last time, in its words: by `mta/<name>` for policy, `secret/<name>` for keys. */
  readonly refusals?: Readonly<Record<string, string>>;
}

export interface CompileOptions {
  readonly clusterDomain: string;
  /** CIDRs a Route may lead to although they are link-local, loopback or the API server's (R7). Standalone allows loopback. */
  readonly allowedRouteRanges: readonly string[];
  /** Addresses and CIDRs of the API server, which no Route may lead to (R7). */
  readonly apiServerRanges?: readonly string[];
  /**
   * CIDRs of nodes, pods and Services, and loopback: a peer with such an address may be anybody (G14). Undefined: nothing stands
   * in front of the MTA.
   */
  readonly clusterRanges?: readonly string[];
  /** Domains that the namespace may have (`postern.dev/domains`); undefined: any. */
  readonly allowedDomains?: readonly string[];
}

/** One namespace at one moment: all that a compilation reads. Frozen plain data. */
export interface Snapshot {
  readonly namespace: string;
  readonly objects: readonly PosternObject[];
  /** `<kind>/<name>` of objects with `postern.dev/paused` -> the object as it was compiled last. Its status does not count. */
  readonly held?: Readonly<Record<string, PosternObject>>;
  readonly secrets: readonly SecretRecord[];
  readonly configMaps: readonly ConfigMapRecord[];
  readonly mtas: readonly MtaRecord[];
  readonly observed: Observed;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly options: CompileOptions;
}

/** The compiled policy of one MTA, before rendering. */
export interface MtaPolicy {
  readonly mta: string;
  readonly bundle: PolicyBundle;
  readonly secrets: SecretBundle;
  /** Versions of everything in `secrets`, by unit: what `secretsRevision` is made of. Never bytes. */
  readonly secretRevisions: Readonly<Record<string, string>>;
  /** Domain -> policyHash; Route -> hash of its slice. */
  readonly hashes: {
    readonly domains: Readonly<Record<string, string>>;
    readonly routes: Readonly<Record<string, string>>;
  };
  readonly settings: MtaSettings;
  /** As in CompileOptions: peers that the MTA is to notice. */
  readonly clusterRanges?: readonly string[];
}

/** Something to be done or fetched; the acting part does it and compiles again. */
export type Want =
  | {
      readonly kind: 'createKey';
      readonly dkimKey: string;
      readonly domain: string;
      readonly selector: string;
      readonly algorithm: 'RSA' | 'Ed25519';
      readonly bits: number;
      readonly secretName: string;
    }
  /** The key of hop marks (G10), one for the namespace. */
  | { readonly kind: 'createHopKey'; readonly secretName: string }
  | {
      readonly kind: 'checkDkim';
      readonly dkimKey: string;
      readonly host: string;
      readonly value: string;
      readonly publicKeySHA256: string;
      readonly scope: 'Authoritative' | 'Recursive';
      /** Milliseconds since the epoch; in the past: now. */
      readonly due: number;
    }
  /** Look at the MX, SPF and DMARC records of a MailDomain (D3, O5, K11). */
  | {
      readonly kind: 'checkMailDns';
      readonly mailDomain: string;
      readonly domain: string;
      readonly heloName: string;
      readonly senders: readonly MailSender[];
      /** Equal for equal questions. */
      readonly question: string;
      /** Milliseconds since the epoch; in the past: now. */
      readonly due: number;
    }
  /** Note on the key's own Secret that its record was verified, so that a restore without status goes on signing (K16). */
  | {
      readonly kind: 'rememberVerified';
      readonly dkimKey: string;
      readonly secretName: string;
      /** RFC 3339; the annotation `postern.dev/verified-time` gets it. */
      readonly verifiedTime: string;
    }
  /** Bring about the DNSEndpoint through which external-dns publishes the record of a key (K6). */
  | {
      readonly kind: 'publishRecord';
      readonly dkimKey: string;
      /** Of the DNSEndpoint. */
      readonly name: string;
      readonly endpoint: {
        readonly dnsName: string;
        readonly recordType: 'TXT';
        /** Seconds. */
        readonly recordTTL: number;
        readonly targets: readonly string[];
      };
    }
  /** Take it away again. */
  | { readonly kind: 'withdrawRecord'; readonly dkimKey: string; readonly name: string }
  /** Adds or removes the finalizer by which the deletion of a DkimKey is noticed (`secretRetention: Delete`). */
  | { readonly kind: 'keyFinalizer'; readonly dkimKey: string; readonly present: boolean }
  /** Note on a key's Secret when it goes: its DkimKey is deleted. */
  | {
      readonly kind: 'retireKey';
      readonly secretName: string;
      /** RFC 3339; the annotation `postern.dev/delete-after` gets it. */
      readonly deleteAfter: string;
    }
  /** Take that note away: a DkimKey names the Secret again. */
  | { readonly kind: 'keepKey'; readonly secretName: string }
  /** Delete a key's Secret, unless it is another version by now. */
  | { readonly kind: 'deleteKey'; readonly secretName: string; readonly revision: string }
  | { readonly kind: 'routeFinalizer'; readonly route: string; readonly present: boolean }
  /** Compile again at this time (an entry expires, a grace period ends). */
  | { readonly kind: 'recompile'; readonly due: number };

/** The wanted status of one object, whole. */
export interface StatusRecord {
  readonly kind: KindName;
  readonly name: string;
  readonly status: ObjectStatus;
}

/** What a compilation gives: everything, for all objects of the namespace. */
export interface Translation {
  readonly mtas: readonly MtaPolicy[];
  readonly statuses: readonly StatusRecord[];
  readonly wants: readonly Want[];
}
