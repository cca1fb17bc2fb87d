import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { loadKubeConfig } from './client.ts';
import { MailOperator } from './mail-operator.ts';
import { manualClock } from './manual-clock.ts';

let home = '';
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'postern-home-'));
  await mkdir(join(home, '.kube'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(home, { recursive: true, force: true });
});

function chosen(): KubeConfig {
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: 'https://api.example:6443', skipTLSVerify: false },
    { name: 'u', token: 't' },
  );
  return config;
}

const makeOperator = (kubeConfig: KubeConfig) =>
  new MailOperator({
    kubeConfig,
    clock: manualClock(),
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    fieldManager: 'postern',
    workers: 1,
    reconcileTimeoutMs: 1_000,
    init: async () => {},
    reconcile: async () => undefined,
  });

const broken: [where: string, env: (file: string) => void][] = [
  ['~/.kube/config', () => vi.stubEnv('KUBECONFIG', '')],
  ['$KUBECONFIG', (file) => vi.stubEnv('KUBECONFIG', file)],
];
test.each(broken)('a broken %s is not read where another kubeconfig was given', async (_where, setUp) => {
  const file = join(home, '.kube', 'config');
  await writeFile(file, 'clusters: {broken');
  vi.stubEnv('HOME', home);
  setUp(file);
  await makeOperator(chosen()).stop();
  // Where it is the one to use, it is still read, and refused.
  expect(() => loadKubeConfig()).toThrow();
});
