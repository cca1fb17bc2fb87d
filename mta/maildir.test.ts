import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Maildirs, maildirOf, pathComponent } from './maildir.ts';
import { DirectorySync } from './outbound/directory-sync.ts';

test.each([
  ['user', 'user'],
  ['first.last+tag', 'first.last+tag'],
  ['../x', '%2E.%2Fx'],
  ['..', '%2E.'],
  ['.', '%2E'],
  ['', '%'],
  ['a/b', 'a%2Fb'],
  ['a%2Fb', 'a%252Fb'],
  ['a b', 'a%20b'],
  ['a\0b', 'a%00b'],
  ['ä', '%C3%A4'],
])('the local part %j becomes the path component %j', (text, component) => {
  expect(pathComponent(text)).toBe(component);
});

test('a path component never leaves its directory, whatever is in it, and two texts never share one', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 64 }),
      fc.string({ unit: 'binary', maxLength: 64 }),
      (one, two) => {
        const path = join('/root', pathComponent(one));
        expect(relative('/root', path)).toBe(pathComponent(one));
        expect(pathComponent(one)).not.toMatch(/[/\0]|^\./);
        if (Buffer.from(one).compare(Buffer.from(two)) !== 0)
          expect(pathComponent(one)).not.toBe(pathComponent(two));
      },
    ),
  );
});

test('mailboxes are found without regard to case', () => {
  expect(maildirOf('/m', { localPart: 'User', domain: 'example.com' })).toBe('/m/example.com/user/Maildir');
});

test('a place is made with its mailbox, under a name that nobody else has', async () => {
  const root = await mkdtemp(join(tmpdir(), 'postern-maildir-'));
  try {
    const maildirs = new Maildirs(root, new DirectorySync());
    const places = await Promise.all(
      Array.from({ length: 50 }, () => maildirs.place({ localPart: '../x', domain: 'd.example' })),
    );
    expect(new Set(places.map(({ final }) => final)).size).toBe(50);
    expect(await readdir(join(root, 'd.example', '%2E.%2Fx', 'Maildir'))).toEqual(['cur', 'new', 'tmp']);
    expect((await stat(join(root, 'd.example'))).mode & 0o077).toBe(0);
  } finally {
    await rm(root, { recursive: true });
  }
});
