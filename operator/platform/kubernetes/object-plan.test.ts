import { describe, expect, test } from 'vitest';
import { type Owner, ownedBy, planObject, renderedLabels, type StoredObject } from './object-plan.ts';
import { fileDigest, type RenderedObject } from './rendered-objects.ts';

const owner: Owner = { mta: 'default', name: 'mail', uid: 'uid-1' };
const bytes = (text: string) => new TextEncoder().encode(text);
const newFile = '03-0123456789ab.json.gz';
const oldFile = '03-ba9876543210.json.gz';

const shard = (files: Record<string, string>): RenderedObject => ({
  kind: 'ConfigMap',
  name: 'postern-default-03',
  role: 'shard',
  files: new Map(Object.entries(files).map(([name, text]) => [name, bytes(text)])),
});

const stored = (
  files: Record<string, string>,
  metadata: Partial<StoredObject['metadata']> = {},
): StoredObject => ({
  metadata: {
    name: 'postern-default-03',
    namespace: 'team',
    uid: 'u',
    resourceVersion: '7',
    labels: renderedLabels('default'),
    ownerReferences: ownedBy(owner, []),
    ...metadata,
  },
  digests: new Map(Object.entries(files).map(([name, text]) => [name, fileDigest(bytes(text))])),
  immutable: false,
});

const never = () => false;
const always = () => true;

describe('planObject', () => {
  test('creates what is missing, and no empty shard', () => {
    expect(planObject(shard({ [newFile]: 'a' }), undefined, owner, never)).toEqual({ action: 'create' });
    expect(planObject(shard({}), undefined, owner, never)).toEqual({ action: 'none' });
  });

  test('writes nothing when all is equal', () => {
    expect(planObject(shard({ [newFile]: 'a' }), stored({ [newFile]: 'a' }), owner, never)).toEqual({
      action: 'none',
    });
  });

  test('puts the new file beside the old one while a pod may need it, and drops it afterwards', () => {
    const rendered = shard({ [newFile]: 'new' });
    expect(planObject(rendered, stored({ [oldFile]: 'old' }), owner, always)).toEqual({
      action: 'replace',
      keep: [oldFile],
    });
    expect(planObject(rendered, stored({ [oldFile]: 'old', [newFile]: 'new' }), owner, always)).toEqual({
      action: 'none',
    });
    expect(planObject(rendered, stored({ [oldFile]: 'old', [newFile]: 'new' }), owner, never)).toEqual({
      action: 'replace',
      keep: [],
    });
  });

  test('removes a shard when its last file is needed no more', () => {
    expect(planObject(shard({}), stored({ [oldFile]: 'old' }), owner, always)).toEqual({ action: 'none' });
    expect(planObject(shard({}), stored({ [oldFile]: 'old' }), owner, never)).toEqual({ action: 'remove' });
  });

  test('X10: changed bytes and foreign keys are replaced', () => {
    const rendered = shard({ [newFile]: 'a' });
    expect(planObject(rendered, stored({ [newFile]: 'edited' }), owner, never)).toEqual({
      action: 'replace',
      keep: [],
    });
    expect(planObject(rendered, stored({ [newFile]: 'a', 'evil.json': 'x' }), owner, always)).toEqual({
      action: 'replace',
      keep: [],
    });
  });

  test('X10: a stripped label or owner comes back', () => {
    const rendered = shard({ [newFile]: 'a' });
    expect(planObject(rendered, stored({ [newFile]: 'a' }, { labels: {} }), owner, never)).toEqual({
      action: 'replace',
      keep: [],
    });
    expect(planObject(rendered, stored({ [newFile]: 'a' }, { ownerReferences: [] }), owner, never)).toEqual({
      action: 'replace',
      keep: [],
    });
  });

  test('an object without any mark of ours is never overwritten nor removed', () => {
    const foreign = stored({ [newFile]: 'a' }, { labels: {}, ownerReferences: [] });
    expect(planObject(shard({ [newFile]: 'a' }), foreign, owner, never)).toMatchObject({
      action: 'refuse',
      reason: expect.stringContaining('ConfigMap postern-default-03 exists'),
    });
    expect(planObject(shard({}), foreign, owner, never)).toEqual({ action: 'none' });
  });

  test('an object of another MTA is foreign', () => {
    const other = stored({ [newFile]: 'a' }, { labels: renderedLabels('other'), ownerReferences: [] });
    expect(planObject(shard({ [newFile]: 'a' }), other, owner, never)).toMatchObject({ action: 'refuse' });
  });

  test('after the StatefulSet was made anew, the new one becomes the owner', () => {
    const before = ownedBy({ ...owner, uid: 'uid-0' }, [
      { apiVersion: 'v1', kind: 'Thing', name: 't', uid: 't' },
    ]);
    expect(
      planObject(
        shard({ [newFile]: 'a' }),
        stored({ [newFile]: 'a' }, { ownerReferences: before }),
        owner,
        never,
      ),
    ).toEqual({
      action: 'replace',
      keep: [],
    });
    expect(ownedBy(owner, before).map(({ uid }) => uid)).toEqual(['t', 'uid-1']);
  });
});
