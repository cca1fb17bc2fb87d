import { keyFinalizer, secretNameOf } from '../../compile/dkim-secret.ts';
import { routeFinalizer } from './names.ts';
import { isForbidden, isNotFound } from './runtime/api-error.ts';
import type { MailOperator } from './runtime/mail-operator.ts';
import type { ResourceIdentity } from './runtime/resource.ts';
import { pluralOf } from './status-writer.ts';
import type { KindCaches } from './tenant-cache.ts';

/** Where objects are left behind. */
interface LeftPlace {
  readonly operator: MailOperator;
  readonly kinds: KindCaches;
  readonly namespace: string;
}

/**
 * Lets go of objects that are being deleted in a namespace that cannot be reconciled: when one is deleted, or `helm uninstall` is run,
 * the tenant's RoleBinding goes before its Routes and DkimKeys do, and from then on no Secret can be read and no pod seen. Without
 * this they, and the namespace, would stay Terminating for ever.
 *
 * @param warn is told of Secrets that should have gone with their DkimKeys
 * @throws ApiError 409 if the cache was stale
 */
export async function releaseLeftObjects(place: LeftPlace, warn: (message: string) => void): Promise<void> {
  await releaseRoutes(place);
  await releaseKeys(place, warn);
}

/** Routes where nothing is left that could use one. */
async function releaseRoutes({ operator, kinds, namespace }: LeftPlace): Promise<void> {
  const users = [kinds.get('MailDomain'), kinds.get('InboundGateway')];
  if (users.some((cache) => cache === undefined || [...cache.list(namespace)].length > 0)) return;
  for (const { identity } of kinds.get('Route')?.list(namespace) ?? []) {
    if (identity.metadata.deletionTimestamp === undefined) continue;
    await release(operator, identity, 'Route', routeFinalizer);
  }
}

/**
 * DkimKeys whose Secret we may not reach any more. A namespace that is only not followed yet lets us: there the deletion is still to be
 * noted on the Secret.
 */
async function releaseKeys(
  { operator, kinds, namespace }: LeftPlace,
  warn: (message: string) => void,
): Promise<void> {
  for (const { identity, parsed } of kinds.get('DkimKey')?.list(namespace) ?? []) {
    const { deletionTimestamp, finalizers, name } = identity.metadata;
    if (deletionTimestamp === undefined || finalizers?.includes(keyFinalizer) !== true) continue;
    if (!parsed.ok || parsed.object.kind !== 'DkimKey') continue;
    const secret = secretNameOf(parsed.object);
    if (await mayReach(operator, namespace, secret)) continue;
    await release(operator, identity, 'DkimKey', keyFinalizer);
    warn(
      `DkimKey ${namespace}/${name} goes without its Secret ${secret}, since nothing lets this operator into the namespace any more: delete it by hand`,
    );
  }
}

async function mayReach({ client }: MailOperator, namespace: string, secret: string): Promise<boolean> {
  try {
    await client.request('GET', `/api/v1/namespaces/${namespace}/secrets/${secret}`);
    return true;
  } catch (error) {
    if (isForbidden(error)) return false;
    if (isNotFound(error)) return true;
    throw error;
  }
}

async function release(
  operator: MailOperator,
  identity: ResourceIdentity,
  kind: 'Route' | 'DkimKey',
  finalizer: string,
): Promise<void> {
  try {
    await operator.setFinalizer(identity, pluralOf(kind), finalizer, false);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
