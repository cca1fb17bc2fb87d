// The same questions as in offline.test.ts, asked of a namespace of a real API server.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { useControlPlane } from '../cluster/shared.ts';
import { postern } from './run.ts';

const root = join(import.meta.dirname, '../..');
const manifests = join(root, 'examples/quickstart/manifests');
const cluster = useControlPlane();
let source: readonly string[];

beforeAll(async () => {
  await cluster.current.installCrds(join(root, 'crds'));
  const namespace = await cluster.freshNamespace('cli');
  const files = (await readdir(manifests))
    .filter((name) => name !== 'mta.yaml')
    .map((name) => join(manifests, name));
  const statefulSet = JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'mta', labels: { 'postern.dev/mta': 'default' } },
    spec: {
      replicas: 1,
      serviceName: 'mta',
      selector: { matchLabels: { app: 'mta' } },
      template: {
        metadata: { labels: { app: 'mta' } },
        spec: { containers: [{ name: 'mta', image: 'postern' }] },
      },
    },
  });
  const settings = JSON.stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'postern-mta-default' },
    data: { 'mta.yaml': await readFile(join(manifests, 'mta.yaml'), 'utf8') },
  });
  for (const [args, stdin] of [
    [files.flatMap((file) => ['-f', file]), ''],
    [['-f', '-'], statefulSet],
    [['-f', '-'], settings],
  ] as const) {
    const { code, stderr } = await cluster.current.kubectl(
      'admin',
      ['-n', namespace, 'apply', ...args],
      stdin,
    );
    expect(stderr).toBe('');
    expect(code).toBe(0);
  }
  source = ['-n', namespace, '--kubeconfig', await cluster.current.kubeconfigFor('admin')];
});

const ask = [
  '--client-ip',
  '127.0.0.50',
  '--mail-from',
  'a@b.example',
  '--rcpt',
  'carol@example.org',
  '-o',
  'json',
];

describe('postern -n NAMESPACE', () => {
  it('B7: explain says of a namespace what it says of the folder of the same manifests', async () => {
    const ofCluster = await postern(...['explain', ...source, ...ask]);
    const ofFolder = await postern(...['explain', '-f', manifests, ...ask]);
    expect(ofCluster.code).toBe(1);
    expect(JSON.parse(ofCluster.out)).toEqual(JSON.parse(ofFolder.out));
  });

  it('lint finds no error in it', async () => {
    const { code, out, err } = await postern(...['lint', ...source]);
    expect(out).toMatch(/9 objects, 0 errors/);
    expect(err).toMatch(
      /^note: no operator has rendered an MTA of namespace \S+: which addresses are the cluster's is not known/m,
    );
    expect(code).toBe(0);
  });

  it('status shows the statuses as stored, which nobody has written yet', async () => {
    const { code, out } = await postern(...['status', ...source, '-o', 'json']);
    expect(code).toBe(1);
    const answer: {
      objects: { name: string; status: { conditions: { type: string; status: string }[] } }[];
    } = JSON.parse(out);
    expect(answer.objects).toHaveLength(9);
    for (const { status } of answer.objects) {
      expect(status.conditions.find(({ type }) => type === 'Ready')?.status).toBe('Unknown');
    }
  });
});
