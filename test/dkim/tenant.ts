// A namespace with DkimKeys that lives through reconciles: what an operator does between two compilations, in memory.
import { isDeepStrictEqual } from 'node:util';
import { conditionTypes, type DkimKey, type MailDomain, parseObject } from '../../operator/api/index.ts';
import { mergeConditions } from '../../operator/compile/conditions.ts';
import { compileDkim, type DkimTranslation } from '../../operator/compile/dkim.ts';
import { keyAnnotations } from '../../operator/compile/dkim-secret.ts';
import type {
  DkimAnswer,
  DkimObservation,
  SecretRecord,
  Snapshot,
  Want,
} from '../../operator/compile/model.ts';
import { secret } from '../../operator/compile/secret.ts';
import { dkimKeySecret, generateDkimKey } from '../../operator/reconcile/keys.ts';

export type CheckDkim = Extract<Want, { kind: 'checkDkim' }>;

/** A DkimKey as the API server would return it. @param spec without domainRef: MailDomain `a` */
export function dkimKeyOf(
  name: string,
  spec: Record<string, unknown> = {},
  metadata: Record<string, unknown> = {},
): DkimKey {
  return parsed(
    parseObject('DkimKey', {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'DkimKey',
      metadata: {
        name,
        namespace: 'mail',
        generation: 1,
        creationTimestamp: '2026-01-01T00:00:00Z',
        ...metadata,
      },
      // 1024 bits only because a test makes many keys.
      spec: {
        domainRef: { name: 'a' },
        ...(spec['algorithm'] === 'Ed25519' ? {} : { keyLength: 1024 }),
        ...spec,
      },
    }),
  );
}

/** A MailDomain of the domain `<name>.test`. */
export function mailDomainOf(name: string, spec: Record<string, unknown> = {}): MailDomain {
  return parsed(
    parseObject('MailDomain', {
      apiVersion: 'postern.dev/v1alpha1',
      kind: 'MailDomain',
      metadata: { name, namespace: 'mail', generation: 1 },
      spec: { domain: `${name}.test`, mailbox: { routeRef: { name: 'mailbox' } }, ...spec },
    }),
  );
}

/** A Secret of the namespace. @param data texts */
export function secretOf(
  name: string,
  data: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>> = {},
  annotations: Readonly<Record<string, string>> = {},
): SecretRecord {
  const entries = Object.entries(data).map(
    ([key, text]) => [key, secret(new TextEncoder().encode(text))] as const,
  );
  return { name, type: 'Opaque', labels, annotations, revision: '1', data: Object.fromEntries(entries) };
}

export class Tenant {
  now = Date.parse('2026-03-01T00:00:00Z');
  readonly dkimKeys = new Map<string, DkimKey>();
  readonly domains = new Map<string, MailDomain>();
  readonly secrets = new Map<string, SecretRecord>();
  readonly observations = new Map<string, DkimObservation>();

  constructor(dkimKeys: readonly DkimKey[], domains: readonly MailDomain[] = [mailDomainOf('a')]) {
    for (const dkimKey of dkimKeys) this.dkimKeys.set(dkimKey.metadata.name, dkimKey);
    for (const domain of domains) this.domains.set(domain.metadata.name, domain);
  }

  snapshot(): Snapshot {
    return {
      namespace: 'mail',
      objects: [...this.domains.values(), ...this.dkimKeys.values()],
      secrets: [...this.secrets.values()],
      configMaps: [],
      mtas: [],
      observed: { pods: [], dkim: [...this.observations.values()], routeProbes: {} },
      now: this.now,
      options: { clusterDomain: 'cluster.local', allowedRouteRanges: [] },
    };
  }

  /** One compilation; its statuses are stored. */
  compile(): DkimTranslation {
    const translation = compileDkim({ snapshot: this.snapshot(), domains: this.domains });
    for (const [name, { conditions, fields }] of translation.results) {
      const dkimKey = this.key(name);
      const generation = dkimKey.metadata.generation ?? 0;
      const merged = mergeConditions(dkimKey.status?.conditions, conditions, generation, this.now);
      const status = { ...fields, observedGeneration: generation, conditions: merged };
      this.dkimKeys.set(name, { ...dkimKey, status: stored(dkimKey, status) });
    }
    return translation;
  }

  /** Compiles, does what is wanted at once except DNS checks, and compiles again until nothing is left to do. */
  async reconcile(): Promise<DkimTranslation> {
    for (let round = 1; ; round++) {
      const translation = this.compile();
      const acted = await Promise.all(translation.wants.map((want) => this.act(want)));
      if (!acted.includes(true)) return translation;
      if (round > 4) throw new Error('the compiler never comes to rest');
    }
  }

  /** Records the same answer of every named server, as if the due check had just been made. */
  answer(name: string, ...answers: readonly DkimAnswer[]): void {
    const { dnsRecord, publicKeySHA256 } = this.status(name);
    const nameservers = answers.map((answer, index) => ({ name: `ns${index + 1}.test`, answer }));
    this.observations.set(name, {
      dkimKey: name,
      checkedAt: this.now,
      host: dnsRecord?.name ?? '',
      publicKeySHA256: publicKeySHA256 ?? '',
      nameservers,
    });
  }

  key(name: string): DkimKey {
    const dkimKey = this.dkimKeys.get(name);
    if (dkimKey === undefined) throw new Error(`no DkimKey ${name}`);
    return dkimKey;
  }

  status(name: string): NonNullable<DkimKey['status']> {
    return this.key(name).status ?? {};
  }

  /** `<status>/<reason>` of a condition, or `none`. */
  condition(name: string, type: string): string {
    const found = this.status(name).conditions?.find((condition) => condition.type === type);
    return found === undefined ? 'none' : `${found.status}/${found.reason}`;
  }

  message(name: string, type: string): string {
    return this.status(name).conditions?.find((condition) => condition.type === type)?.message ?? '';
  }

  /** An edit by the user: the generation counts up. */
  edit(name: string, spec: Partial<DkimKey['spec']>): void {
    const { metadata, ...dkimKey } = this.key(name);
    const generation = (metadata.generation ?? 0) + 1;
    this.dkimKeys.set(name, {
      ...dkimKey,
      metadata: { ...metadata, generation },
      spec: { ...dkimKey.spec, ...spec },
    });
  }

  private async act(want: Want): Promise<boolean> {
    if (want.kind === 'createKey') {
      const { privateKeyPem } = await generateDkimKey(want);
      const { metadata } = dkimKeySecret('mail', want, privateKeyPem);
      const record = secretOf(
        want.secretName,
        { 'tls.key': privateKeyPem },
        metadata.labels,
        metadata.annotations,
      );
      if (!this.secrets.has(want.secretName)) this.secrets.set(want.secretName, record);
      return true;
    }
    const stored = want.kind === 'rememberVerified' ? this.secrets.get(want.secretName) : undefined;
    if (want.kind !== 'rememberVerified' || stored === undefined) return false;
    const annotations = { ...stored.annotations, [keyAnnotations.verifiedTime]: want.verifiedTime };
    this.secrets.set(want.secretName, { ...stored, annotations });
    return true;
  }
}

/** The status as it comes back from the API server. @throws Error if the API does not know a condition, reason or field of it */
function stored(dkimKey: DkimKey, status: NonNullable<DkimKey['status']>): NonNullable<DkimKey['status']> {
  const json: unknown = JSON.parse(JSON.stringify({ ...dkimKey, status }));
  const read = parsed(parseObject('DkimKey', json)).status;
  for (const { type, status: value, reason } of status.conditions ?? []) {
    const reasons: Readonly<Record<string, { status: readonly string[] }>> = conditionTypes[type].reasons;
    if (!reasons[reason]?.status.includes(value))
      throw new Error(`the API knows no ${type}=${value}/${reason}`);
  }
  if (!isDeepStrictEqual(read, JSON.parse(JSON.stringify(status))))
    throw new Error(`the API drops ${JSON.stringify(status)}`);
  return read ?? {};
}

/** The DNS checks among the wants. */
export function checksOf(translation: DkimTranslation): CheckDkim[] {
  return translation.wants.filter((want) => want.kind === 'checkDkim');
}

function parsed<T>(result: { ok: true; object: T } | { ok: false; problems: unknown }): T {
  if (!result.ok) throw new Error(`the test's own object is invalid: ${JSON.stringify(result.problems)}`);
  return result.object;
}
