import { describe, expect, test } from 'vitest';
import { toCachedClaim, toCachedPod, toCachedWorkload } from './cached.ts';
import { queueClaims, strandedQueues } from './queue-claims.ts';
import type { Resource } from './runtime/resource.ts';

const object = (kind: string, name: string, more: object = {}): Resource => ({
  apiVersion: 'v1',
  kind,
  metadata: {
    name,
    namespace: 'mail',
    uid: name,
    resourceVersion: '1',
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: { 'postern.dev/mta': 'default' },
    ...more,
  },
});
const workload = toCachedWorkload({
  ...object('StatefulSet', 'mail'),
  spec: { replicas: 1, template: {} },
});
const claim = (name: string, queued?: string) =>
  toCachedClaim(
    object('PersistentVolumeClaim', name, {
      annotations: queued === undefined ? {} : { 'postern.dev/queued': queued },
    }),
  );
const pod = (name: string, message?: string) =>
  toCachedPod({
    ...object('Pod', name),
    spec: {},
    status: {
      containerStatuses: [
        { state: message === undefined ? { running: {} } : { terminated: { exitCode: 0, message } } },
      ],
    },
  });

/** What is told of the claims, by their names. */
function told(
  claims: readonly ReturnType<typeof claim>[],
  pods: readonly ReturnType<typeof pod>[] = [],
  left: Record<string, number> = {},
): Record<string, number | undefined> {
  const found = queueClaims(workload, claims, pods, new Map(Object.entries(left)));
  return Object.fromEntries(strandedQueues(found).map(({ claim: name, queued }) => [name, queued]));
}

describe('X12: queues that a scale-down leaves behind', () => {
  test('a claim beyond the replicas whose pod is gone, unless it is known to be empty', () => {
    const claims = ['spool-mail-0', 'spool-mail-1', 'spool-mail-2'].map((name) => claim(name));
    expect(told(claims)).toEqual({ 'spool-mail-1': undefined, 'spool-mail-2': undefined });
    expect(told(claims, [], { 'mail-1': 0, 'mail-2': 7 })).toEqual({ 'spool-mail-2': 7 });
    expect(told([claim('spool-mail-1', '0'), claim('spool-mail-2', '7')])).toEqual({ 'spool-mail-2': 7 });
    expect(told([claim('spool-mail-1', 'none')])).toEqual({ 'spool-mail-1': undefined });
  });

  test('no claim whose pod is there: it may be handing over', () => {
    const claims = [claim('spool-mail-1', '7')];
    expect(told(claims, [pod('mail-1')])).toEqual({});
    expect(told(claims, [pod('mail-1', '{"queued":7}')])).toEqual({});
    // The note is out of date, and goes.
    expect(queueClaims(workload, claims, [pod('mail-1')], new Map())).toMatchObject([{ queued: undefined }]);
  });

  test('no claim of another StatefulSet, and none that is called otherwise', () => {
    const other = { ...claim('spool-mail-1'), mta: 'other' };
    expect(told([other, claim('spool-othermail-1'), claim('spool-mail-x'), claim('mail-1')])).toEqual({});
  });

  test.each([
    ['{"queued":12}', 12],
    ['{"queued":-1}', undefined],
    ['', undefined],
    ['panic', undefined],
  ])('last words of a pod: %s', (message, left) => {
    expect(pod('mail-1', message).left).toBe(left);
  });
});
