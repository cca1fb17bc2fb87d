import { expect, test } from 'vitest';
import { type Ask, cachedDns } from './dns-cache.ts';

/** A name server that counts what it is asked, and answers `<code>.example` with that code. */
function counting(): { ask: Ask; asked: string[] } {
  const asked: string[] = [];
  const ask: Ask = async (name, type) => {
    asked.push(`${type} ${name}`);
    const code = /^(e[a-z]+)\.example$/i.exec(name)?.[1];
    if (code !== undefined) throw Object.assign(new Error(code), { code: code.toUpperCase() });
    return [['text']];
  };
  return { ask, asked };
}

test('an answer is kept for every spelling of the name, and for its type only', async () => {
  const { ask, asked } = counting();
  const dns = cachedDns([], ask);
  expect(await dns('a.example', 'TXT')).toEqual([['text']]);
  await dns('A.Example', 'TXT');
  await dns('a.example', 'MX');
  expect(asked).toEqual(['TXT a.example', 'MX a.example']);
});

test('a question that is on its way is not asked twice', async () => {
  const { ask, asked } = counting();
  const dns = cachedDns([], ask);
  await Promise.all([dns('a.example', 'TXT'), dns('a.example', 'TXT')]);
  expect(asked).toHaveLength(1);
});

test.each([
  ['enotfound.example', 1],
  ['enodata.example', 1],
  ['etimeout.example', 2],
  ['eservfail.example', 2],
])('%s: asked %i times for two messages', async (name, times) => {
  const { ask, asked } = counting();
  const dns = cachedDns([], ask);
  const code = name.split('.')[0]?.toUpperCase();
  await expect(dns(name, 'TXT')).rejects.toMatchObject({ code });
  await expect(dns(name, 'TXT')).rejects.toMatchObject({ code });
  expect(asked).toHaveLength(times);
});

test('every caller gets an error of its own: they write on it', async () => {
  const dns = cachedDns([], counting().ask);
  const errors = await Promise.all(
    [1, 2].map(() => dns('enotfound.example', 'A').catch((error: unknown) => error)),
  );
  expect(errors[0]).not.toBe(errors[1]);
});
