import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleOf, domainPolicy } from '../../policy/fixture.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { message } from './smtp-client.ts';

let mta: MtaProcess;
beforeAll(async () => {
  mta = await startMta({
    bundle: bundleOf([domainPolicy('example.com')]),
    main: fileURLToPath(new URL('./faulty-main.ts', import.meta.url)),
  });
});
afterAll(() => mta[Symbol.asyncDispose]());

const internalFailure = /^451 4\.3\.0 .*\(ref ([0-9A-F]{8})\)/;

/** The reference that the client reads must lead to the cause in the log. */
async function expectLogged(reply: string, hook: string, problem: RegExp): Promise<void> {
  const ref = internalFailure.exec(reply)?.[1];
  expect(ref, reply).toBeDefined();
  const entries = () => mta.logged((line) => line['event'] === 'fault' && line['ref'] === ref);
  await eventually(() => entries().length > 0, `the fault ${ref} is logged`);
  expect(entries()[0]).toMatchObject({ level: 'error', hook, problem: expect.stringMatching(problem) });
}

test('an exception at MAIL gives 451 and a logged reference', async () => {
  const session = await mta.session();
  await expectLogged(await session.send('MAIL FROM:<throw@elsewhere.example>'), 'mail', /exception/);
});

test.each([
  ['an exception', 'throw', /exception/],
  ['a rejected promise', 'reject', /rejection/],
  ['a stage that never answers', 'hang', /no answer/],
])(
  '%s at RCPT gives 451 and a logged reference, and the session goes on',
  async (_what, localPart, problem) => {
    const session = await mta.session();
    await session.send('MAIL FROM:<sender@elsewhere.example>');
    await expectLogged(await session.send(`RCPT TO:<${localPart}@example.com>`), 'rcpt', problem);
    expect(await session.send('DATA')).toMatch(/^503 /);
    expect(await session.send('RCPT TO:<user@example.com>')).toMatch(/^250 /);
  },
);

test('an exception at the end of the data gives 451, and nothing is filed', async () => {
  const session = await mta.session();
  const replies = await session.mail({
    to: ['info@example.com'],
    data: `X-Fault: throw\r\n${message()}`,
  });
  await expectLogged(replies.at(-1) ?? '', 'data_post', /exception/);
  expect(await mta.mailbox('example.com', 'info')).toEqual([]);
});

test('an exception at a bare LF still refuses and closes', async () => {
  const session = await mta.session();
  await session.send('MAIL FROM:<sender@elsewhere.example>');
  await session.send('RCPT TO:<info@example.com>');
  await session.send('DATA');
  session.write(`X-Fault: throw\r\n${message()}bare\nLF\r\n.\r\n`);
  await expectLogged(await session.reply(), 'data_line', /exception/);
  await session.untilClosed();
  expect(await mta.mailbox('example.com', 'info')).toEqual([]);
});

test('an exception at connect gives 421 and closes', async () => {
  const session = await mta.connect('smtp', '127.0.0.99');
  expect(await session.reply()).toMatch(/^421 4\.3\.0 .*\(ref [0-9A-F]{8}\)$/);
  await session.untilClosed();
});

test('mail that cannot be filed gets 451, nothing of it remains, and the next one is filed', async () => {
  const session = await mta.session();
  expect((await session.mail({ to: ['sales@example.com'] })).at(-1)).toMatch(/^250 /);
  // A mailbox that vanishes under our feet.
  await rm(join(mta.directory, 'mail', 'example.com', 'sales'), { recursive: true });
  const failed = await session.mail({ to: ['sales@example.com', 'user@example.com'] });
  await expectLogged(failed.at(-1) ?? '', 'queue', /rejection/);
  expect(await mta.mailbox('example.com', 'user')).toEqual([]);
  const again = await session.mail({ to: ['sales@example.com', 'user@example.com'] });
  expect(again.at(-1)).toMatch(/^250 /);
  expect(await mta.mailbox('example.com', 'sales')).toHaveLength(1);
});
