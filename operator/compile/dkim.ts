import type { DkimSigner } from '../../bundle/domain-policy.ts';
import type { DkimKey, MailDomain } from '../api/index.ts';
import { dkimDnsRecord } from '../render/dns-record.ts';
import type { ConditionInput } from './conditions.ts';
import { byAge } from './conflicts.ts';
import { condition, keyGenerated, resolvedRefs, signing, weakKey } from './dkim-conditions.ts';
import { publishRecord } from './dkim-publishing.ts';
import { type KeyState, readKeySecret, secretNameOf, type UsableKey, wantedBits } from './dkim-secret.ts';
import { type Admission, admitKeys } from './dkim-slots.ts';
import { verify } from './dkim-verification.ts';
import type { DkimObservation, DnsEndpointObservation, SecretRecord, Snapshot, Want } from './model.ts';
import { sourceOf } from './objects.ts';

type DkimKeyFields = Omit<NonNullable<DkimKey['status']>, 'conditions' | 'observedGeneration'>;

export interface DkimInput {
  readonly snapshot: Snapshot;
  /** Accepted MailDomains by object name. */
  readonly domains: ReadonlyMap<string, MailDomain>;
}

/** All that the DkimKeys of a namespace come to. */
export interface DkimTranslation {
  /** Domain -> keys that may sign for it, sorted by selector. */
  readonly signers: ReadonlyMap<string, readonly DkimSigner[]>;
  /** `<domain>/<selector>` -> PEM. A signer without one has lost its Secret: an MTA that holds the key goes on with it (X9). */
  readonly privateKeys: Readonly<Record<string, string>>;
  /** `<domain>/<selector>` -> revision of the Secret. */
  readonly revisions: Readonly<Record<string, string>>;
  /** Name of the DkimKey -> its status, but for Programmed and Ready. */
  readonly results: ReadonlyMap<
    string,
    { readonly conditions: readonly ConditionInput[]; readonly fields: DkimKeyFields }
  >;
  readonly wants: readonly Want[];
}

/** Translates the DkimKeys of a namespace (section K). Pure: what it knows of DNS and of earlier times lies in the snapshot. */
export function compileDkim({ snapshot, domains }: DkimInput): DkimTranslation {
  const dkimKeys = snapshot.objects.filter(isDkimKey).sort(byAge);
  const domainOf = (dkimKey: DkimKey) => domains.get(dkimKey.spec.domainRef.name);
  const facts = gatherFacts(snapshot);
  const admissions = admitKeys(dkimKeys, domainOf);
  const outcomes = dkimKeys.map((dkimKey) => {
    const admission = admissions.get(dkimKey.metadata.name);
    const domain = domainOf(dkimKey);
    if (domain === undefined || admission === undefined) return withoutDomain(dkimKey, facts);
    return translate(dkimKey, domain.spec.domain, admission, facts);
  });
  return gather(outcomes);
}

/** What translating one key needs to know besides the key. */
interface Facts {
  readonly now: number;
  readonly secrets: ReadonlyMap<string, SecretRecord>;
  /** The last observation of each DkimKey. */
  readonly observations: ReadonlyMap<string, DkimObservation>;
  /** The last outcome of each DkimKey with a DNSEndpoint. */
  readonly endpoints: ReadonlyMap<string, DnsEndpointObservation>;
  readonly refusals: Readonly<Record<string, string>>;
  /** Names of all MailDomains, accepted or not. */
  readonly mailDomains: ReadonlySet<string>;
}

/** What one key comes to. */
interface Outcome {
  readonly dkimKey: DkimKey;
  readonly conditions: readonly ConditionInput[];
  readonly fields: DkimKeyFields;
  readonly wants: readonly Want[];
  readonly signer?: DkimSigner;
  readonly key?: UsableKey;
}

function translate(dkimKey: DkimKey, domain: string, admission: Admission, facts: Facts): Outcome {
  if (!admission.mayHaveKey) {
    const held = condition(
      'KeyGenerated',
      'Unknown',
      'Pending',
      'No key is made while the object is not accepted.',
    );
    return remembered(dkimKey, [admission.condition, resolvedRefs(undefined), held], admission);
  }
  const secretName = secretNameOf(dkimKey);
  const state = readKeySecret(dkimKey, domain, facts.secrets.get(secretName));
  const conditions = [
    admission.condition,
    resolvedRefs(state),
    keyGenerated(state, facts.refusals[`secret/${secretName}`]),
  ];
  if (state.kind === 'usable') return withKey(dkimKey, domain, admission, state.key, conditions, facts);
  const outcome = remembered(dkimKey, conditions, admission, state);
  if (state.kind === 'absent') {
    const { selector, algorithm } = dkimKey.spec;
    const bits = wantedBits(dkimKey);
    const createKey: Want = {
      kind: 'createKey',
      dkimKey: dkimKey.metadata.name,
      domain,
      selector,
      algorithm,
      bits,
      secretName,
    };
    return { ...outcome, wants: [createKey] };
  }
  const publicKeySHA256 = dkimKey.status?.publicKeySHA256;
  const kept = mayKeepSigning(dkimKey, admission, state) && publicKeySHA256 !== undefined;
  return kept ? { ...outcome, signer: signerOf(dkimKey, domain, publicKeySHA256) } : outcome;
}

function withKey(
  dkimKey: DkimKey,
  domain: string,
  admission: Admission,
  key: UsableKey,
  conditions: readonly ConditionInput[],
  facts: Facts,
): Outcome {
  const { name } = dkimKey.metadata;
  const { selector, dns, state, verification: how } = dkimKey.spec;
  const { publicKeySHA256, bits } = key.publicKey;
  const record = dkimDnsRecord(domain, selector, key.publicKey, dns.ttlSeconds);
  const verification = verify({
    spec: dkimKey.spec,
    previous: dkimKey.status,
    host: record.name,
    publicKeySHA256,
    rememberedTime: key.rememberedTime,
    observation: facts.observations.get(name),
    now: facts.now,
  });
  const wants: Want[] = [];
  if (verification.due !== undefined) {
    wants.push({
      kind: 'checkDkim',
      dkimKey: name,
      host: record.name,
      value: record.value,
      publicKeySHA256,
      scope: how.scope,
      due: verification.due,
    });
  }
  const { verifiedTime } = verification.fields;
  if (key.ours && verifiedTime !== undefined && key.rememberedTime === undefined) {
    wants.push({ kind: 'rememberVerified', dkimKey: name, secretName: key.secretName, verifiedTime });
  }
  const publishing = publishRecord(dkimKey, record, facts.endpoints.get(name));
  wants.push(...publishing.wants);
  const signs = admission.condition.status === 'True' && state === 'Active' && verification.verified;
  return {
    dkimKey,
    key,
    conditions: [
      ...conditions,
      verification.published,
      signing(dkimKey, admission, verification.verified ? 'ready' : 'unpublished'),
      ...weakKey(key.publicKey),
      ...publishing.conditions,
    ],
    fields: {
      domain,
      keyLength: bits,
      dnsRecord: {
        name: record.name,
        value: record.value,
        chunks: [...record.chunks],
        zoneFileLine: record.zoneFileLine,
      },
      secretRef: { name: key.secretName },
      ...(publishing.ref === undefined ? {} : { dnsEndpointRef: publishing.ref }),
      publicKeySHA256,
      ...verification.fields,
    },
    wants,
    ...(signs ? { signer: signerOf(dkimKey, domain, publicKeySHA256) } : {}),
  };
}

/** The MailDomain is missing or not accepted: all that was known stays, for the moment when it comes back. */
function withoutDomain(dkimKey: DkimKey, facts: Facts): Outcome {
  const name = dkimKey.spec.domainRef.name;
  const exists = facts.mailDomains.has(name);
  const message = exists
    ? `MailDomain ${name} (spec.domainRef) is not accepted: see its status.`
    : `MailDomain ${name} (spec.domainRef) does not exist in this namespace.`;
  return remembered(dkimKey, [
    condition('Accepted', 'True', 'Accepted', ''),
    condition('ResolvedRefs', 'False', 'DomainNotFound', message),
    condition('KeyGenerated', 'Unknown', 'Pending', `Waits for MailDomain ${name}.`),
  ]);
}

/** A key that cannot be looked at now keeps what its status says of it, so that nothing is made, asked or signed anew. */
function remembered(
  dkimKey: DkimKey,
  conditions: readonly ConditionInput[],
  admission?: Admission,
  state?: KeyState,
): Outcome {
  const { conditions: before, observedGeneration: _, ...fields } = dkimKey.status ?? {};
  const published = before?.find(({ type }) => type === 'Published');
  const last: ConditionInput =
    published === undefined || fields.publicKeySHA256 === undefined
      ? condition('Published', 'Unknown', 'Pending', 'There is no key yet.')
      : condition('Published', published.status, published.reason, published.message);
  const phase = mayKeepSigning(dkimKey, admission, state) ? 'ready' : 'keyless';
  return {
    dkimKey,
    conditions: [...conditions, last, signing(dkimKey, admission, phase)],
    fields,
    wants: [],
  };
}

/**
 * Whether a key whose Secret is gone or broken still belongs into the policy: mail must not go out unsigned because somebody
 * deleted a Secret, and the pods may hold the key (X9).
 */
function mayKeepSigning(
  dkimKey: DkimKey,
  admission: Admission | undefined,
  state: KeyState | undefined,
): boolean {
  const seen = dkimKey.status?.verifiedTime !== undefined || dkimKey.spec.verification.mode === 'Disabled';
  const broken = state?.kind === 'lost' || state?.kind === 'invalid';
  return seen && broken && dkimKey.spec.state === 'Active' && admission?.condition.status === 'True';
}

function signerOf(dkimKey: DkimKey, domain: string, publicKeySHA256: string): DkimSigner {
  const { selector, algorithm, fallback } = dkimKey.spec;
  return { source: sourceOf(dkimKey), domain, selector, algorithm, publicKeySHA256, fallback };
}

function gather(outcomes: readonly Outcome[]): DkimTranslation {
  const signers = new Map<string, DkimSigner[]>();
  const privateKeys = new Map<string, string>();
  const revisions = new Map<string, string>();
  for (const { signer, key } of outcomes) {
    if (signer === undefined) continue;
    signers.set(signer.domain, [...(signers.get(signer.domain) ?? []), signer].sort(bySelector));
    if (key === undefined) continue;
    const unit = `${signer.domain}/${signer.selector}`;
    privateKeys.set(unit, new TextDecoder().decode(key.pem.reveal()));
    revisions.set(unit, key.revision);
  }
  return {
    signers,
    privateKeys: Object.fromEntries(privateKeys),
    revisions: Object.fromEntries(revisions),
    results: new Map(
      outcomes.map(({ dkimKey, conditions, fields }) => [dkimKey.metadata.name, { conditions, fields }]),
    ),
    wants: outcomes.flatMap(({ wants }) => wants),
  };
}

/** The snapshot by name: a namespace may have a thousand keys. */
function gatherFacts({ secrets, objects, observed, now }: Snapshot): Facts {
  const observations = new Map<string, DkimObservation>();
  for (const observation of observed.dkim) {
    const { dkimKey, checkedAt } = observation;
    if (checkedAt >= (observations.get(dkimKey)?.checkedAt ?? 0)) observations.set(dkimKey, observation);
  }
  return {
    now,
    observations,
    endpoints: new Map((observed.dnsEndpoints ?? []).map((seen) => [seen.dkimKey, seen])),
    refusals: observed.refusals ?? {},
    secrets: new Map(secrets.map((record) => [record.name, record])),
    mailDomains: new Set(
      objects.filter(({ kind }) => kind === 'MailDomain').map(({ metadata }) => metadata.name),
    ),
  };
}

function isDkimKey(object: Snapshot['objects'][number]): object is DkimKey {
  return object.kind === 'DkimKey';
}

function bySelector(left: DkimSigner, right: DkimSigner): number {
  return left.selector < right.selector ? -1 : 1;
}
