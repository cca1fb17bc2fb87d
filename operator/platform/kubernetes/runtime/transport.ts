// What goes to the API server and what comes back, whichever version of HTTP carries it.
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';
import { ApiError } from './api-error.ts';

/** Before a cloud load balancer's 60 s of idleness, as client-go does. */
export const TCP_KEEP_ALIVE_MS = 30_000;

export interface Outgoing {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer | undefined;
  readonly signal: AbortSignal;
  /** Milliseconds without a byte of this answer after which it is given up; undefined: the signal alone ends it. */
  readonly idleMs: number | undefined;
  /** Certificates and whom to trust, as the kubeconfig says now. */
  readonly credentials: RequestOptions;
}

export interface Answer {
  /** HTTP status. */
  readonly code: number;
  readonly headers: IncomingHttpHeaders;
  /** Throws if the answer does not come to its end. Leaving it early ends the exchange. */
  readonly body: AsyncIterable<unknown>;
}

/** Why an answer was given up that was silent for so long. */
export function silence(idleMs: number): ApiError {
  return new ApiError(0, 'Silent', `no byte in ${idleMs} ms`);
}
