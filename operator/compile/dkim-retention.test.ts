import { describe, expect, test } from 'vitest';
import { type PosternObject, parseObject } from '../api/index.ts';
import { retentionWants, retiredUntil } from './dkim-retention.ts';
import { keyAnnotations, keyFinalizer } from './dkim-secret.ts';
import type { SecretRecord, Snapshot, Want } from './model.ts';
import { entriesOf } from './objects.ts';

const now = Date.parse('2026-11-25T12:00:00Z');
const soon = retiredUntil(now);
const past = '2026-11-25T11:59:59Z';
const deleted = { deletionTimestamp: '2026-11-25T12:00:00Z' };
const held = { finalizers: [keyFinalizer] };

function dkimKey(metadata: object, spec: object = { secretRetention: 'Delete' }): PosternObject {
  const parsed = parseObject('DkimKey', {
    apiVersion: 'postern.dev/v1alpha1',
    kind: 'DkimKey',
    metadata: { name: 'key', namespace: 'acme', ...metadata },
    spec: { domainRef: { name: 'a' }, ...spec },
    status: { domain: 'a.example' },
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.object;
}

function keySecret(annotations: Record<string, string> = {}, labels: object = {}): SecretRecord {
  return {
    name: 'postern-dkim-key',
    type: 'Opaque',
    labels: { 'app.kubernetes.io/managed-by': 'postern', 'postern.dev/use': 'dkim-key', ...labels },
    annotations: {
      [keyAnnotations.domain]: 'a.example',
      [keyAnnotations.selector]: 'postern',
      ...annotations,
    },
    revision: '7',
    data: {},
  };
}

const noted = (time: string) => ({ [keyAnnotations.deleteAfter]: time });

function wants(objects: readonly PosternObject[], secrets: readonly SecretRecord[]): Want[] {
  const snapshot: Snapshot = {
    namespace: 'acme',
    objects,
    secrets,
    configMaps: [],
    mtas: [],
    observed: { pods: [], dkim: [], routeProbes: {} },
    now,
    options: { clusterDomain: 'cluster.local', allowedRouteRanges: [] },
  };
  return retentionWants(entriesOf(snapshot), snapshot);
}

describe('K5: secretRetention', () => {
  test('Retain, the default, and a key that was brought need no finalizer', () => {
    expect(wants([dkimKey({}, {})], [keySecret()])).toEqual([]);
    expect(wants([dkimKey({}, { secretRetention: 'Delete', secretName: 'mine' })], [])).toEqual([]);
  });

  test('Delete sets a finalizer once, and Retain takes it away again', () => {
    expect(wants([dkimKey({})], [])).toEqual([{ kind: 'keyFinalizer', dkimKey: 'key', present: true }]);
    expect(wants([dkimKey(held)], [])).toEqual([]);
    expect(wants([dkimKey(held, {})], [])).toEqual([
      { kind: 'keyFinalizer', dkimKey: 'key', present: false },
    ]);
  });

  test('a deletion is noted on the Secret first; the object goes when the note is there', () => {
    expect(wants([dkimKey({ ...held, ...deleted })], [keySecret()])).toEqual([
      { kind: 'retireKey', secretName: 'postern-dkim-key', deleteAfter: '2026-11-25T12:01:00.000Z' },
    ]);
    expect(wants([dkimKey({ ...held, ...deleted })], [keySecret(noted(soon))])).toEqual([
      { kind: 'keyFinalizer', dkimKey: 'key', present: false },
      { kind: 'recompile', due: now + 60_000 },
    ]);
  });

  test('the Secret goes when its time is over and nothing names it: this version of it', () => {
    expect(wants([], [keySecret(noted(soon))])).toEqual([{ kind: 'recompile', due: now + 60_000 }]);
    expect(wants([], [keySecret(noted(past))])).toEqual([
      { kind: 'deleteKey', secretName: 'postern-dkim-key', revision: '7' },
    ]);
  });

  test('a DkimKey that is made anew in the meantime, or later, keeps it', () => {
    for (const time of [soon, past]) {
      expect(wants([dkimKey(held)], [keySecret(noted(time))])).toEqual([
        { kind: 'keepKey', secretName: 'postern-dkim-key' },
      ]);
    }
    const other = dkimKey({ name: 'other' }, { secretName: 'postern-dkim-key' });
    expect(wants([other], [keySecret(noted(past))])).toEqual([
      { kind: 'keepKey', secretName: 'postern-dkim-key' },
    ]);
  });

  test.each([
    ['a Secret without a note, whoever misses its DkimKey', [keySecret()]],
    ['a Secret that is not a key of ours', [keySecret(noted(past), { 'postern.dev/use': 'accounts' })]],
  ])('%s stays', (_what, secrets) => {
    expect(wants([], secrets)).toEqual([]);
  });

  test('a note that is no time is taken away', () => {
    expect(wants([], [keySecret(noted('soon'))])).toEqual([
      { kind: 'keepKey', secretName: 'postern-dkim-key' },
    ]);
  });

  test('a Secret that was made for another record, or is gone, does not hold the object back', () => {
    const gone: Want[] = [{ kind: 'keyFinalizer', dkimKey: 'key', present: false }];
    const foreign = keySecret({ [keyAnnotations.domain]: 'b.example' });
    expect(wants([dkimKey({ ...held, ...deleted })], [foreign])).toEqual(gone);
    expect(wants([dkimKey({ ...held, ...deleted })], [])).toEqual(gone);
  });

  test('what a paused DkimKey says of its key counts', () => {
    const paused = { ...held, ...deleted, annotations: { 'postern.dev/paused': 'true' } };
    expect(wants([dkimKey(paused)], [keySecret()])).toMatchObject([{ kind: 'retireKey' }]);
  });
});
