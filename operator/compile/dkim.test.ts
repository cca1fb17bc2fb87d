import { createPublicKey } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { checksOf, dkimKeyOf, mailDomainOf, secretOf, Tenant } from '../../test/dkim/tenant.ts';
import { generateDkimKey } from '../reconcile/keys.ts';

const second = 1_000;
const hour = 3_600 * second;
const match = { result: 'Match' } as const;
const missing = { result: 'RecordNotFound', detail: 'there is no TXT record' } as const;
const silent = { result: 'ResolverError', detail: 'it does not answer in time' } as const;

/** A key whose record was found. */
async function verifiedTenant(spec: Record<string, unknown> = {}): Promise<Tenant> {
  const tenant = new Tenant([dkimKeyOf('k', spec)]);
  await tenant.reconcile();
  tenant.answer('k', match, match);
  await tenant.reconcile();
  expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
  return tenant;
}

/** Moves the clock to the next check and lets it fail. */
async function failNextCheck(
  tenant: Tenant,
  answer: typeof missing | typeof silent = missing,
): Promise<number> {
  const before = tenant.now;
  tenant.now = Date.parse(tenant.status('k').nextCheckTime ?? '');
  tenant.answer('k', answer);
  await tenant.reconcile();
  return tenant.now - before;
}

describe('the key and its Secret', () => {
  it('K5: a key is made once; the record shows its public half', async () => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    const wants = tenant.compile().wants;
    expect(wants).toEqual([
      {
        kind: 'createKey',
        dkimKey: 'k',
        domain: 'a.test',
        selector: 'postern',
        algorithm: 'RSA',
        bits: 1024,
        secretName: 'postern-dkim-k',
      },
    ]);
    expect(tenant.condition('k', 'KeyGenerated')).toBe('Unknown/Pending');
    const translation = await tenant.reconcile();
    expect(translation.wants.map(({ kind }) => kind)).toEqual(['checkDkim']);
    expect(tenant.condition('k', 'KeyGenerated')).toBe('True/KeyGenerated');
    const { dnsRecord, keyLength, secretRef } = tenant.status('k');
    expect(dnsRecord?.name).toBe('postern._domainkey.a.test');
    expect(dnsRecord?.chunks?.join('')).toBe(dnsRecord?.value);
    expect([keyLength, secretRef?.name]).toEqual([1024, 'postern-dkim-k']);
    const pem = tenant.secrets.get('postern-dkim-k')?.data['tls.key']?.reveal() ?? new Uint8Array();
    const spki = createPublicKey(Buffer.from(pem)).export({ type: 'spki', format: 'der' }).toString('base64');
    expect(dnsRecord?.value).toBe(`v=DKIM1; k=rsa; p=${spki}`);
  });

  it('K4: RSA keys have 2048 bits when keyLength is unset, and a shorter one is warned of', async () => {
    const weak = new Tenant([dkimKeyOf('k')]);
    await weak.reconcile();
    expect(weak.condition('k', 'WeakKey')).toBe('True/WeakKey');
    const strong = new Tenant([dkimKeyOf('k', { keyLength: undefined })]);
    expect(strong.compile().wants).toMatchObject([{ kind: 'createKey', bits: 2048 }]);
    await strong.reconcile();
    expect(strong.condition('k', 'WeakKey')).toBe('none');
  });

  it('K5: an object made anew adopts the key that is there', async () => {
    const tenant = await verifiedTenant();
    const before = tenant.status('k').publicKeySHA256;
    tenant.dkimKeys.set('k', dkimKeyOf('k'));
    const translation = tenant.compile();
    expect(translation.wants.some(({ kind }) => kind === 'createKey')).toBe(false);
    expect(tenant.status('k').publicKeySHA256).toBe(before);
    expect(tenant.condition('k', 'KeyGenerated')).toBe('True/KeyGenerated');
  });

  it.each([
    ['of somebody else', 'a.test', {}],
    [
      'of another domain',
      'b.test',
      { 'postern.dev/use': 'dkim-key', 'app.kubernetes.io/managed-by': 'postern' },
    ],
    ['without our label', 'a.test', { 'postern.dev/use': 'dkim-key' }],
  ])(
    'K5: a Secret %s in the place of the key is not touched: SecretConflict',
    async (_title, domain, labels) => {
      const tenant = new Tenant([dkimKeyOf('k')]);
      const { privateKeyPem } = await generateDkimKey({ algorithm: 'RSA', bits: 1024 });
      const annotations = { 'postern.dev/dkim-domain': domain, 'postern.dev/dkim-selector': 'postern' };
      tenant.secrets.set(
        'postern-dkim-k',
        secretOf('postern-dkim-k', { 'tls.key': privateKeyPem }, labels, annotations),
      );
      const translation = tenant.compile();
      expect(tenant.condition('k', 'KeyGenerated')).toBe('False/SecretConflict');
      expect(tenant.message('k', 'KeyGenerated')).toContain('postern-dkim-k');
      expect(translation.wants).toEqual([]);
      expect(tenant.status('k').dnsRecord).toBeUndefined();
    },
  );

  it('K5: a brought key is used and never written', async () => {
    const tenant = new Tenant([dkimKeyOf('k', { secretName: 'mine', keyLength: undefined })]);
    expect(tenant.compile().wants).toEqual([]);
    expect(tenant.condition('k', 'ResolvedRefs')).toBe('False/SecretNotFound');
    const { privateKeyPem } = await generateDkimKey({ algorithm: 'RSA', bits: 1024 });
    tenant.secrets.set('mine', secretOf('mine', { 'tls.key': privateKeyPem }));
    tenant.compile();
    expect(tenant.condition('k', 'ResolvedRefs')).toBe('False/SecretNotAllowed');
    expect(tenant.message('k', 'ResolvedRefs')).toContain('postern.dev/use: dkim-key');
    tenant.secrets.set(
      'mine',
      secretOf('mine', { 'tls.key': privateKeyPem }, { 'postern.dev/use': 'dkim-key' }),
    );
    tenant.compile();
    expect(tenant.condition('k', 'ResolvedRefs')).toBe('True/ResolvedRefs');
    expect(tenant.condition('k', 'KeyGenerated')).toBe('True/Imported');
    tenant.answer('k', match);
    const translation = tenant.compile();
    expect(translation.wants.map(({ kind }) => kind)).toEqual(['checkDkim']);
    expect(translation.signers.get('a.test')).toHaveLength(1);
  });

  it.each([
    ['no PEM', {}, async () => 'garbage'],
    [
      'an Ed25519 key',
      {},
      async () => (await generateDkimKey({ algorithm: 'Ed25519', bits: 0 })).privateKeyPem,
    ],
    [
      'an RSA key',
      { algorithm: 'Ed25519' },
      async () => (await generateDkimKey({ algorithm: 'RSA', bits: 1024 })).privateKeyPem,
    ],
    [
      'another length',
      { keyLength: 2048 },
      async () => (await generateDkimKey({ algorithm: 'RSA', bits: 1024 })).privateKeyPem,
    ],
    [
      '512 bits',
      { keyLength: undefined },
      async () => (await generateDkimKey({ algorithm: 'RSA', bits: 512 })).privateKeyPem,
    ],
  ])('K5: a brought Secret with %s says InvalidKey', async (_title, spec, makePem) => {
    const tenant = new Tenant([dkimKeyOf('k', { secretName: 'mine', ...spec })]);
    tenant.secrets.set(
      'mine',
      secretOf('mine', { 'tls.key': await makePem() }, { 'postern.dev/use': 'dkim-key' }),
    );
    const translation = tenant.compile();
    expect(tenant.condition('k', 'KeyGenerated')).toBe('False/InvalidKey');
    expect(translation.wants).toEqual([]);
    expect(translation.signers.size).toBe(0);
  });

  it('X9: a Secret that is gone is never replaced by a new key, and the key stays in the policy', async () => {
    const tenant = await verifiedTenant();
    const { publicKeySHA256 } = tenant.status('k');
    tenant.secrets.clear();
    for (const _reconcile of [1, 2]) {
      const translation = tenant.compile();
      expect(translation.wants).toEqual([]);
      expect(translation.signers.get('a.test')).toMatchObject([{ publicKeySHA256 }]);
      expect(translation.privateKeys).toEqual({});
    }
    expect(tenant.condition('k', 'ResolvedRefs')).toBe('False/SecretNotFound');
    expect(tenant.condition('k', 'KeyGenerated')).toBe('False/InvalidKey');
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
  });

  it.each([
    ['truncated', async () => '-----BEGIN PRIVATE KEY-----\nMIIEv'],
    [
      'replaced by another key',
      async () => (await generateDkimKey({ algorithm: 'RSA', bits: 1024 })).privateKeyPem,
    ],
  ])('X9: a key that is %s is not signed with', async (_title, makePem) => {
    const tenant = await verifiedTenant();
    const stored = tenant.secrets.get('postern-dkim-k');
    if (stored === undefined) throw new Error('no Secret');
    const broken = secretOf(stored.name, { 'tls.key': await makePem() }, stored.labels, stored.annotations);
    tenant.secrets.set(stored.name, broken);
    const translation = tenant.compile();
    expect(tenant.condition('k', 'KeyGenerated')).toBe('False/InvalidKey');
    expect(translation.privateKeys).toEqual({});
    expect(translation.wants).toEqual([]);
    tenant.secrets.set(stored.name, stored);
    expect(Object.keys(tenant.compile().privateKeys)).toEqual(['a.test/postern']);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
  });

  /** A Secret of a user's with a fresh key. */
  async function broughtSecret() {
    const { privateKeyPem } = await generateDkimKey({ algorithm: 'RSA', bits: 1024 });
    return secretOf('mine', { 'tls.key': privateKeyPem }, { 'postern.dev/use': 'dkim-key' });
  }

  it('K9: a brought key that changes before it was published begins a new authentication', async () => {
    const tenant = new Tenant([dkimKeyOf('k', { secretName: 'mine' })]);
    tenant.secrets.set('mine', await broughtSecret());
    await tenant.reconcile();
    tenant.answer('k', { result: 'ValueMismatch', detail: 'p= holds another key' });
    await tenant.reconcile();
    const before = tenant.status('k').dnsRecord?.value;
    tenant.secrets.set('mine', await broughtSecret());
    tenant.now += hour;
    expect(checksOf(await tenant.reconcile())).toMatchObject([{ due: tenant.now }]);
    expect(tenant.status('k').dnsRecord?.value).not.toBe(before);
    expect(tenant.status('k')).toMatchObject({ attempts: 0, deadlineTime: '2026-03-04T01:00:00Z' });
    expect(tenant.condition('k', 'Published')).toBe('Unknown/Pending');
  });

  it('X9: a brought key that changes after it was published is InvalidKey', async () => {
    const tenant = new Tenant([dkimKeyOf('k', { secretName: 'mine' })]);
    tenant.secrets.set('mine', await broughtSecret());
    await tenant.reconcile();
    tenant.answer('k', match);
    await tenant.reconcile();
    tenant.secrets.set('mine', await broughtSecret());
    expect((await tenant.reconcile()).privateKeys).toEqual({});
    expect(tenant.condition('k', 'KeyGenerated')).toBe('False/InvalidKey');
  });

  it('X9: a made key that was replaced before it was published is InvalidKey', async () => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    await tenant.reconcile();
    const made = tenant.secrets.get('postern-dkim-k');
    const data = (await broughtSecret()).data;
    if (made !== undefined) tenant.secrets.set(made.name, { ...made, data });
    expect((await tenant.reconcile()).wants).toEqual([]);
    expect(tenant.condition('k', 'KeyGenerated')).toBe('False/InvalidKey');
  });

  it('a private key shows in no status, want or printed snapshot', async () => {
    const tenant = await verifiedTenant();
    const { results, wants, signers, revisions } = tenant.compile();
    const shown = [
      JSON.stringify([[...results], wants, [...signers], revisions, tenant.snapshot()]),
      inspect([results, wants, signers, tenant.snapshot()], {
        depth: 20,
        showHidden: true,
        maxStringLength: null,
      }),
    ].join();
    const pem = Buffer.from(tenant.secrets.get('postern-dkim-k')?.data['tls.key']?.reveal() ?? []).toString();
    expect(pem).toContain('PRIVATE KEY');
    expect(shown).not.toContain('PRIVATE KEY');
    for (const line of pem.split('\n').slice(1, -2)) expect(shown).not.toContain(line);
    expect(shown).not.toContain(Buffer.from(pem).toString('base64').slice(0, 40));
    expect(shown).toContain('[redacted]');
  });
});

describe('verification', () => {
  it('K7: with OnRequest nobody asks DNS until requestId is set', async () => {
    const tenant = new Tenant([dkimKeyOf('k', { verification: { mode: 'OnRequest' } })]);
    expect(checksOf(await tenant.reconcile())).toEqual([]);
    expect(tenant.condition('k', 'Published')).toBe('False/AwaitingRequest');
    expect(tenant.status('k').dnsRecord).toBeDefined();
    tenant.edit('k', { verification: { mode: 'OnRequest', requestId: '1', scope: 'Authoritative' } });
    expect(checksOf(await tenant.reconcile())).toMatchObject([
      { due: tenant.now, host: 'postern._domainkey.a.test' },
    ]);
    expect(tenant.status('k').observedRequestId).toBe('1');
  });

  it('K7: a new requestId looks at once, whatever the next check was, and begins the 72 hours anew', async () => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    await tenant.reconcile();
    tenant.answer('k', missing);
    await tenant.reconcile();
    const began = tenant.status('k').deadlineTime;
    tenant.now += 5 * second;
    tenant.edit('k', { verification: { mode: 'Automatic', requestId: 'again', scope: 'Authoritative' } });
    expect(checksOf(await tenant.reconcile())).toMatchObject([{ due: tenant.now }]);
    expect(tenant.status('k')).toMatchObject({ attempts: 0, observedRequestId: 'again' });
    expect(Date.parse(tenant.status('k').deadlineTime ?? '') - Date.parse(began ?? '')).toBe(5 * second);
    expect(tenant.condition('k', 'Published')).toBe('False/RecordNotFound');
  });

  it('K7: an answer to a question asked before the request does not count as its answer', async () => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    await tenant.reconcile();
    tenant.answer('k', missing);
    tenant.now += 5 * second;
    tenant.edit('k', { verification: { mode: 'Automatic', requestId: 'again', scope: 'Authoritative' } });
    await tenant.reconcile();
    expect(tenant.status('k')).toMatchObject({ attempts: 0 });
    expect(tenant.condition('k', 'Published')).toBe('Unknown/Pending');
  });

  it('K8: a key is rendered for signing only after its record was found', async () => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    const before = await tenant.reconcile();
    expect([before.signers.size, before.privateKeys]).toEqual([0, {}]);
    expect(tenant.condition('k', 'Signing')).toBe('False/NotPublished');
    tenant.answer('k', match, match);
    const after = await tenant.reconcile();
    const { publicKeySHA256, verifiedTime } = tenant.status('k');
    expect(after.signers.get('a.test')).toEqual([
      {
        source: { kind: 'DkimKey', name: 'k', generation: 1 },
        domain: 'a.test',
        selector: 'postern',
        algorithm: 'RSA',
        publicKeySHA256,
        fallback: false,
      },
    ]);
    expect(after.privateKeys['a.test/postern']).toContain('PRIVATE KEY');
    expect(after.revisions).toEqual({ 'a.test/postern': '1' });
    expect(verifiedTime).toBe('2026-03-01T00:00:00Z');
    expect(tenant.status('k').deadlineTime).toBeUndefined();
    // As far as the key goes; the pods are asked by confirmSigning.
    expect(tenant.condition('k', 'Signing')).toBe('True/Signing');
    expect(checksOf(after)[0]?.due).toBeGreaterThan(tenant.now + 22 * hour);
  });

  it('K8: with verification Disabled a key is taken as published', async () => {
    const tenant = new Tenant([dkimKeyOf('k', { verification: { mode: 'Disabled' } })]);
    const translation = await tenant.reconcile();
    expect(tenant.condition('k', 'Published')).toBe('True/VerificationDisabled');
    expect(checksOf(translation)).toEqual([]);
    expect(translation.signers.get('a.test')).toHaveLength(1);
  });

  it.each([
    ['False/RecordNotFound', [missing, missing]],
    ['False/PartiallyPropagated', [match, missing]],
    ['False/ValueMismatch', [missing, { result: 'ValueMismatch', detail: 'x' }]],
    ['False/MultipleRecords', [{ result: 'MultipleRecords', detail: 'x' }]],
    ['False/Revoked', [{ result: 'Revoked', detail: 'x' }]],
    ['False/KeyTooShort', [{ result: 'KeyTooShort', detail: 'x' }]],
    ['False/CnameLoop', [{ result: 'CnameLoop', detail: 'x' }]],
    ['Unknown/ResolverError', [silent, match]],
    ['Unknown/ResolverError', []],
    ['False/RecordNotFound', [silent, missing]],
  ] as const)('K9: Published=%s', async (expected, answers) => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    await tenant.reconcile();
    tenant.answer('k', ...answers);
    const translation = await tenant.reconcile();
    expect(tenant.condition('k', 'Published')).toBe(expected);
    expect(translation.signers.size).toBe(0);
    expect(tenant.status('k').nameservers?.map(({ result }) => result)).toEqual(
      answers.map(({ result }) => result),
    );
  });

  it('K9: checks wait 30 s, then twice as long up to 30 min; after 72 h they are hourly and the reason PropagationTimeout', async () => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    await tenant.reconcile();
    const started = tenant.now;
    const gaps: number[] = [];
    const limit = started + 80 * hour;
    while (tenant.now < limit && gaps.length < 300) {
      gaps.push((await failNextCheck(tenant)) / second);
      const late = tenant.now - started >= 72 * hour;
      expect(tenant.condition('k', 'Published')).toBe(
        late ? 'False/PropagationTimeout' : 'False/RecordNotFound',
      );
    }
    expect(gaps.slice(0, 9)).toEqual([0, 30, 60, 120, 240, 480, 960, 1800, 1800]);
    expect(gaps.slice(-5)).toEqual([3600, 3600, 3600, 3600, 3600]);
    expect(tenant.status('k').attempts).toBe(gaps.length);
    expect(Date.parse(tenant.status('k').deadlineTime ?? '')).toBe(started + 72 * hour);

    tenant.now += 10 * second;
    tenant.edit('k', { verification: { mode: 'Automatic', requestId: 'again', scope: 'Authoritative' } });
    expect(checksOf(await tenant.reconcile())).toMatchObject([{ due: tenant.now }]);
    expect(tenant.condition('k', 'Published')).toBe('Unknown/Pending');
  });

  it('K9: the deadline passes without a check, too', async () => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    await tenant.reconcile();
    tenant.answer('k', missing);
    await tenant.reconcile();
    tenant.now += 73 * hour;
    await tenant.reconcile();
    expect(tenant.condition('k', 'Published')).toBe('False/PropagationTimeout');
    expect(tenant.message('k', 'Published')).toContain('there is no TXT record');
  });

  it('X15: name servers that do not answer never flip a key that was verified', async () => {
    const tenant = await verifiedTenant();
    const gap = await failNextCheck(tenant, silent);
    expect(gap).toBeGreaterThan(22 * hour);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
    expect(await failNextCheck(tenant, silent)).toBe(30 * second);
    expect(await failNextCheck(tenant, silent)).toBe(60 * second);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
  });

  it('K16: a lost record says so and signs on; no answer later changes neither', async () => {
    const tenant = await verifiedTenant();
    await failNextCheck(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/RecordLost');
    expect(tenant.compile().signers.get('a.test')).toHaveLength(1);
    await failNextCheck(tenant, silent);
    expect(tenant.condition('k', 'Published')).toBe('False/RecordLost');
    tenant.now = Date.parse(tenant.status('k').nextCheckTime ?? '');
    tenant.answer('k', match);
    await tenant.reconcile();
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
    expect(tenant.status('k').verifiedTime).toBe('2026-03-01T00:00:00Z');
  });

  it('K16: a restore without status goes on signing', async () => {
    const tenant = await verifiedTenant();
    expect(tenant.secrets.get('postern-dkim-k')?.annotations['postern.dev/verified-time']).toBe(
      '2026-03-01T00:00:00Z',
    );
    tenant.dkimKeys.set('k', dkimKeyOf('k'));
    tenant.observations.clear();
    tenant.now += 100 * hour;
    const translation = tenant.compile();
    expect(translation.signers.get('a.test')).toHaveLength(1);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
    expect(tenant.status('k').verifiedTime).toBe('2026-03-01T00:00:00Z');
    expect(checksOf(translation)).toMatchObject([{ due: tenant.now }]);
  });

  it('K14: the record of a Retired key may go: it is not found, and nothing is lost', async () => {
    const tenant = await verifiedTenant({ state: 'Retired' });
    await failNextCheck(tenant);
    expect(tenant.condition('k', 'Published')).toBe('False/RecordNotFound');
  });

  it('K7: a request within the second of the last check is looked at in the next, since statuses know whole seconds', async () => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    await tenant.reconcile();
    tenant.answer('k', missing);
    await tenant.reconcile();
    tenant.edit('k', { verification: { mode: 'Automatic', requestId: 'again', scope: 'Authoritative' } });
    expect(checksOf(await tenant.reconcile())).toMatchObject([{ due: tenant.now + second }]);
  });

  it('K9: the state outlives the operator: without its observation the status says the same', async () => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    await tenant.reconcile();
    tenant.answer('k', missing, { result: 'ValueMismatch', detail: 'p= holds another key' });
    await tenant.reconcile();
    const before = tenant.status('k');
    tenant.observations.clear();
    tenant.now += second;
    await tenant.reconcile();
    expect(tenant.status('k')).toEqual(before);
  });

  it('an answer counts once, and only for the host and key that were asked about', async () => {
    const tenant = new Tenant([dkimKeyOf('k')]);
    await tenant.reconcile();
    tenant.answer('k', missing);
    for (const _reconcile of [1, 2, 3]) await tenant.reconcile();
    expect(tenant.status('k').attempts).toBe(1);
    tenant.now += 30 * second;
    tenant.answer('k', match);
    const observation = tenant.observations.get('k');
    if (observation === undefined) throw new Error('no observation');
    tenant.observations.set('k', { ...observation, publicKeySHA256: '0'.repeat(64) });
    await tenant.reconcile();
    expect(tenant.condition('k', 'Published')).toBe('False/RecordNotFound');
    tenant.observations.set('k', { ...observation, host: 'other._domainkey.a.test' });
    await tenant.reconcile();
    expect(tenant.status('k').attempts).toBe(1);
  });

  it('X25: a clock that was set back puts no check off for more than a day', async () => {
    const tenant = await verifiedTenant();
    tenant.now -= 1000 * hour;
    const [check] = checksOf(await tenant.reconcile());
    expect(check?.due).toBeLessThanOrEqual(tenant.now + 24 * hour);
    expect(tenant.condition('k', 'Published')).toBe('True/RecordVerified');
    tenant.now = check?.due ?? 0;
    tenant.answer('k', missing);
    await tenant.reconcile();
    expect(tenant.condition('k', 'Published')).toBe('False/RecordLost');
  });

  it('writes nothing while nothing changes', async () => {
    const tenant = await verifiedTenant();
    await tenant.reconcile();
    const before = structuredClone(tenant.status('k'));
    tenant.now += hour;
    await tenant.reconcile();
    expect(tenant.status('k')).toEqual(before);
  });
});

describe('single places', () => {
  const old = { creationTimestamp: '2025-01-01T00:00:00Z' };

  it('K15: two keys of one domain and selector: the older has the record, upper and lower case are one', async () => {
    const tenant = new Tenant([
      dkimKeyOf('new', { selector: 'Mail' }),
      dkimKeyOf('old', { selector: 'mail' }, old),
    ]);
    const translation = await tenant.reconcile();
    expect(tenant.condition('old', 'Accepted')).toBe('True/Accepted');
    expect(tenant.condition('new', 'Accepted')).toBe('False/Conflicted');
    expect(tenant.message('new', 'Accepted')).toContain('DkimKey old');
    expect(tenant.condition('new', 'Signing')).toBe('False/Conflicted');
    expect([...tenant.secrets.keys()]).toEqual(['postern-dkim-old']);
    expect(checksOf(translation)).toHaveLength(1);
    tenant.dkimKeys.delete('old');
    await tenant.reconcile();
    expect(tenant.condition('new', 'Accepted')).toBe('True/Accepted');
    expect(tenant.condition('new', 'KeyGenerated')).toBe('True/KeyGenerated');
  });

  it('K15: one Active key per algorithm; RSA and Ed25519 sign side by side', async () => {
    const tenant = new Tenant([
      dkimKeyOf('one', { selector: 'one' }, old),
      dkimKeyOf('two', { selector: 'two' }),
      dkimKeyOf('three', { selector: 'three', algorithm: 'Ed25519' }),
    ]);
    await tenant.reconcile();
    for (const name of ['one', 'two', 'three']) tenant.answer(name, match);
    const translation = await tenant.reconcile();
    expect(translation.signers.get('a.test')?.map(({ selector }) => selector)).toEqual(['one', 'three']);
    expect(tenant.condition('two', 'Accepted')).toBe('False/Conflicted');
    expect(tenant.condition('two', 'Signing')).toBe('False/Superseded');
    expect(tenant.condition('two', 'Published')).toBe('True/RecordVerified');
    tenant.edit('one', { state: 'Retired' });
    const rotated = await tenant.reconcile();
    expect(rotated.signers.get('a.test')?.map(({ selector }) => selector)).toEqual(['three', 'two']);
    expect(tenant.condition('one', 'Signing')).toBe('False/Retired');
  });

  it('K14: a Standby key is published and does not sign', async () => {
    const tenant = await verifiedTenant({ state: 'Standby' });
    expect(tenant.compile().signers.size).toBe(0);
    expect(tenant.condition('k', 'Signing')).toBe('False/Standby');
  });

  it('K13: a Platform domain takes no key, and no record is looked for', async () => {
    const tenant = new Tenant([dkimKeyOf('k')], [mailDomainOf('a', { ownership: 'Platform' })]);
    const translation = await tenant.reconcile();
    expect(tenant.condition('k', 'Accepted')).toBe('False/UnavailableOnPlatformDomain');
    expect(translation.wants).toEqual([]);
    expect(tenant.secrets.size).toBe(0);
  });

  it('K17: a Platform domain takes a fallback key; of two for one MTA the older wins', async () => {
    const platform = { ownership: 'Platform' };
    const tenant = new Tenant(
      [
        dkimKeyOf('new', { fallback: true, domainRef: { name: 'b' } }),
        dkimKeyOf('old', { fallback: true }, old),
      ],
      [mailDomainOf('a', platform), mailDomainOf('b', platform)],
    );
    await tenant.reconcile();
    for (const name of ['old', 'new']) tenant.answer(name, match);
    const translation = await tenant.reconcile();
    expect(translation.signers.get('a.test')).toMatchObject([{ fallback: true }]);
    expect(translation.signers.has('b.test')).toBe(false);
    expect(tenant.condition('new', 'Accepted')).toBe('False/Conflicted');
    expect(tenant.message('new', 'Accepted')).toContain('DkimKey old');
  });

  it('a key without its MailDomain waits, keeps what is known, and takes no place', async () => {
    const tenant = await verifiedTenant();
    const before = tenant.status('k');
    tenant.domains.clear();
    const translation = tenant.compile();
    expect(tenant.condition('k', 'ResolvedRefs')).toBe('False/DomainNotFound');
    expect([translation.signers.size, translation.wants]).toEqual([0, []]);
    tenant.domains.set('a', mailDomainOf('a'));
    expect((await tenant.reconcile()).signers.get('a.test')).toHaveLength(1);
    expect({ ...tenant.status('k'), conditions: [] }).toEqual({ ...before, conditions: [] });
  });

  it('a host name that DNS cannot hold is Invalid', async () => {
    const domain = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.test`;
    const tenant = new Tenant(
      [dkimKeyOf('k', { selector: 's'.repeat(63) })],
      [mailDomainOf('a', { domain })],
    );
    await tenant.reconcile();
    expect(tenant.condition('k', 'Accepted')).toBe('False/Invalid');
  });
});
