import { ApiError, causesOf } from './runtime/api-error.ts';

/**
 * Whether a reconcile failed only because the API server is not there, or not well: no answer, 5xx, or 429. What else it refuses (4xx)
 * is no outage, and trying that again soon does not help.
 */
export function isOutage(error: unknown): boolean {
  const causes = causesOf(error);
  return causes.length > 0 && causes.every(isOneOfAnOutage);
}

function isOneOfAnOutage(error: unknown): boolean {
  if (!(error instanceof ApiError) || error.reason === 'Aborted') return false;
  return error.code === 0 || error.code === 429 || error.code >= 500;
}
