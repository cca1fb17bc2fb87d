import { managerName } from './names.ts';
import { type ApiClient, patchTypes } from './runtime/client.ts';

/**
 * Merges a piece into an object, as our field manager (RFC 7386).
 * @param path of the object.
 * @returns the object as it is then.
 * @throws ApiError
 */
export function mergePatch(
  client: ApiClient,
  path: string,
  body: object,
  signal: AbortSignal,
): Promise<unknown> {
  return client.request('PATCH', path, {
    body,
    contentType: patchTypes.merge,
    query: { fieldManager: managerName },
    signal,
  });
}
