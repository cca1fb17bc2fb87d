import { describe, expect, it } from 'vitest';
import { readContents } from './contents.ts';
import { parseDocuments } from './documents.ts';
import type { FolderFile } from './folder.ts';
import { folderProblemText } from './problem.ts';
import { emptyStore, type Store, updateStore } from './store.ts';

/** A folder, by file name. */
function folder(files: Record<string, string>): readonly FolderFile[] {
  return Object.entries(files).map(([path, text]) => ({ path, ...parseDocuments(path, text) }));
}

function list(name: string, spec: string, metadata = ''): string {
  return `apiVersion: postern.dev/v1alpha1
kind: IpAccessList
metadata: {name: ${name}${metadata}}
spec: {action: Block, allDomains: true, ${spec}}
`;
}

function read(files: Record<string, string>, store: Store = emptyStore, now = 0) {
  const contents = readContents(folder(files));
  return {
    contents,
    store: updateStore(store, contents, now),
    texts: contents.problems.map(folderProblemText),
  };
}

const generations = ({ objects }: Store) =>
  [...objects].map(([key, { generation }]) => `${key}@${generation}`);

describe('the folder as an API server', () => {
  it('a spec that changes raises the generation; comments, order and metadata do not', () => {
    const first = read({ 'a.yaml': list('l', 'addresses: [192.0.2.1]') });
    expect(generations(first.store)).toEqual(['IpAccessList/l@1']);
    const comment = read(
      { 'a.yaml': `# note\n${list('l', 'addresses: [192.0.2.1]', ', labels: {a: b}')}` },
      first.store,
    );
    expect(generations(comment.store)).toEqual(['IpAccessList/l@1']);
    const edited = read({ 'b.yaml': list('l', 'addresses: [192.0.2.2]') }, comment.store, 5_000);
    expect(generations(edited.store)).toEqual(['IpAccessList/l@2']);
    const [stored] = edited.store.objects.values();
    expect(stored?.object.metadata).toMatchObject({
      generation: 2,
      creationTimestamp: '1970-01-01T00:00:00Z',
    });
  });

  it('an object that turns bad keeps its last good version, and the problem names file, line, field and value', () => {
    const good = read({ 'a.yaml': list('l', 'addresses: [192.0.2.1]') });
    const bad = read({ 'a.yaml': list('l', 'addresses: [192.0.2.300]') }, good.store);
    expect(bad.store.objects.get('IpAccessList/l')).toBe(good.store.objects.get('IpAccessList/l'));
    expect(bad.texts).toHaveLength(1);
    expect(bad.texts[0]).toMatch(/^a\.yaml:4:53: IpAccessList\/l: spec\.addresses\[0\]: .*192\.0\.2\.300/);
  });

  it('a file that is no YAML keeps every object last seen in it, and none of another file', () => {
    const good = read({
      'a.yaml': list('one', 'addresses: [192.0.2.1]'),
      'b.yaml': list('two', 'addresses: [192.0.2.2]'),
    });
    const broken = read(
      { 'a.yaml': 'kind: [', 'c.yaml': list('three', 'addresses: [192.0.2.3]') },
      good.store,
    );
    expect(generations(broken.store)).toEqual(['IpAccessList/three@1', 'IpAccessList/one@1']);
  });

  it('an object that is gone from the folder is gone, and comes back as a new one', () => {
    const good = read({ 'a.yaml': list('l', 'addresses: [192.0.2.1]') });
    const gone = read({}, good.store);
    expect(generations(gone.store)).toEqual([]);
    const back = read({ 'a.yaml': list('l', 'addresses: [192.0.2.9]') }, gone.store, 9_000);
    expect([...back.store.objects.values()][0]).toMatchObject({
      generation: 1,
      creationTimestamp: '1970-01-01T00:00:09Z',
    });
  });

  it('an immutable field that changes makes a new object, since a folder cannot refuse', () => {
    const block = read({ 'a.yaml': list('l', 'addresses: [192.0.2.1]') });
    const allow = read(
      { 'a.yaml': list('l', 'addresses: [192.0.2.1]').replace('Block', 'Allow') },
      block.store,
      9_000,
    );
    expect([...allow.store.objects.values()][0]).toMatchObject({
      generation: 1,
      creationTimestamp: '1970-01-01T00:00:09Z',
    });
  });

  it('the same object in two files: the first is used, the second named', () => {
    const { store, texts } = read({ 'a.yaml': list('l', 'text: a'), 'b.yaml': list('l', 'text: b') });
    expect([...store.objects.values()][0]?.file).toBe('a.yaml');
    expect(texts).toEqual([
      expect.stringMatching(/^b\.yaml:3:18: IpAccessList\/l: metadata\.name: .*a\.yaml:3/),
    ]);
  });

  it('one namespace is served: the first that is named; documents of another are refused by name', () => {
    const files = {
      'a.yaml': list('l', 'text: a'),
      'b.yaml': list('m', 'text: b', ', namespace: acme'),
      'c.yaml': list('n', 'text: c', ', namespace: other'),
    };
    const { contents, store, texts } = read(files);
    expect(contents.namespace).toBe('acme');
    expect([...store.objects.values()].map(({ object }) => object.metadata.namespace)).toEqual([
      'acme',
      'acme',
    ]);
    expect(texts).toEqual([expect.stringContaining('c.yaml:3:')]);
  });

  it('foreign manifests are left alone, unknown kinds of ours and documents without a kind are named', () => {
    const { contents, texts } = read({
      'deploy.yaml': 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n',
      'kustomization.yaml': 'resources: [deploy.yaml]\n',
      'mta.yaml': 'heloName: mx.example.com\n',
      'typo.yaml': 'apiVersion: postern.dev/v1alpha1\nkind: MailDomian\nmetadata: {name: x}\n',
      'nothing.yaml': 'a: 1\n',
    });
    expect(contents.ignored).toEqual(['deploy.yaml: Deployment/x', 'kustomization.yaml']);
    expect(contents.settings?.value).toEqual({ heloName: 'mx.example.com' });
    expect(texts).toEqual([
      expect.stringMatching(/^typo\.yaml:2:\d+: .*MailDomian/),
      expect.stringMatching(/^nothing\.yaml:1:1/),
    ]);
  });

  it('no value of a Secret ever stands in a problem', () => {
    const { texts, store } = read({
      'a.yaml': 'apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\ndata: {password: "hunter2!"}\n',
      'b.yaml': 'apiVersion: v1\nkind: Secret\nmetadata: {name: good}\nstringData: {password: hunter2}\n',
    });
    expect(texts).toHaveLength(1);
    expect(texts.join()).not.toContain('hunter2');
    expect([...store.secrets.keys()]).toEqual(['good']);
  });

  it('G16: a paused object keeps what it was before its first paused edit, until it is resumed', () => {
    const paused = ', annotations: {postern.dev/paused: "true"}';
    const heldAt = ({ objects }: Store) => {
      const held = objects.get('IpAccessList/l')?.held;
      return held?.kind === 'IpAccessList' ? [held.metadata.generation, ...held.spec.addresses] : 'nothing';
    };
    const first = read({ 'a.yaml': list('l', 'addresses: [192.0.2.1]') });
    expect(heldAt(first.store)).toBe('nothing');
    const second = read({ 'a.yaml': list('l', 'addresses: [192.0.2.2]', paused) }, first.store);
    expect(heldAt(second.store)).toEqual([1, '192.0.2.1']);
    const third = read({ 'a.yaml': list('l', 'addresses: [192.0.2.3]', paused) }, second.store);
    expect(heldAt(third.store)).toEqual([1, '192.0.2.1']);
    expect(heldAt(read({ 'a.yaml': list('l', 'addresses: [192.0.2.3]') }, third.store).store)).toBe(
      'nothing',
    );
    const never = read({ 'a.yaml': list('l', 'addresses: [192.0.2.1]', paused) });
    expect(heldAt(never.store)).toBe('nothing');
  });
});
