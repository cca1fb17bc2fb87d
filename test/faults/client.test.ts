import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiError } from '../../operator/platform/kubernetes/runtime/api-error.ts';
import {
  type ApiClient,
  createApiClient,
  loadKubeConfig,
} from '../../operator/platform/kubernetes/runtime/client.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { type FaultProxy, nthWrite, startFaultProxy } from './proxy.ts';
import { recordFaults } from './record.ts';

const cluster = useControlPlane({ identities: [{ name: 'nobody', groups: [] }] });
let proxy: FaultProxy;
let client: ApiClient;
let path: string;

async function failure(request: Promise<unknown>): Promise<ApiError> {
  const error = await request.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApiError)) throw new Error(`expected an ApiError, got ${String(error)}`);
  return error;
}

describe.each(['HTTP/2', 'HTTP/1.1'] as const)('%s', (newest) => {
  beforeEach(async () => {
    path = `/api/v1/namespaces/${await cluster.freshNamespace()}/configmaps`;
    proxy = await startFaultProxy(cluster.current, { newest });
    client = createApiClient(loadKubeConfig(await cluster.current.kubeconfigFor('admin', proxy.url)));
  });

  afterEach(async () => {
    recordFaults(proxy.injections);
    client.close();
    await proxy.stop();
  });

  test('the newest version of HTTP is spoken that the server offers', async () => {
    await client.request('GET', path);
    expect(proxy.requests.map(({ version }) => version)).toEqual([newest === 'HTTP/2' ? '2.0' : '1.1']);
  });

  test(`X3: an API server that does not answer is given up at the deadline (${newest})`, async () => {
    proxy.inject({ fault: { do: 'delay', ms: 5_000 }, times: 1 });
    expect(await failure(client.request('GET', path, { timeoutMs: 200 }))).toMatchObject({
      code: 0,
      reason: 'Timeout',
    });
  });

  test('a request ends with its signal', async () => {
    proxy.inject({ fault: { do: 'delay', ms: 5_000 }, times: 1 });
    const signal = AbortSignal.timeout(100);
    expect(await failure(client.request('GET', path, { signal }))).toMatchObject({
      code: 0,
      reason: 'Aborted',
    });
  });

  test('an unreachable API server is an error without a code that names the request', async () => {
    await proxy.setReachable(false);
    const error = await failure(client.request('GET', path));
    expect(error).toMatchObject({ code: 0, reason: 'Unreachable' });
    expect(error.message).toMatch(new RegExp(`^GET ${path}: .*ECONNREFUSED`));
  });

  test('an invalid object is refused with each cause', async () => {
    const body = { metadata: { name: 'Not_A_Name' }, data: { 'bad key': '' } };
    const error = await failure(client.request('POST', path, { body }));
    expect(error).toMatchObject({ code: 422, reason: 'Invalid' });
    expect(error.causes.map(({ field }) => field).sort()).toEqual(['data[bad key]', 'metadata.name']);
  });

  test('a conflict, a missing object and a forbidden one are told by code and reason', async () => {
    await client.request('POST', path, { body: { metadata: { name: 'a' } } });
    expect(await failure(client.request('POST', path, { body: { metadata: { name: 'a' } } }))).toMatchObject({
      code: 409,
      reason: 'AlreadyExists',
    });
    const stale = { metadata: { name: 'a', resourceVersion: '1' } };
    expect(await failure(client.request('PUT', `${path}/a`, { body: stale }))).toMatchObject({
      code: 409,
      reason: 'Conflict',
    });
    expect(await failure(client.request('GET', `${path}/b`))).toMatchObject({
      code: 404,
      reason: 'NotFound',
    });
    const nobody = createApiClient(loadKubeConfig(await cluster.current.kubeconfigFor('nobody')));
    expect(await failure(nobody.request('GET', path))).toMatchObject({ code: 403, reason: 'Forbidden' });
    nobody.close();
  });

  test('an idle connection that the server closed is no error for a GET', async () => {
    await client.request('GET', path);
    proxy.cutConnections();
    await client.request('GET', path);
  });

  test('the n-th write can be answered by a kill after the server has done it', async () => {
    const killed: string[] = [];
    proxy.inject({
      ...nthWrite(2),
      fault: { do: 'call', when: 'after', run: () => void killed.push('now') },
    });
    proxy.inject({ ...nthWrite(1), fault: { do: 'cut', when: 'after' } });
    // The first rule that hits wins; a rule counts only the requests that come to it.
    await failure(client.request('POST', path, { body: { metadata: { name: 'a' } } }));
    expect(killed).toEqual([]);
    await client.request('POST', path, { body: { metadata: { name: 'b' } } });
    expect(killed).toEqual(['now']);
    const list = await client.request('GET', path);
    expect(list).toMatchObject({ items: [{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }] });
  });

  test('the real kubectl goes through the proxy', async () => {
    const config = await cluster.current.kubeconfigFor('admin', proxy.url);
    const { code } = await cluster.current.kubectl('admin', ['--kubeconfig', config, 'get', 'namespaces']);
    expect(code).toBe(0);
    expect(
      proxy.requests.some(({ plural, agent }) => plural === 'namespaces' && agent.startsWith('kubectl')),
    ).toBe(true);
  });
});
