import { randomBytes } from 'node:crypto';
import { mergePatch } from './merge-patch.ts';
import { corePath, managerName, stateTokenKey, stateTokenName } from './names.ts';
import { type Owner, ownedBy, renderedLabels } from './object-plan.ts';
import { isConflict, isNotFound } from './runtime/api-error.ts';
import type { ApiClient } from './runtime/client.ts';
import { parseRawObject } from './stored-object.ts';
import { type TenantCache, toSecretRecord } from './tenant-cache.ts';

/** Secrets that are made once and then belong to the tenant: keys, and the token of GET /state. */

/** Creates a Secret unless one of that name is there, whoever made it: what is there is never replaced. */
export async function createSecretOnce(
  client: ApiClient,
  cache: TenantCache,
  name: string,
  body: unknown,
  signal: AbortSignal,
): Promise<void> {
  try {
    const query = { fieldManager: managerName };
    const answer = await client.request('POST', corePath(cache.namespace, 'secrets'), {
      body,
      query,
      signal,
    });
    const stored = parseRawObject(answer);
    cache.secrets.wrote(name, stored.metadata.resourceVersion, toSecretRecord(stored));
  } catch (error) {
    if (!isConflict(error)) throw error;
  }
}

/** Sees to it that the MTA's pods have a bearer token for GET /state; it is theirs by owner. */
export async function ensureStateToken(
  client: ApiClient,
  cache: TenantCache,
  owner: Owner,
  signal: AbortSignal,
): Promise<void> {
  const name = stateTokenName(owner.mta);
  if ((await cache.secrets.get(name)) !== undefined) return;
  const metadata = {
    name,
    namespace: cache.namespace,
    labels: renderedLabels(owner.mta),
    ownerReferences: ownedBy(owner, []),
  };
  const stringData = { [stateTokenKey]: randomBytes(32).toString('base64url') };
  const body = { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', stringData };
  await createSecretOnce(client, cache, name, body, signal);
}

/**
 * Sets one annotation of a Secret, unless it has that value.
 *
 * @param value undefined: it is taken away
 * @throws ApiError: Conflict if the Secret has changed since it was read
 */
export async function annotateSecret(
  client: ApiClient,
  cache: TenantCache,
  name: string,
  annotation: string,
  value: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const known = await cache.secrets.get(name);
  if (known === undefined || known.annotations[annotation] === value) return;
  const body = {
    metadata: { resourceVersion: known.revision, annotations: { [annotation]: value ?? null } },
  };
  const answer = await mergePatch(client, corePath(cache.namespace, 'secrets', name), body, signal);
  const stored = parseRawObject(answer);
  cache.secrets.wrote(name, stored.metadata.resourceVersion, toSecretRecord(stored));
}

/**
 * Deletes a Secret; one that is gone already is none to delete.
 *
 * @param resourceVersion the version that may be deleted
 * @throws ApiError: Conflict if it has changed since
 */
export async function deleteSecret(
  client: ApiClient,
  cache: TenantCache,
  name: string,
  resourceVersion: string,
  signal: AbortSignal,
): Promise<void> {
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion } };
  try {
    await client.request('DELETE', corePath(cache.namespace, 'secrets', name), { body, signal });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  } finally {
    cache.secrets.forget(name);
  }
}
