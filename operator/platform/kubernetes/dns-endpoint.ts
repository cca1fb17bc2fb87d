import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { apiVersion } from '../../api/kind.ts';
import type { DnsEndpointOutcome, Want } from '../../compile/model.ts';
import { labels, managerName } from './names.ts';
import { ApiError, isNotFound } from './runtime/api-error.ts';
import { type ApiClient, patchTypes } from './runtime/client.ts';

/** The kind of external-dns (its `--source=crd`), as of its v0.22; no field of it but these is written. */
const group = 'externaldns.k8s.io/v1alpha1';

const stored = z.looseObject({
  metadata: z.looseObject({
    uid: z.string(),
    resourceVersion: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    ownerReferences: z.array(z.looseObject({ uid: z.string() })).default([]),
  }),
  spec: z.unknown(),
});
type Stored = z.infer<typeof stored>;

/** Where one DNSEndpoint lies, and whose it is. */
export interface DnsEndpointPlace {
  readonly client: ApiClient;
  readonly namespace: string;
  readonly signal: AbortSignal;
}

/**
 * Brings a DNSEndpoint about; writes only if it is missing or differs. It belongs to its DkimKey, with which it goes.
 *
 * @throws ApiError for what may be different next time; what somebody has to put right is an outcome
 */
export function writeDnsEndpoint(
  place: DnsEndpointPlace,
  { name, endpoint, dkimKey }: Extract<Want, { kind: 'publishRecord' }>,
  dkimKeyUid: string,
): Promise<DnsEndpointOutcome> {
  return attempt(place.namespace, async () => {
    const spec = { endpoints: [endpoint] };
    const found = await read(place, name);
    if (found === undefined && !(await isInstalled(place))) return notInstalled;
    if (found !== undefined && !isOurs(found)) return taken(name);
    const owned = found?.metadata.ownerReferences.some(({ uid }) => uid === dkimKeyUid) === true;
    if (owned && isDeepStrictEqual(found?.spec, spec)) return { outcome: 'Written' };
    const ownerReferences = [
      { apiVersion, kind: 'DkimKey', name: dkimKey, uid: dkimKeyUid, controller: true },
    ];
    const metadata = {
      name,
      namespace: place.namespace,
      labels: { 'app.kubernetes.io/name': managerName, [labels.managedBy]: managerName },
      ownerReferences,
    };
    await place.client.request('PATCH', pathOf(place, name), {
      body: { apiVersion: group, kind: 'DNSEndpoint', metadata, spec },
      contentType: patchTypes.apply,
      query: { fieldManager: managerName, force: true },
      signal: place.signal,
    });
    return { outcome: 'Written' };
  });
}

/** Takes a DNSEndpoint of ours away; external-dns then removes the record. @throws as `writeDnsEndpoint` */
export function removeDnsEndpoint(
  place: DnsEndpointPlace,
  { name }: Extract<Want, { kind: 'withdrawRecord' }>,
): Promise<DnsEndpointOutcome> {
  return attempt(place.namespace, async () => {
    const found = await read(place, name);
    if (found === undefined || !isOurs(found)) return { outcome: 'Withdrawn' };
    const { uid, resourceVersion } = found.metadata;
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } };
    await place.client.request('DELETE', pathOf(place, name), { body, signal: place.signal });
    return { outcome: 'Withdrawn' };
  });
}

const notInstalled: DnsEndpointOutcome = {
  outcome: 'Failed',
  reason: 'KindNotInstalled',
  message: `The cluster has no DNSEndpoint of ${group}`,
};

function taken(name: string): DnsEndpointOutcome {
  return {
    outcome: 'Failed',
    reason: 'NameTaken',
    message: `DNSEndpoint ${name} exists, and its label ${labels.managedBy} does not say that Postern made it`,
  };
}

async function attempt(
  namespace: string,
  action: () => Promise<DnsEndpointOutcome>,
): Promise<DnsEndpointOutcome> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 403) throw error;
    const message = `The operator may not write DNSEndpoints in namespace ${namespace}`;
    return { outcome: 'Failed', reason: 'Forbidden', message };
  }
}

async function read(place: DnsEndpointPlace, name: string): Promise<Stored | undefined> {
  try {
    return stored.parse(await place.client.request('GET', pathOf(place, name), { signal: place.signal }));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** The answer 404 does not tell whether the object is missing or its kind. */
async function isInstalled({ client, signal }: DnsEndpointPlace): Promise<boolean> {
  try {
    await client.request('GET', `/apis/${group}`, { signal });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

function isOurs({ metadata }: Stored): boolean {
  return metadata.labels[labels.managedBy] === managerName;
}

function pathOf({ namespace }: DnsEndpointPlace, name: string): string {
  return `/apis/${group}/namespaces/${namespace}/dnsendpoints/${name}`;
}
