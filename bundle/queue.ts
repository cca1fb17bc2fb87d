import * as z from 'zod';

/** Most mails that one answer lists, and most ids that one order names. */
export const queuePageSize = 200;
export const queueOrderSize = 100;

/** What may be asked of mail that waits. */
export const queueVerbs = ['retry', 'hold', 'release', 'bounce'] as const;
export type QueueVerb = (typeof queueVerbs)[number];

/** One leg that waits in a queue: no local part of anybody, and nothing of the message. */
const queuedMail = z.object({
  /** The `id` of the log: transaction and position of the leg. It stays the same from attempt to attempt. */
  id: z.string(),
  /** Active: being delivered, or about to be. */
  state: z.enum(['Active', 'Deferred', 'Held']),
  /** Seconds since the epoch. */
  arrived: z.int(),
  /** Octets of the message. */
  size: z.int(),
  attempts: z.int(),
  /** Seconds since the epoch; null while active or held. */
  nextAttempt: z.int().nullable(),
  /** Why the last attempt failed, as long as this process knows: a restart forgets it. */
  lastAnswer: z.object({ at: z.int(), text: z.string() }).nullable(),
  /** The hosted domain on whose behalf it waits; null if the file is of another version. */
  domain: z.string().nullable(),
  recipientDomain: z.string(),
  /** `Route/<name>` or `Mx`; null as above. */
  destination: z.string().nullable(),
});
export type QueuedMail = z.infer<typeof queuedMail>;

/** What `GET /queue` of an MTA answers, oldest first. */
export const queuePage = z.object({
  total: z.int(),
  held: z.int(),
  mails: z.array(queuedMail),
  /** Goes into `after` for the next page; null on the last one. */
  next: z.string().nullable(),
});
export type QueuePage = z.infer<typeof queuePage>;

/** What `GET /queue/<id>` answers; the header only where it was asked for. */
export const queueEnvelope = z.object({
  mail: queuedMail
    .extend({
      from: z.string(),
      to: z.string(),
      purpose: z.string().nullable(),
      onFailure: z.string().nullable(),
      headers: z.array(z.tuple([z.string(), z.string()])).optional(),
    })
    .nullable(),
});
export type QueueEnvelope = z.infer<typeof queueEnvelope>;

/** What `POST /queue/<id>[,<id>...]/<verb>` answers. */
export const queueResults = z.object({
  results: z.array(
    z.object({
      id: z.string(),
      outcome: z.enum(['Done', 'Unknown', 'Refused']),
      /** What stands in the way of a refused one. */
      detail: z.string(),
    }),
  ),
});
export type QueueResult = z.infer<typeof queueResults>['results'][number];
