import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { PolicyBundle, SecretBundle } from '../../bundle/policy-bundle.ts';
import { publicIndexFile, secretIndex, secretIndexFile, shardIndex } from '../../bundle/shard-index.ts';
import { readSecretShards, readShards } from '../../bundle/shards.ts';
import { compile } from '../compile/compile.ts';
import { secretsRevisionOf, sha256 } from '../compile/hashes.ts';
import type { MtaPolicy } from '../compile/model.ts';
import { readScenario } from '../compile/testdata/scenario.ts';
import type { RenderedMta } from '../platform/platform.ts';
import { render } from './render.ts';

const folder = join(import.meta.dirname, '../compile/testdata');
const policies = readdirSync(folder)
  .filter((file) => file.endsWith('.in.yaml'))
  .flatMap((file) => {
    const { title, snapshot } = readScenario(readFileSync(join(folder, file), 'utf8'));
    return compile(snapshot).mtas.map((policy) => ({ title: `${title} (${policy.mta})`, policy }));
  });

async function readBack({
  publicFiles,
  secretFiles,
}: RenderedMta): Promise<{ bundle: PolicyBundle; secrets: SecretBundle }> {
  const index = shardIndex.parse(JSON.parse(textOf(publicFiles, publicIndexFile)));
  const secret = secretIndex.parse(JSON.parse(textOf(secretFiles, secretIndexFile)));
  expect(secret.revision).toBe(index.secretsRevision);
  return {
    bundle: await readShards(index, unzip(publicFiles), { sha256 }),
    secrets: readSecretShards(secret, unzip(secretFiles), { sha256 }),
  };
}

function unzip(files: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  return new Map(
    [...files].flatMap(([file, bytes]) => (file.endsWith('.gz') ? [[file, gunzipSync(bytes)] as const] : [])),
  );
}

function textOf(files: ReadonlyMap<string, Uint8Array>, file: string): string {
  const bytes = files.get(file);
  if (bytes === undefined) throw new Error(`${file} was not rendered`);
  return new TextDecoder().decode(bytes);
}

describe('every golden case, rendered and read back', () => {
  test.each(policies)('$title', async ({ policy }) => {
    const rendered = render(policy);
    const { bundle, secrets } = await readBack(rendered);
    expect(bundle).toEqual(policy.bundle);
    expect(secrets).toEqual(policy.secrets);
    expect(render(structuredClone(policy))).toEqual(rendered);
    const index = shardIndex.parse(JSON.parse(textOf(rendered.publicFiles, publicIndexFile)));
    expect(index.domains).toEqual(policy.hashes.domains);
    expect(index.routes).toEqual(policy.hashes.routes);
    expect(index.bundleHash).toBe(rendered.bundleHash);
  });
});

describe('the two halves', () => {
  const written = (password: string, revision: string) => `
title: ''
secrets:
  - {name: smart, type: kubernetes.io/basic-auth, labels: {postern.dev/use: route-auth}, revision: "${revision}", data: {username: robot, password: ${password}}}
---
kind: Route
metadata: {name: smart}
spec: {host: mx.example.net, tls: {mode: Required}, authSecretRef: {name: smart}}
`;
  const policyOf = (password: string, revision: string): MtaPolicy => {
    const [policy] = compile(readScenario(written(password, revision)).snapshot).mtas;
    if (policy === undefined) throw new Error('no MTA');
    return policy;
  };
  const everything = ({ publicFiles, coldFiles }: RenderedMta) =>
    [...unzip(publicFiles).values(), ...publicFiles.values()]
      .map((bytes) => new TextDecoder().decode(bytes))
      .join('') + [...coldFiles.values()].join('');

  test('no public file holds a secret, or changes with its bytes', () => {
    const [one, other] = [render(policyOf('hunter2', '1')), render(policyOf('correct-horse', '1'))];
    expect(everything(one)).not.toMatch(/hunter2|robot/);
    expect(other.publicFiles).toEqual(one.publicFiles);
    expect(other.secretFiles).not.toEqual(one.secretFiles);
  });

  test('a new version of a Secret changes the revision in both indexes, and so the bundle hash', () => {
    const [one, other] = [render(policyOf('hunter2', '1')), render(policyOf('hunter2', '2'))];
    expect(other.bundleHash).not.toBe(one.bundleHash);
    const index = shardIndex.parse(JSON.parse(textOf(other.publicFiles, publicIndexFile)));
    expect(index.secretsRevision).toBe(secretsRevisionOf({ 'auth/smart': 'smart@2' }));
    const old = shardIndex.parse(JSON.parse(textOf(one.publicFiles, publicIndexFile)));
    expect(index.shards).toEqual(old.shards);
  });

  test('an MTA without any domain still gets a complete, empty bundle', async () => {
    const [policy] = compile(readScenario("title: ''\n").snapshot).mtas;
    if (policy === undefined) throw new Error('no MTA');
    const { bundle } = await readBack(render(policy));
    expect(bundle).toEqual({
      version: 1,
      namespace: 'acme',
      mta: 'default',
      domains: [],
      audited: [],
      lists: [],
      routes: [],
    });
  });
});
