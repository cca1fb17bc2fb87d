import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compile } from '../../compile/compile.ts';
import { HeldObjects } from '../../reconcile/held-objects.ts';
import { generateKey } from '../../reconcile/keys.ts';
import { reconcileTenant } from '../../reconcile/tenant.ts';
import { render } from '../../render/render.ts';
import { FolderReader } from './folder.ts';
import { StandalonePlatform } from './platform.ts';
import { type StatePaths, statePaths } from './state-files.ts';

const minute = 60_000;
const hour = 60 * minute;

const mailDomain = `apiVersion: postern.dev/v1alpha1
kind: MailDomain
metadata: {name: a}
spec: {domain: a.example, mailbox: {maildir: {}}, recipients: {mode: List, addresses: [alice]}}
`;
const dkimKey = (spec: string) => `apiVersion: postern.dev/v1alpha1
kind: DkimKey
metadata: {name: key}
spec: {domainRef: {name: a}, algorithm: Ed25519, verification: {mode: Disabled}, ${spec}}
`;

let root = '';
let folder = '';
let paths: StatePaths;
let now = 0;
let platform: StandalonePlatform;
/** `<type>/<reason>` of every condition of the key. */
let conditions: string[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'postern-retention-'));
  folder = join(root, 'policy');
  paths = statePaths(join(root, 'state'), 'default');
  now = Date.parse('2026-11-25T12:00:00Z');
  await mkdir(folder);
  await writeFile(join(folder, 'domain.yaml'), mailDomain);
  await writeFile(join(folder, 'key.yaml'), dkimKey('secretRetention: Delete'));
  await restart();
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** What a new process does first. */
async function restart(): Promise<void> {
  platform = new StandalonePlatform({
    folder: new FolderReader(folder),
    paths,
    hostName: 'mx.example.com',
    now: () => now,
    pods: () => [],
    delivered: async () => {},
    reported: (statuses) => {
      const found = statuses.get('DkimKey/key')?.status.conditions ?? [];
      conditions = found.map(({ type, reason }) => `${type}/${reason}`);
    },
  });
  await platform.load();
  await work();
}

/** Reads the folder and reconciles. @returns when it is to be done again though nothing changes. */
async function work(): Promise<number | undefined> {
  await platform.read();
  const { nextDue } = await reconcileTenant(platform.namespace, platform, {
    compile,
    render,
    held: new HeldObjects(),
    now: () => now,
    checkDkim: () => {},
    checkMailDns: () => {},
    generateKey,
    signal: AbortSignal.timeout(30_000),
  });
  return nextDue;
}

const secretFile = () => join(paths.secrets, 'postern-dkim-key.yaml');
const isThere = () =>
  access(secretFile()).then(
    () => true,
    () => false,
  );

describe('K5: secretRetention in a folder', () => {
  test('Delete: the key goes a minute after its DkimKey', async () => {
    expect(await isThere()).toBe(true);
    await rm(join(folder, 'key.yaml'));
    expect(await work()).toBe(now + minute);
    expect(await isThere()).toBe(true);
    now += minute;
    await work();
    expect(await isThere()).toBe(false);
  });

  test('a DkimKey that is put back, as an editor or a deployment does, keeps its key', async () => {
    const before = await readFile(secretFile(), 'utf8');
    await rm(join(folder, 'key.yaml'));
    await work();
    await writeFile(join(folder, 'key.yaml'), dkimKey('secretRetention: Delete'));
    await work();
    now += hour;
    await work();
    expect(await readFile(secretFile(), 'utf8')).toBe(before);
  });

  test('one that was deleted while no process ran takes its key along too', async () => {
    await rm(join(folder, 'key.yaml'));
    await restart();
    expect(await isThere()).toBe(true);
    now += hour;
    await restart();
    expect(await isThere()).toBe(false);
  });

  test('a file that cannot be read, and a field that an API server lets nobody change, cost no key', async () => {
    await writeFile(join(folder, 'key.yaml'), 'kind: DkimKey\nmetadata: {name: [');
    await work();
    now += hour;
    await work();
    expect(await isThere()).toBe(true);
    await writeFile(join(folder, 'key.yaml'), dkimKey('secretRetention: Delete, selector: other'));
    await work();
    now += hour;
    await work();
    expect(await isThere()).toBe(true);
  });

  test('Retain, the default: it stays', async () => {
    await writeFile(join(folder, 'key.yaml'), dkimKey('secretRetention: Retain'));
    await work();
    await rm(join(folder, 'key.yaml'));
    await work();
    now += hour;
    await work();
    expect(await isThere()).toBe(true);
  });
});

test('K6: whoever asks for external-dns in a folder is told that there is none', async () => {
  const warning = 'RecordNotWritten/NotInStandalone';
  await writeFile(join(folder, 'key.yaml'), dkimKey('dns: {publish: ExternalDNS}'));
  await work();
  expect(conditions).toContain(warning);
  await writeFile(join(folder, 'key.yaml'), dkimKey('dns: {publish: None}'));
  await work();
  expect(conditions).not.toContain(warning);
});
