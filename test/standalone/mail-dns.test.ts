import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { postern } from '../cli/run.ts';
import { type NameServer, startNameServer } from '../parts/bind.ts';
import { type RunningStandalone, startStandalone } from './harness.ts';
import { blockList, sampleFiles } from './sample.ts';

let directory = '';
let folder = '';
let server: NameServer;
let standalone: RunningStandalone;

/** The servers of its zone would be asked at port 53, where a test has none. */
const dkimKey = `apiVersion: postern.dev/v1alpha1
kind: DkimKey
metadata: {name: key}
spec: {domainRef: {name: example-com}, algorithm: Ed25519, verification: {scope: Recursive}}
`;
const settings = (egress: string) => `heloName: mx.example.com\negressAddresses: [${egress}]\n`;
const statusPath = () => join(standalone.state, 'status/maildomain/example-com.yaml');

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-mail-dns-'));
  folder = join(directory, 'policy');
  server = await startNameServer({
    '.': ['@ NS ns.test.', 'ns.test. A 192.0.2.53'],
    'example.com': [
      '@ NS ns.test.',
      'mx A 198.51.100.7',
      'old A 192.0.2.9',
      '@ MX 10 old',
      '@ TXT "v=spf1 -all"',
    ],
  });
  const files = { ...sampleFiles, 'mta.yaml': settings('198.51.100.7'), 'dkim.yaml': dkimKey };
  standalone = await startStandalone({ directory, folder, files, resolver: server.server });
});
afterAll(async () => {
  await standalone?.stop();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

const statusFile = z.object({
  status: z.object({
    conditions: z.array(
      z.object({ type: z.string(), status: z.string(), reason: z.string(), message: z.string() }),
    ),
  }),
});

/** `<status>/<reason>: <message>` by type. */
async function conditions(): Promise<Record<string, string>> {
  const { status } = statusFile.parse(parse(await readFile(statusPath(), 'utf8')));
  return Object.fromEntries(
    status.conditions.map(({ type, status: value, reason, message }) => [
      type,
      `${value}/${reason}: ${message}`,
    ]),
  );
}

const until = (what: string, holds: (found: Record<string, string>) => boolean) =>
  standalone.eventually(what, async () => {
    const found = await conditions();
    return holds(found) ? found : undefined;
  });

const check = () =>
  postern(
    'dns',
    '-f',
    folder,
    '--state',
    standalone.state,
    '--check',
    '--resolver',
    server.server,
    '-o',
    'json',
  );
const judgements = (out: string): Record<string, string> =>
  Object.fromEntries(
    z
      .object({
        checks: z.array(
          z.object({ type: z.string(), status: z.string(), reason: z.string(), message: z.string() }),
        ),
      })
      .parse(JSON.parse(out))
      .checks.map(({ type, status, reason, message }) => [type, `${status}/${reason}: ${message}`]),
  );

it('D3, O5, K11: the status says what is wrong with the records and what to publish, as postern dns --check does', async () => {
  const found = await until('DNS was asked', ({ DmarcReady }) => DmarcReady?.startsWith('False') ?? false);
  const wrong = {
    MxReady:
      'False/ValueMismatch: MX old.example.com of example.com does not lead to MTA default: publish example.com. IN MX 10 mx.example.com.',
    SpfReady:
      'False/ValueMismatch: The SPF record of example.com leaves out 198.51.100.7 (MTA default, fail): add ip4:198.51.100.7',
    DmarcReady:
      'False/RecordNotFound: example.com has no DMARC record: publish _dmarc.example.com. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@example.com"',
  };
  expect(found).toMatchObject({ ...wrong, Ready: 'True/Ready: ' });
  const asked = await check();
  expect(asked.code).toBe(1);
  expect(judgements(asked.out)).toEqual({
    ...wrong,
    Published: expect.stringContaining('False/RecordNotFound'),
  });
});

it('Q10: reconciles that the question does not depend on ask nobody', async () => {
  const questions = async () => (await server.queries()).filter((query) => query === 'example.com mx').length;
  const before = await questions();
  for (const client of ['127.0.0.21', '127.0.0.22']) {
    const hash = (await standalone.mtaState()).bundleHash;
    await writeFile(join(folder, 'block.yaml'), blockList([client]));
    await standalone.eventually('the edit acts', async () =>
      (await standalone.mtaState()).bundleHash !== hash ? true : undefined,
    );
  }
  expect(await questions()).toBe(before);
});

it('O5: what the question depends on is asked about anew when it changes; all is well, and dns --check ends with 0', async () => {
  await server.update(
    'update delete example.com. MX',
    'update delete example.com. TXT',
    'update add example.com. 1 MX 10 mx.example.com.',
    'update add example.com. 1 TXT "v=spf1 ip4:198.51.100.8 -all"',
    'update add _dmarc.example.com. 1 TXT "v=DMARC1; p=none"',
  );
  await writeFile(join(folder, 'mta.yaml'), settings('198.51.100.8'));
  const right = {
    MxReady: 'True/MxReady: MX mx.example.com',
    SpfReady: 'True/SpfReady: 198.51.100.8 may send',
    DmarcReady: 'True/DmarcReady: Policy none at _dmarc.example.com',
  };
  expect(
    await until('the records are right', ({ SpfReady }) => SpfReady?.startsWith('True') ?? false),
  ).toMatchObject(right);
  const asked = await check();
  expect(judgements(asked.out)).toMatchObject(right);
  expect(asked.code).toBe(1);
  const { records } = z
    .object({ records: z.array(z.object({ name: z.string(), zoneFileLine: z.string() })) })
    .parse(JSON.parse(asked.out));
  const key = records.find(({ name }) => name === 'postern._domainkey.example.com');
  await server.update(`update add ${key?.zoneFileLine}`);
  const again = await check();
  expect(judgements(again.out)).toEqual({
    ...right,
    Published: expect.stringContaining('True/RecordVerified'),
  });
  expect(again.code).toBe(0);
});
