import { deflateRawSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { goModuleHash, zipEntries } from './zip.ts';

/** A zip archive as APPNOTE.TXT 4.3 describes it, with extra fields and a comment, which a reader must step over. */
function zip(files: readonly { name: string; content: string; deflate: boolean }[]): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content, deflate } of files) {
    const packed = deflate ? deflateRawSync(content) : Buffer.from(content);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50);
    local.writeUInt16LE(name.length, 26);
    local.writeUInt16LE(4, 28);
    const record = Buffer.concat([local, Buffer.from(name), Buffer.alloc(4), packed]);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50);
    entry.writeUInt16LE(deflate ? 8 : 0, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt16LE(6, 30);
    entry.writeUInt32LE(offset, 42);
    directory.push(entry, Buffer.from(name), Buffer.alloc(6));
    locals.push(record);
    offset += record.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(7, 20);
  return Buffer.concat([...locals, ...directory, end, Buffer.from('comment')]);
}

const files = [
  { name: 'example.com/m@v1.0.0/a.txt', content: 'stored', deflate: false },
  { name: 'example.com/m@v1.0.0/B.txt', content: 'deflated '.repeat(100), deflate: true },
];

test('stored and deflated entries are read', () => {
  const entries = zipEntries(zip(files));
  expect(entries.map((entry) => [entry.name, entry.read().toString()])).toEqual(
    files.map(({ name, content }) => [name, content]),
  );
});

test('the Go hash depends on names and contents, not on order or packing', () => {
  const hash = goModuleHash(zipEntries(zip(files)));
  expect(hash).toMatch(/^h1:[A-Za-z0-9+/]{43}=$/);
  expect(
    goModuleHash(zipEntries(zip([...files].reverse().map((file) => ({ ...file, deflate: true }))))),
  ).toBe(hash);
  const [first, ...others] = files;
  expect(
    goModuleHash(
      zipEntries(zip([{ name: first?.name ?? '', content: 'changed', deflate: false }, ...others])),
    ),
  ).not.toBe(hash);
});

test('what is no zip archive is refused', () => {
  expect(() => zipEntries(Buffer.from('<html>not found</html>'.repeat(10)))).toThrow('not a zip archive');
  expect(() => zipEntries(Buffer.alloc(3))).toThrow('not a zip archive');
});
