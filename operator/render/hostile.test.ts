import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { publicIndexFile, secretIndex, secretIndexFile, shardIndex } from '../../bundle/shard-index.ts';
import { readSecretShards, readShards } from '../../bundle/shards.ts';
import { kinds, type PosternObject, parseObject } from '../api/index.ts';
import { compile } from '../compile/compile.ts';
import { sha256 } from '../compile/hashes.ts';
import type { Snapshot } from '../compile/model.ts';
import { secret } from '../compile/secret.ts';
import { readManifest, readScenario } from '../compile/testdata/scenario.ts';
import { render } from './render.ts';

/**
 * Quality 3: nothing that a tenant writes gets out of its place. Every string field of every kind is set to strings that break
 * out of ini files, header lines, JSON and objects; each is refused by the schema, or comes back from the rendered files as the
 * same data, and nothing beside it changes.
 */
const hostile = [
  'a\nb',
  'a\r\nX-Injected: yes',
  '\r',
  '[section]',
  'x\n[main]\nplugin=evil',
  '__proto__',
  'constructor',
  'trailing\\',
  '"},{"a":"',
  '$(env)',
  '`env`',
  '\u0000',
  '\u2028',
  '\ud800',
  '../../etc/passwd',
  'a/b',
  '; comment',
  '# note',
];

/** A manifest of each kind with every string field set; several where fields exclude each other. */
const manifests: readonly Record<string, unknown>[] = [
  {
    kind: 'MailDomain',
    metadata: { name: 'a' },
    spec: {
      domain: 'a.example',
      mta: 'default',
      mailbox: { routeRef: { name: 'r' } },
      junk: {
        header: { name: 'X-Spam-Flag', spamValue: 'YES', inboxValue: 'NO' },
        subaddress: { delimiter: '+', folder: 'Junk' },
      },
      recipients: {
        mode: 'List',
        addresses: ['alice'],
        configMapRef: { name: 'texts', key: 'recipients' },
        subaddressDelimiter: '+',
      },
      postmaster: 'admin@a.example',
      inboundRouting: [{ match: 'External', target: 'Known', routeRef: { name: 'r' } }],
      outboundRouting: [{ match: 'External', changeRoute: { name: 'r' }, sendCopyTo: { name: 'r' } }],
      submission: { enabled: true, accountsSecretRef: { name: 'accounts' } },
      contentFilter: { rspamd: { url: 'http://rspamd:11333' }, virusSymbols: ['CLAM'] },
      authentication: { trustedArcSealers: ['lists.example.org'] },
    },
  },
  {
    kind: 'Route',
    metadata: { name: 'r' },
    spec: {
      host: 'mx.example.net',
      tls: {
        mode: 'Required',
        verify: 'TrustedCA',
        caBundleRef: { name: 'texts', key: 'ca.crt' },
        serverName: 'mx.example.net',
      },
      authSecretRef: { name: 'auth' },
      note: 'note',
    },
  },
  {
    kind: 'IpAccessList',
    metadata: { name: 'l' },
    spec: {
      action: 'Block',
      domainRefs: [{ name: 'a' }],
      addresses: ['192.0.2.1'],
      entries: [{ address: '192.0.2.2', note: 'note', expireTime: '2030-01-01T00:00:00Z' }],
      text: '192.0.2.3',
      entriesFrom: [{ configMapKeyRef: { name: 'texts', key: 'addresses' } }],
    },
  },
  {
    kind: 'InboundGateway',
    metadata: { name: 'g' },
    spec: {
      domainRefs: [{ name: 'a' }],
      addresses: ['198.51.100.1'],
      routeRef: { name: 'r' },
      spam: { junkPatterns: ['^X-Spam: yes'] },
      trustedAuthservId: 'gw.example.net',
    },
  },
  {
    kind: 'TlsPolicy',
    metadata: { name: 't' },
    spec: {
      title: 'Bank',
      domainRefs: [{ name: 'a' }],
      directions: ['Outbound'],
      outbound: { requireTrustedCA: true, caBundleRef: { name: 'texts', key: 'ca.crt' } },
      peerDomains: ['bank.example'],
    },
  },
  {
    kind: 'DkimKey',
    metadata: { name: 'k' },
    spec: {
      domainRef: { name: 'a' },
      selector: 'postern',
      secretName: 'key',
      verification: { requestId: 'one' },
    },
  },
];

const caBundle = readFileSync(join(import.meta.dirname, '../compile/testdata/ca.crt'), 'utf8');

type Path = readonly (string | number)[];
const objects = manifests.map((manifest) => readManifest(manifest, 'acme'));

describe('hostile strings', () => {
  test('the manifests of this test set every string field of every kind', () => {
    for (const { kind, spec } of kinds) {
      const manifest = manifests.find((one) => one['kind'] === kind);
      const set = stringPaths(manifest?.['spec'], []).map((path) => shape(path));
      expect(set, kind).toEqual(expect.arrayContaining(stringFields(spec, [])));
    }
  });

  const places = manifests.flatMap((manifest) =>
    stringPaths(manifest['spec'], []).map((path) => ({
      kind: String(manifest['kind']),
      path: shape(path),
      manifest,
      at: path,
    })),
  );

  test('everything of this test is rendered to begin with', () => {
    const [policy] = compile(scene(objects)).mtas;
    expect(policy?.bundle.domains).toHaveLength(1);
    expect(policy?.bundle.routes).toHaveLength(1);
    expect(policy?.bundle.lists[0]?.ranges).toHaveLength(4);
    expect(policy?.bundle.domains[0]?.recipients.localParts).toEqual(['alice', 'bob']);
    expect(policy?.bundle.domains[0]?.gateway?.junkPatterns).toHaveLength(1);
    expect(policy?.bundle.domains[0]?.tls.outbound[0]?.caBundles).toEqual([caBundle]);
    expect(Object.keys(policy?.secrets.routeAuth ?? {})).toEqual(['r']);
    expect(policy?.secrets.accounts['a.example']).toHaveLength(1);
  });

  test('not everything is refused: patterns and notes take any text, passwords too', () => {
    const accepted = places.flatMap(({ kind, path, manifest, at }) =>
      hostile.some((text) => readEdited(manifest, at, text) !== undefined) ? [`${kind} ${path}`] : [],
    );
    expect(accepted).toEqual(
      expect.arrayContaining(['InboundGateway spam.junkPatterns.[]', 'Route note', 'TlsPolicy title']),
    );
    const [policy] = compile(withPassword('p\n[section]\r\\')).mtas;
    expect(policy?.secrets.routeAuth['r']?.password).toBe('p\n[section]\r\\');
  });

  test.each(places)('in $kind spec.$path stay data or are refused', async ({ manifest, at }) => {
    for (const text of hostile) {
      const edited = readEdited(manifest, at, text);
      if (edited === undefined) continue;
      await expectSafe(withObject(edited), text);
    }
  });

  test.each(['recipients', 'addresses', 'ca.crt'])(
    'in a ConfigMap under %s stay data or are reported',
    async (key) => {
      for (const text of hostile) {
        const { configMaps, ...snapshot } = scene(objects);
        const [texts] = configMaps;
        if (texts === undefined) throw new Error('the scene has a ConfigMap');
        await expectSafe(
          { ...snapshot, configMaps: [{ ...texts, data: { ...texts.data, [key]: text } }] },
          text,
        );
      }
    },
  );

  test.each([
    ['auth', 'username'],
    ['auth', 'password'],
    ['accounts', 'accounts.yaml'],
  ])('in Secret %s under %s stay data or are reported', async (name, key) => {
    for (const text of [...hostile, `- {name: ${JSON.stringify('x@a.example\n')}}`]) {
      const { secrets, ...snapshot } = scene(objects);
      const edited = secrets.map((record) =>
        record.name === name
          ? { ...record, data: { ...record.data, [key]: secret(new TextEncoder().encode(text)) } }
          : record,
      );
      await expectSafe({ ...snapshot, secrets: edited }, text);
    }
  });
});

const baseline = coldOf(scene(objects));

/** Compiles, renders and reads back: the same data, the same cold files, no prototype touched. */
async function expectSafe(snapshot: Snapshot, text: string): Promise<void> {
  const { mtas, statuses } = compile(snapshot);
  expect(statuses.length, text).toBe(snapshot.objects.length);
  const [policy] = mtas;
  if (policy === undefined) throw new Error('no MTA');
  const rendered = render(policy);
  const read = (files: ReadonlyMap<string, Uint8Array>, file: string): unknown =>
    JSON.parse(new TextDecoder().decode(files.get(file)));
  const index = shardIndex.parse(read(rendered.publicFiles, publicIndexFile));
  const hidden = secretIndex.parse(read(rendered.secretFiles, secretIndexFile(index.secretsRevision)));
  const bundle = await readShards(index, unzip(rendered.publicFiles), { sha256 });
  expect(bundle, JSON.stringify(text)).toEqual(policy.bundle);
  expect(readSecretShards(hidden, unzip(rendered.secretFiles), { sha256 }), JSON.stringify(text)).toEqual(
    policy.secrets,
  );
  expect(coldOf(snapshot), JSON.stringify(text)).toEqual(baseline);
  expect(Object.keys(Object.prototype)).toEqual([]);
}

function withPassword(password: string): Snapshot {
  const { secrets, ...snapshot } = scene(objects);
  const data = { username: secret(Buffer.from('u')), password: secret(Buffer.from(password)) };
  return {
    ...snapshot,
    secrets: secrets.map((record) => (record.name === 'auth' ? { ...record, data } : record)),
  };
}

function coldOf(snapshot: Snapshot): unknown {
  return compile(snapshot).mtas.map((policy) => [...render(policy).coldFiles]);
}

function unzip(files: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  return new Map(
    [...files].flatMap(([file, bytes]) => (file.endsWith('.gz') ? [[file, gunzipSync(bytes)] as const] : [])),
  );
}

/** The object with one string replaced, or undefined if the schema refuses it. */
function readEdited(manifest: Record<string, unknown>, at: Path, text: string): PosternObject | undefined {
  const raw: unknown = replaced(manifest, ['spec', ...at], text);
  const kind = kinds.find((one) => one.kind === manifest['kind'])?.kind;
  if (kind === undefined || typeof raw !== 'object' || raw === null) throw new Error('no manifest');
  const stored = {
    apiVersion: 'postern.dev/v1alpha1',
    ...raw,
    metadata: { ...metadataOf(raw), namespace: 'acme' },
  };
  const parsed = parseObject(kind, stored);
  return parsed.ok ? parsed.object : undefined;
}

function metadataOf(raw: object): object {
  return 'metadata' in raw && typeof raw.metadata === 'object' && raw.metadata !== null ? raw.metadata : {};
}

function withObject(edited: PosternObject): Snapshot {
  return scene(objects.map((object) => (object.kind === edited.kind ? edited : object)));
}

function scene(all: readonly PosternObject[]): Snapshot {
  const { snapshot } = readScenario(`
title: ''
configMaps: [{name: texts, data: {recipients: bob, addresses: 192.0.2.9, ca.crt: ${JSON.stringify(caBundle)}}}]
secrets:
  - {name: auth, type: kubernetes.io/basic-auth, labels: {postern.dev/use: route-auth}, data: {username: u, password: p}}
  - {name: accounts, labels: {postern.dev/use: accounts}, data: {accounts.yaml: "[{name: alice@a.example}]"}}
`);
  return { ...snapshot, objects: all };
}

function replaced(value: unknown, [key, ...rest]: Path, text: string): unknown {
  if (key === undefined) return text;
  if (Array.isArray(value))
    return value.map((item, index) => (index === key ? replaced(item, rest, text) : item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, name === key ? replaced(item, rest, text) : item]),
  );
}

/** Paths of all strings in plain data. */
function stringPaths(value: unknown, path: Path): Path[] {
  if (typeof value === 'string') return [path];
  if (Array.isArray(value)) return value.flatMap((item, index) => stringPaths(item, [...path, index]));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => stringPaths(item, [...path, key]));
}

/** Names of all string fields of a schema, `[]` for list items. */
function stringFields(schema: unknown, path: Path): string[] {
  if (schema instanceof z.ZodString) return [shape(path)];
  if (schema instanceof z.ZodArray) return stringFields(schema.element, [...path, 0]);
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return stringFields(schema.unwrap(), path);
  }
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape).flatMap(([key, field]) => stringFields(field, [...path, key]));
}

function shape(path: Path): string {
  return path.map((part) => (typeof part === 'number' ? '[]' : part)).join('.');
}
