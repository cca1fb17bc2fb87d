import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type ChartName, chartFolder, helm } from './helm.ts';

/** What `helm install` would print. */
async function notes(chart: ChartName, file: string, ...set: string[]): Promise<string> {
  const values = `--values=${join(chartFolder(chart), 'ci', file)}`;
  const settings = set.map((assignment) => `--set=${assignment}`);
  const { stdout, stderr } = await helm(
    'install',
    'mail',
    chartFolder(chart),
    '--namespace=tenant-a',
    '--dry-run=client',
    values,
    ...settings,
  );
  const start = stdout.indexOf('NOTES:');
  if (start < 0) throw new Error(`no NOTES: ${stderr}`);
  return stdout.slice(start);
}

const hidden = 'the MTA sees addresses of nodes, not of clients';

test('CH5: the notes of a tenant say what to wait for, and where the DNS record stands', async () => {
  const text = await notes('postern-tenant', 'full-values.yaml');
  expect(text).toContain('rollout status statefulset/mail');
  expect(text).toContain('helm test mail --namespace tenant-a');
  expect(text).toMatch(/^If they wait for the Secret \S+, the certificate is not there yet\.$/m);
  expect(text).toContain('wait --for=condition=Ready maildomain/example-com');
  expect(text).toContain("get dkimkey example-com -o jsonpath='{.status.dnsRecord.zoneFileLine}'");
  expect(text).not.toContain('WARNING');
});

test('CH11: the notes warn where nobody keeps the address of the client', async () => {
  expect(await notes('postern-tenant', 'load-balancer-values.yaml')).toContain(hidden);
  expect(
    await notes('postern-tenant', 'load-balancer-values.yaml', 'service.externalTrafficPolicy=Local'),
  ).not.toContain(hidden);
  expect(
    await notes('postern-tenant', 'load-balancer-values.yaml', 'settings.proxyProtocolFrom={10.0.0.1}'),
  ).not.toContain(hidden);
});

test('CH5: the notes of the operator say how a tenant names it, and what is not guarded', async () => {
  expect(await notes('postern', 'default-values.yaml')).toContain(
    '--set operator.namespace=tenant-a --set operator.serviceAccountName=mail',
  );
  const image = ['image.repository=registry.example/postern', 'image.tag=v7'];
  const named = await notes(
    'postern',
    'default-values.yaml',
    'class=blue',
    'rbac.namespaceRole.name=r',
    ...image,
  );
  expect(named).toMatch(/helm install mail charts\/postern-tenant .*(?: \\\n +--set .*)+\n/);
  for (const value of ['class=blue', 'operator.clusterRole=r', ...image])
    expect(named).toContain(` --set ${value}`);
  expect(await notes('postern', 'namespaced-values.yaml')).toContain(
    ' --set operator.createRoleBinding=false',
  );
  expect(await notes('postern', 'namespaced-values.yaml')).toContain('The admission policies are off');
});
