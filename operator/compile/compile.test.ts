import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { render } from '../render/render.ts';
import { compile } from './compile.ts';
import type { Snapshot, StatusRecord } from './model.ts';
import { secret } from './secret.ts';
import { readManifest, readScenario, type Scenario } from './testdata/scenario.ts';

const folder = join(import.meta.dirname, 'testdata');
const scenarios: Scenario[] = readdirSync(folder)
  .filter((file) => file.endsWith('.in.yaml'))
  .map((file) => readScenario(readFileSync(join(folder, file), 'utf8')));

describe('compile', () => {
  test('the order of objects, Secrets, ConfigMaps, MTAs and pods shows nowhere, down to the bytes', () => {
    fc.assert(
      fc.property(fc.constantFrom(...scenarios), fc.infiniteStream(fc.nat()), ({ snapshot }, numbers) => {
        const shuffled = shuffle(snapshot, numbers);
        const [one, other] = [compile(snapshot), compile(shuffled)];
        expect(other).toEqual(one);
        expect(other.mtas.map(render)).toEqual(one.mtas.map(render));
      }),
      { numRuns: 100 },
    );
  });

  test('nothing of the snapshot is changed, and the same snapshot gives the same', () => {
    for (const { snapshot } of scenarios) {
      const frozen = freeze(snapshot);
      expect(compile(frozen)).toEqual(compile(frozen));
    }
  });

  test('compiling what was reported changes no status: nothing is written while nothing changes', () => {
    for (const { title, snapshot } of scenarios) {
      const first = compile(snapshot);
      const objects = snapshot.objects.map((object) => {
        const record = first.statuses.find(
          ({ kind, name }) => kind === object.kind && name === object.metadata.name,
        );
        return readManifest(
          { ...object, ...(record === undefined ? {} : { status: record.status }) },
          snapshot.namespace,
        );
      });
      const later = 3_600_000;
      const pods = snapshot.observed.pods.map(({ behindSince, ...pod }) => ({
        ...pod,
        ...(behindSince === undefined ? {} : { behindSince: behindSince + later }),
      }));
      const observed = { ...snapshot.observed, pods };
      const second = compile({ ...snapshot, objects, observed, now: snapshot.now + later });
      expect(second.statuses, title).toEqual(first.statuses);
    }
  });

  test('one bad object never hides its neighbours: each good object says and gives the same without it', () => {
    const { snapshot } = readScenario(readFileSync(join(folder, 'neighbours.in.yaml'), 'utf8'));
    const good = {
      ...snapshot,
      objects: snapshot.objects.filter(({ metadata }) => metadata.name === 'good'),
    };
    const [all, alone] = [compile(snapshot), compile(good)];
    for (const record of alone.statuses.filter(({ kind }) => kind !== 'MailDomain')) {
      expect(all.statuses).toContainEqual(record);
    }
    expect(all.mtas).toEqual(alone.mtas);
  });

  test('G7: an end of grace is asked for while a pod is behind', () => {
    const { snapshot } = readScenario(
      "title: ''\npods: [{name: default-0, loaded: Older, behindFor: 10}, {name: default-1, behindFor: 5}]\n",
    );
    expect(compile(snapshot).wants).toEqual([{ kind: 'recompile', due: snapshot.now + 50_001 }]);
  });
});

describe('DkimKeys in the policy', () => {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const { snapshot } = readScenario(`
title: ''
secrets: [{name: key, labels: {postern.dev/use: dkim-key}, revision: "5", data: {tls.key: ${JSON.stringify(pem)}}}]
---
kind: MailDomain
metadata: {name: a}
spec: {domain: a.example, mailbox: {maildir: {}}, recipients: {mode: List}}
---
kind: DkimKey
metadata: {name: signs}
spec: {domainRef: {name: a}, algorithm: Ed25519, secretName: key, verification: {mode: Disabled}}
---
kind: DkimKey
metadata: {name: waits}
spec: {domainRef: {name: a}, algorithm: Ed25519, secretName: key, selector: next, state: Standby, verification: {mode: Disabled}}
`);

  test('K8: an Active key lies in the slice of its domain, its private half in the secret bundle alone', () => {
    const { mtas, statuses } = compile(snapshot);
    const [mta] = mtas;
    expect(mta?.bundle.domains[0]?.dkim).toMatchObject([{ selector: 'postern', source: { name: 'signs' } }]);
    expect(mta?.secrets.dkimKeys).toEqual({ 'a.example/postern': pem });
    expect(mta?.secretRevisions).toEqual({
      'dkim/a.example/postern': expect.stringContaining('5'),
      'hop/key': 'postern-hop-key@1',
    });
    expect(JSON.stringify([mta?.bundle, mta?.hashes, mta?.secretRevisions, statuses])).not.toContain(
      'PRIVATE',
    );
    const reasons = (name: string) =>
      statuses
        .find((one) => one.kind === 'DkimKey' && one.name === name)
        ?.status.conditions?.slice(0, 4)
        .map(({ reason }) => reason);
    expect(reasons('signs')).toEqual(['Accepted', 'ResolvedRefs', 'Programmed', 'Ready']);
    expect(reasons('waits')).toEqual(['Accepted', 'ResolvedRefs', 'NothingToProgram', 'Ready']);
  });

  test('K8: a key is programmed only when the pods have the secret half, too', () => {
    const pods = snapshot.observed.pods.map((pod) =>
      pod.state.ok
        ? { ...pod, state: { ok: true as const, value: { ...pod.state.value, secretsRevision: 'old' } } }
        : pod,
    );
    const { statuses } = compile({ ...snapshot, observed: { ...snapshot.observed, pods } });
    const status = statuses.find(({ name }) => name === 'signs')?.status;
    expect(status?.conditions?.find(({ type }) => type === 'Programmed')).toMatchObject({
      status: 'Unknown',
      reason: 'Pending',
      message: 'Waiting for pod default-0',
    });
    expect(conditionOf(statuses, 'signs', 'Signing')).toBe('False/Pending');
    expect(conditionOf(statuses, 'a', 'DkimReady')).toBe('False/NotSigning');
  });

  test('K8: Signing is True once every ready pod has the key, and a key that signs nothing never is', () => {
    const { statuses } = compile(snapshot);
    expect(conditionOf(statuses, 'signs', 'Signing')).toBe('True/Signing');
    expect(conditionOf(statuses, 'waits', 'Signing')).toBe('False/Standby');
    expect(conditionOf(statuses, 'a', 'DkimReady')).toBe('True/DkimReady');
    const none = compile({ ...snapshot, observed: { ...snapshot.observed, pods: [] } }).statuses;
    expect(conditionOf(none, 'signs', 'Signing')).toBe('False/Pending');
  });
});

describe('X20: a policy that is larger than its shards', () => {
  /** Password hashes of one domain that come to 0.6 MiB after gzip; an MTA holds 4 MiB of secrets. */
  function accounts(domain: string, seed: number): string {
    let state = seed;
    const salt = () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state.toString(36);
    };
    const hash = () => ({ hash: `scrypt$16384$8$1$${Array.from({ length: 150 }, salt).join('')}$a` });
    const list = Array.from({ length: 28 }, (_, index) => ({
      name: `user${index}@${domain}`,
      hashes: Array.from({ length: 32 }, hash),
    }));
    return JSON.stringify(list);
  }

  test('X20: the oldest MailDomains go in, the others say ConfigTooLarge, and small ones still fit', () => {
    const { snapshot } = readScenario("title: ''\n");
    const count = 12;
    const names = Array.from({ length: count }, (_, index) => `d${String(index).padStart(2, '0')}`);
    const objects = names.map((name, index) =>
      readManifest(
        {
          kind: 'MailDomain',
          metadata: { name, creationTimestamp: `2026-01-${String(index + 1).padStart(2, '0')}T00:00:00Z` },
          spec: {
            domain: `${name}.example`,
            mailbox: { maildir: {} },
            recipients: { mode: 'List' },
            ...(index === count - 1 ? {} : { submission: { enabled: true, accountsSecretRef: { name } } }),
          },
        },
        'acme',
      ),
    );
    const secrets = names.map((name, index) => ({
      name,
      type: 'Opaque',
      labels: { 'postern.dev/use': 'accounts' },
      annotations: {},
      revision: '1',
      data: { 'accounts.yaml': secret(new TextEncoder().encode(accounts(`${name}.example`, index + 1))) },
    }));
    const translation = compile({
      ...snapshot,
      objects,
      secrets,
      observed: { ...snapshot.observed, pods: [] },
    });
    const [mta] = translation.mtas;
    if (mta === undefined) throw new Error('no MTA');
    const carried = new Set(mta.bundle.domains.map(({ domain }) => domain));
    expect(carried.has('d00.example')).toBe(true);
    expect(carried.has(`d${count - 1}.example`)).toBe(true);
    expect(carried.size).toBeLessThan(count);
    for (const { name, status } of translation.statuses) {
      const programmed = status.conditions?.find(({ type }) => type === 'Programmed');
      const expected = carried.has(`${name}.example`) ? 'NoReadyPods' : 'ConfigTooLarge';
      expect(programmed?.reason, name).toBe(expected);
    }
    const { secretFiles } = render(mta);
    for (const [file, bytes] of secretFiles) expect(bytes.length, file).toBeLessThanOrEqual(524_288);
  });
});

function conditionOf(statuses: readonly StatusRecord[], name: string, type: string): string {
  const conditions = statuses.find((one) => one.name === name)?.status.conditions;
  const found = conditions?.find((one) => one.type === type);
  return `${found?.status}/${found?.reason}`;
}

function shuffle(snapshot: Snapshot, numbers: fc.Stream<number>): Snapshot {
  const mixed = <T>(items: readonly T[]): T[] => {
    const keyed = items.map((item) => ({ item, key: numbers.next().value ?? 0 }));
    return keyed.sort((left, right) => left.key - right.key).map(({ item }) => item);
  };
  return {
    ...snapshot,
    objects: mixed(snapshot.objects),
    secrets: mixed(snapshot.secrets),
    configMaps: mixed(snapshot.configMaps),
    mtas: mixed(snapshot.mtas),
    observed: { ...snapshot.observed, pods: mixed(snapshot.observed.pods) },
  };
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value;
}
