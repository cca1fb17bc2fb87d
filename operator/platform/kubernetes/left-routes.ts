import { routeFinalizer } from './names.ts';
import { isNotFound } from './runtime/api-error.ts';
import type { MailOperator } from './runtime/mail-operator.ts';
import { pluralOf } from './status-writer.ts';
import type { KindCaches } from './tenant-cache.ts';

/**
 * Lets go of Routes that are being deleted in a namespace where nothing is left that could use one. For namespaces that cannot be
 * reconciled: when one is deleted, the tenant's RoleBinding goes before its Routes do, and an operator that comes to it only then may
 * read no pod and no Secret in it. Without this the namespace would stay Terminating for ever.
 *
 * @throws ApiError 409 if the cache was stale
 */
export async function releaseLeftRoutes(
  operator: MailOperator,
  kinds: KindCaches,
  namespace: string,
): Promise<void> {
  const users = [kinds.get('MailDomain'), kinds.get('InboundGateway')];
  if (users.some((cache) => cache === undefined || [...cache.list(namespace)].length > 0)) return;
  for (const { identity } of kinds.get('Route')?.list(namespace) ?? []) {
    if (identity.metadata.deletionTimestamp === undefined) continue;
    try {
      await operator.setFinalizer(identity, pluralOf('Route'), routeFinalizer, false);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
