import { ApiError, causesOf } from './runtime/api-error.ts';

/**
 * Whether a reconcile failed only because the API server is not there, or not well: no answer, or 5xx. What it refuses (4xx) is no
 * outage, and trying that again soon does not help.
 */
export function isOutage(error: unknown): boolean {
  const causes = causesOf(error);
  return causes.length > 0 && causes.every(isOneOfAnOutage);
}

function isOneOfAnOutage(error: unknown): boolean {
  return error instanceof ApiError && error.reason !== 'Aborted' && (error.code === 0 || error.code >= 500);
}
