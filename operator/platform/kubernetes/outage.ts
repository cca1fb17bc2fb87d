import { ApiError } from './runtime/api-error.ts';

/**
 * Whether a reconcile failed only because the API server is not there, or not well: no answer, or 5xx. What it refuses (4xx) is no
 * outage, and trying that again soon does not help.
 */
export function isOutage(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isOutage);
  return error instanceof ApiError && error.reason !== 'Aborted' && (error.code === 0 || error.code >= 500);
}
