// What went wrong with a request to the API server, in one type for answers and for missing answers.
import { isRecord } from './resource.ts';

export interface ErrorCause {
  readonly reason: string;
  readonly field: string;
  readonly message: string;
}

export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** HTTP status (of the answer, or of a watch's ERROR event); 0 if there was no answer. */
  readonly code: number;
  /** `metav1.StatusReason` such as Conflict or Expired; without an answer Unreachable, Timeout, Silent or Aborted. */
  readonly reason: string;
  /** `Status.details.causes`: one entry per wrong field, or per conflicting field manager. */
  readonly causes: readonly ErrorCause[];
  /** Milliseconds that the server wants us to wait (Retry-After), if it said so. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: number,
    reason: string,
    message: string,
    causes: readonly ErrorCause[] = [],
    retryAfterMs?: number,
  ) {
    super(message);
    this.retryAfterMs = retryAfterMs;
    this.code = code;
    this.reason = reason;
    this.causes = causes;
  }
}

/**
 * Reads a `Status` object, the body of every refusal and the object of an ERROR event.
 *
 * @param status The parsed body, whatever it is: proxies in between answer with other things.
 * @param code HTTP status of the answer, used where the body does not name one.
 * @param what Method and path, to begin the message with.
 * @param retryAfter Value of the header, in seconds; a date is not read.
 */
export function errorFromStatus(status: unknown, code: number, what: string, retryAfter = ''): ApiError {
  const retryAfterMs = /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) * 1_000 : undefined;
  if (!isRecord(status)) return new ApiError(code, 'Unknown', `${what}: HTTP ${code}`, [], retryAfterMs);
  const message = typeof status['message'] === 'string' ? status['message'] : `HTTP ${code}`;
  const reason =
    typeof status['reason'] === 'string' && status['reason'] !== '' ? status['reason'] : 'Unknown';
  const ownCode = typeof status['code'] === 'number' ? status['code'] : code;
  const details = isRecord(status['details']) ? status['details'] : {};
  const causes = Array.isArray(details['causes']) ? details['causes'].filter(isRecord).map(readCause) : [];
  return new ApiError(ownCode, reason, `${what}: ${message}`, causes, retryAfterMs);
}

function readCause(cause: Record<string, unknown>): ErrorCause {
  const text = (field: string) => (typeof cause[field] === 'string' ? cause[field] : '');
  return { reason: text('reason'), field: text('field'), message: text('message') };
}

/** `true` if the server no longer knows the resource version or continue token: only a new LIST helps. */
export function isExpired(error: unknown): boolean {
  return (
    error instanceof ApiError && (error.code === 410 || error.reason === 'Expired' || error.reason === 'Gone')
  );
}

/** `true` if the object is not there. */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.code === 404;
}

/** What went wrong in one or in several things that were tried together. */
export function causesOf(failure: unknown): readonly unknown[] {
  return failure instanceof AggregateError ? failure.errors.flatMap(causesOf) : [failure];
}

/** Milliseconds that the server wants us to wait before we ask again; 0 if it did not say. */
export function retryAfterOf(failure: unknown): number {
  return Math.max(
    0,
    ...causesOf(failure).map((cause) => (cause instanceof ApiError ? (cause.retryAfterMs ?? 0) : 0)),
  );
}

/** `true` if the caller may not do it, or nobody may now. */
export function isForbidden(error: unknown): error is ApiError {
  return error instanceof ApiError && error.code === 403;
}

/** `true` if nothing new may come into the namespace because it is being deleted. */
export function isTerminating(error: unknown): boolean {
  // k8s.io/api/core/v1, NamespaceTerminatingCause
  return error instanceof ApiError && error.causes.some(({ reason }) => reason === 'NamespaceTerminating');
}

/** `true` if a watch was given up because nothing came. */
export function isSilence(error: unknown): boolean {
  return error instanceof ApiError && error.reason === 'Silent';
}

/** `true` if somebody wrote the object since we read it, or created it before us. */
export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.code === 409;
}
