import * as z from 'zod';
import { ApiError } from '../../operator/platform/kubernetes/runtime/api-error.ts';
import { type ApiClient, patchTypes } from '../../operator/platform/kubernetes/runtime/client.ts';

/** One key of a Secret that may be used for one thing. */
export interface SecretPlace {
  readonly namespace: string;
  readonly name: string;
  readonly key: string;
  /** Value of its label `postern.dev/use`. */
  readonly use: string;
}

const storedSecret = z.object({
  metadata: z.object({
    resourceVersion: z.string(),
    labels: z.record(z.string(), z.string()).optional(),
  }),
  data: z.record(z.string(), z.string()).optional(),
});

/**
 * Changes one key of a Secret, or makes the Secret. Nothing is lost if somebody else changes it meanwhile: the API server
 * refuses then.
 * @param edit is given the text; empty if there is none.
 * @throws ApiError if the API server refuses.
 * @throws Error if the Secret is there for something else.
 */
export async function editSecret(
  client: Pick<ApiClient, 'request'>,
  { namespace, name, key, use }: SecretPlace,
  edit: (text: string) => string,
): Promise<void> {
  const secrets = `/api/v1/namespaces/${namespace}/secrets`;
  const data = (text: string) => ({ [key]: Buffer.from(edit(text)).toString('base64') });
  const stored = await client.request('GET', `${secrets}/${name}`).catch((error: unknown) => {
    if (error instanceof ApiError && error.code === 404) return undefined;
    throw error;
  });
  if (stored === undefined) {
    const metadata = { name, labels: { 'postern.dev/use': use } };
    await client.request('POST', secrets, {
      body: { apiVersion: 'v1', kind: 'Secret', metadata, data: data('') },
    });
    return;
  }
  const { metadata, data: old = {} } = storedSecret.parse(stored);
  if (metadata.labels?.['postern.dev/use'] !== use)
    throw new Error(`Secret ${name} lacks the label postern.dev/use: ${use}: it is there for something else`);
  const text = Object.hasOwn(old, key) ? Buffer.from(old[key] ?? '', 'base64').toString('utf8') : '';
  await client.request('PATCH', `${secrets}/${name}`, {
    contentType: patchTypes.merge,
    body: { metadata: { resourceVersion: metadata.resourceVersion }, data: data(text) },
  });
}
