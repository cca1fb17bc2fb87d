import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bundleOf, domainPolicy, list } from '../../policy/fixture.ts';
import { eventually } from './eventually.ts';
import { prepareMta, startMta } from './mta-process.ts';
import { policyFiles } from './policy-files.ts';

const bundle = bundleOf(
  [domainPolicy('example.com', { access: { allow: [], block: ['here'] } })],
  [list('here', ['127.0.0.7'])],
);

test('/state and /blocks ask for the bearer token; health and metrics do not', async () => {
  await using mta = await startMta({ bundle, token: 'open sesame' });
  for (const path of ['/state', '/blocks', '/hits']) {
    expect((await mta.get(path)).status).toBe(401);
    expect((await mta.get(path, { authorization: 'Bearer open sesam' })).status).toBe(401);
    expect((await mta.get(path, { authorization: 'Bearer open sesame' })).status).toBe(200);
  }
  for (const path of ['/healthz', '/readyz', '/metrics']) expect((await mta.get(path)).status).toBe(200);
  expect((await mta.get('/else')).status).toBe(404);
});

test('/state tells which policy is loaded, by domain', async () => {
  await using mta = await startMta({ bundle });
  const index = JSON.parse(Buffer.from(policyFiles(bundle).get('index.json') ?? '').toString());
  expect(await mta.state()).toMatchObject({
    readableVersions: [1],
    mta: 'default',
    bundleHash: index.bundleHash,
    secretsRevision: index.secretsRevision,
    domains: index.domains,
    loadError: null,
    ready: true,
  });
});

test('/metrics counts connections, verdicts by object, messages and loads, and no name that a client made up', async () => {
  await using mta = await startMta({ bundle });
  const session = await mta.session();
  await session.mail({ to: ['user@example.com', 'nobody@example.com', 'x@made-up.example'] });
  await session.send('QUIT');
  const blocked = await mta.session('smtp', '127.0.0.7');
  await blocked.mail({ to: ['user@example.com'] });
  await blocked.send('QUIT');
  const text = await (await mta.get('/metrics')).text();
  expect(text).toMatch(/^postern_mta_connections_total\{listener="smtp"\} 2$/m);
  expect(text).toMatch(/^postern_mta_open_connections 0$/m);
  expect(text).toMatch(
    /^postern_mta_verdicts_total\{domain="example.com",kind="IpAccessList",object="here",verdict="reject",stage="recipient"\} 1$/m,
  );
  expect(text).toMatch(/^postern_mta_messages_total\{outcome="accepted"\} 1$/m);
  expect(text).toMatch(/^postern_mta_bundle_loads_total\{result="loaded"\} 1$/m);
  expect(text).not.toContain('made-up');
});

test('each transaction is one line of the log, with the trace of what was decided and the object that did', async () => {
  await using mta = await startMta({ bundle });
  const session = await mta.session();
  await session.mail({ to: ['user@example.com', 'nobody@example.com'] });
  await session.send('QUIT');
  const lines = () => mta.logged(({ event }) => event === 'transaction');
  await eventually(() => lines().length === 1, 'the line is written');
  expect(lines()[0]).toMatchObject({
    peer: '127.0.0.1',
    from: 'sender@elsewhere.example',
    accepted: ['user@example.com'],
    outcome: '250 2.0.0 Accepted',
    legs: [{ to: 'user@example.com', via: 'Maildir', purpose: 'Mailbox' }],
    refused: [
      {
        recipient: 'nobody@example.com',
        because: { kind: 'MailDomain', name: 'example-com', generation: 3, entry: 'spec.recipients' },
      },
    ],
    trace: [
      {
        recipient: 'user@example.com',
        steps: [
          'access: note, in no list',
          'recipient: note, known',
          'account-limit: skip, not authenticated',
          'message-key: note, same settings',
        ],
      },
      {
        recipient: 'nobody@example.com',
        steps: ['access: note, in no list', 'recipient: reject, not among the recipients of the domain'],
      },
    ],
    messageTrace: expect.arrayContaining(['delivery: note, 1 legs']),
  });
});

test.each([
  ['no mta.json', (config: string) => rm(join(config, 'mta.json')), /mta\.json: is missing/],
  [
    'a broken mta.json',
    (config: string) => writeFile(join(config, 'mta.json'), '{'),
    /mta\.json: is not JSON/,
  ],
  [
    'a wrong setting',
    (config: string) => writeFile(join(config, 'mta.json'), '{"namespace":"x"}'),
    /mta\.json: mta: /,
  ],
  [
    'no connection.ini',
    (config: string) => rm(join(config, 'connection.ini')),
    /connection\.ini: is missing/,
  ],
  [
    'a file that Haraka would obey',
    (config: string) => writeFile(join(config, 'smtp.json'), '{}'),
    /smtp\.json: is no file of the cold/,
  ],
])('a start with %s ends with exit code 1 and one clear line', async (_what, spoil, line) => {
  await using mta = await prepareMta({ bundle });
  await spoil(join(mta.directory, 'config'));
  await expect(mta.start()).rejects.toThrow(/ended \(1\)/);
  expect(mta.lines).toEqual([expect.stringMatching(/^postern mta: /)]);
  expect(mta.lines[0]).toMatch(line);
});

test('a port that is taken ends the start with exit code 1 and one clear line', async () => {
  await using first = await startMta({ bundle });
  const { port } = first.address('smtp');
  await using second = await prepareMta({ bundle, args: ['--smtp', `127.0.0.1:${port}`] });
  await expect(second.start()).rejects.toThrow(/ended \(1\)/);
  expect(second.lines.filter((line) => line.startsWith('postern mta: '))).toEqual([
    expect.stringContaining('EADDRINUSE'),
  ]);
});
