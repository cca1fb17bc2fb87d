import * as z from 'zod';
import type { ContentFilterLookup, FilterAnswer } from '../../policy/types.ts';

/** What rspamd wants to know beside the message. */
interface FilterEnvelope {
  readonly id: string;
  readonly from: string;
  readonly helo: string;
  readonly recipients: readonly string[];
  readonly account?: string;
}

/** Milliseconds that the filter has for its answer. */
const deadlineMs = 6_000;
/** Octets beyond which a message is not posted: the filter counts as silent, and `onFailure` decides. */
const maxBytes = 52_428_800;
/** Octets of the answer that are read. */
const maxAnswerBytes = 1_048_576;
/** Recipients that are named; the verdict is about the message. */
const maxRecipients = 100;

/** Of the answer to /checkv2 only what decides. */
const checkAnswer = z.object({
  action: z.string().max(64),
  score: z.number().default(0),
  symbols: z.record(z.string(), z.unknown()).default({}),
});

/**
 * Asks an rspamd about a message (POST /checkv2, rspamd's HTTP protocol).
 * @param content octets as they were before dot-stuffing.
 * @returns `unavailable` for everything that is no answer: it never throws for what the other side does.
 */
export async function askContentFilter(
  content: Buffer,
  { url, client }: ContentFilterLookup,
  envelope: FilterEnvelope,
): Promise<FilterAnswer> {
  if (content.length > maxBytes) return unavailable(`the message has more than ${maxBytes} octets`);
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}/checkv2`, {
      method: 'POST',
      headers: headersOf(envelope, client),
      body: new Uint8Array(content),
      // Nobody else is to be told the message.
      redirect: 'error',
      signal: AbortSignal.timeout(deadlineMs),
    });
    const text = await readText(response);
    if (!response.ok) return unavailable(`HTTP status ${response.status}`);
    const answer = checkAnswer.safeParse(JSON.parse(text));
    if (!answer.success) return unavailable('its answer has no action');
    const { action, score, symbols } = answer.data;
    return { kind: 'answer', action, score, symbols: Object.keys(symbols) };
  } catch (error) {
    return unavailable(describe(error));
  }
}

async function readText({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new Error(`its answer has more than ${maxAnswerBytes} octets`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function headersOf(
  { id, from, helo, recipients, account }: FilterEnvelope,
  client: string | undefined,
): Headers {
  const headers = new Headers({ 'Queue-Id': plain(id), From: plain(from), Helo: plain(helo) });
  if (client !== undefined) headers.set('IP', client);
  if (account !== undefined) headers.set('User', plain(account));
  for (const recipient of recipients.slice(0, maxRecipients)) headers.append('Rcpt', plain(recipient));
  return headers;
}

/** Printable ASCII: a client chooses these texts, and they stand in a header of HTTP. */
function plain(text: string): string {
  return text.replace(/[^ -~]/g, '?').slice(0, 512);
}

function unavailable(problem: string): FilterAnswer {
  return { kind: 'unavailable', problem };
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
