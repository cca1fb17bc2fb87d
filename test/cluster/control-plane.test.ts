import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { startChild } from './child.ts';
import { startControlPlane } from './control-plane.ts';
import { useControlPlane } from './shared.ts';

const cluster = useControlPlane({ identities: [{ name: 'anna', groups: ['tenants'] }] });

test('the real kubectl lists namespaces as admin', async () => {
  const { code, stdout } = await cluster.current.kubectl('admin', ['get', 'namespaces', '-o', 'name']);
  expect(code).toBe(0);
  expect(stdout).toContain('namespace/default');
});

test('RBAC refuses an identity until a role is bound, in that namespace only', async () => {
  const namespace = await cluster.freshNamespace();
  const other = await cluster.freshNamespace();
  const list = (where: string) =>
    cluster.current.kubectl('anna', ['get', 'configmaps', '-n', where, '-o', 'name']);
  const refused = await list(namespace);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('User "anna" cannot list resource "configmaps"');

  const grant = (args: string) =>
    cluster.current.kubectl('admin', ['create', '-n', namespace, ...args.split(' ')]);
  await grant('role reader --verb=list --resource=configmaps');
  await grant('rolebinding readers --role=reader --group=tenants');
  await expect.poll(async () => (await list(namespace)).code, { timeout: 10_000 }).toBe(0);
  expect((await list(other)).code).toBe(1);
});

test('a ServiceAccount logs in with a token that the API server issued', async () => {
  const namespace = await cluster.freshNamespace();
  const config = await cluster.current.kubeconfigForServiceAccount(namespace, 'operator');
  const { stdout } = await cluster.current.kubectl('admin', [
    '--kubeconfig',
    config,
    'auth',
    'whoami',
    '-o',
    'jsonpath={.status.userInfo.username}',
  ]);
  expect(stdout).toBe(`system:serviceaccount:${namespace}:operator`);
});

test('an unknown identity is named in the error', async () => {
  await expect(cluster.current.kubeconfigFor('bob')).rejects.toThrow('identity "bob" is unknown');
});

test('a server that ends at once fails with the end of its log', async () => {
  const child = startChild('/bin/sh', ['-c', 'echo no such flag >&2; exit 3'], { name: 'etcd' });
  await expect(child.ready(async () => false, 10_000)).rejects.toThrow(
    /etcd ended before it was ready.*\n.*no such flag/,
  );
});

test('no server outlives a runner that was killed', async () => {
  const module = fileURLToPath(new URL('control-plane.ts', import.meta.url));
  const script = `const {startControlPlane} = await import(${JSON.stringify(module)}); const c = await startControlPlane(); console.log(c.tls.certFile); setInterval(() => {}, 1000)`;
  const runner = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [line] = await once(runner.stdout, 'data');
    const folder = String(line).trim().replace('/apiserver.crt', '');
    expect(commandsOf(folder).length).toBeGreaterThanOrEqual(2);
    runner.kill('SIGKILL');
    await expect.poll(() => commandsOf(folder), { timeout: 10_000 }).toEqual([]);
    rmSync(folder, { recursive: true, force: true });
  } finally {
    runner.kill('SIGKILL');
  }
});

/** Command lines of the processes that have a text in theirs. */
function commandsOf(text: string): string[] {
  return globSync('/proc/[0-9]*/cmdline').flatMap((file) => {
    try {
      const command = readFileSync(file, 'utf8').replaceAll('\0', ' ');
      return command.includes(text) ? [command] : [];
    } catch {
      // It has ended in the meantime.
      return [];
    }
  });
}

test('stop ends both servers and may be called twice', async () => {
  const second = await startControlPlane();
  await second.stop();
  await second.stop();
  await expect(fetch(second.url)).rejects.toThrow();
});
