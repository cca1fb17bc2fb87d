import { describe, expect, it } from 'vitest';
import { parseDocuments } from './documents.ts';

const manifest = `# head
apiVersion: postern.dev/v1alpha1
kind: IpAccessList
spec:
  entries:
  - address: 192.0.2.1
    note: first
  - address: 192.0.2.2
  addresses: [192.0.2.3,
    192.0.2.4]
`;

describe('parseDocuments', () => {
  it('finds the line and column of a field, of a list item, and of what is nearest to a missing one', () => {
    const [document] = parseDocuments('lists/a.yaml', manifest).documents;
    const at = (...path: (string | number)[]) => {
      const { line, column } = document?.locate(path) ?? { line: 0, column: 0 };
      return `${line}:${column}`;
    };
    expect(at('spec', 'entries', 1, 'address')).toBe('8:14');
    expect(at('spec', 'entries', 0)).toBe('6:5');
    expect(at('spec', 'addresses', 1)).toBe('10:5');
    expect(at('spec', 'action')).toBe('4:1');
    expect(at()).toBe('2:1');
    expect(document?.locate([]).file).toBe('lists/a.yaml');
  });

  it('a document that is no YAML hides none of its neighbours, and is named by its place', () => {
    const { documents, broken } = parseDocuments('a.yaml', 'kind: A\n---\nkind: [B\n---\nkind: C\n');
    expect(documents.map(({ value }) => value)).toEqual([{ kind: 'A' }, { kind: 'C' }]);
    expect(broken.map(({ position }) => position.line)).toEqual([4]);
  });

  it('reads as kubectl does: an unquoted NO is a boolean, times and colons stay text', () => {
    const [document] = parseDocuments(
      'a.yaml',
      'a: NO\nb: 2026-01-01T00:00:00Z\nc: 1:2:3:4:5:6:7:8\nd: "NO"\n',
    ).documents;
    expect(document?.value).toEqual({ a: false, b: '2026-01-01T00:00:00Z', c: '1:2:3:4:5:6:7:8', d: 'NO' });
  });

  it('a key that stands twice is refused', () => {
    expect(parseDocuments('a.yaml', 'kind: A\nkind: B\n').broken).toHaveLength(1);
  });

  it('an alias bomb is refused, and not blown up', () => {
    const levels = Array.from(
      { length: 12 },
      (_, level) => `l${level + 1}: &l${level + 1} [${Array(9).fill(`*l${level}`).join(', ')}]`,
    );
    const { documents, broken } = parseDocuments('a.yaml', `l0: &l0 x\n${levels.join('\n')}\n`);
    expect(documents).toEqual([]);
    expect(broken).toHaveLength(1);
  });

  it('the items of a List are documents of their own, at their own places', () => {
    const { documents } = parseDocuments(
      'a.yaml',
      'apiVersion: v1\nkind: List\nitems:\n- kind: A\n- kind: B\n  x: 1\n',
    );
    expect(documents.map(({ value }) => value)).toEqual([{ kind: 'A' }, { kind: 'B', x: 1 }]);
    expect(documents[1]?.locate(['x'])).toEqual({ file: 'a.yaml', line: 6, column: 6 });
  });

  it('JSON and an empty document are read', () => {
    expect(parseDocuments('a.json', '{"kind": "A"}').documents.map(({ value }) => value)).toEqual([
      { kind: 'A' },
    ]);
    expect(parseDocuments('a.yaml', '---\n---\n')).toEqual({ documents: [], broken: [] });
  });
});
