import { hopMarkerOf, marksIn } from '../../mta/hop-marks.ts';
import type { DataFacts } from '../../policy/types.ts';

/** A mark by which the MTA knows where mail has been (G10, D8), and whether it holds; null: the key is not at hand. */
export interface MarkReport {
  readonly field: string;
  readonly valid: boolean | null;
}

type Message = Pick<DataFacts, 'headers' | 'size' | 'smuggling' | 'hopMarks'>;

/**
 * Verifies the marks of a message as the MTA does.
 * @param key of the namespace; without it no mark counts, and each is told of as not verified.
 * @param now seconds since the epoch.
 * @returns the message as end of DATA is judged by it, and what stands in its header.
 */
export function verifyMarks(
  message: Message,
  {
    key,
    ...envelope
  }: {
    readonly key: string | undefined;
    readonly envelopeFrom: string;
    readonly recipients: readonly string[];
    readonly now: number;
  },
): { readonly message: Message; readonly marks: readonly MarkReport[] } {
  const { headers } = message;
  if (key === undefined) {
    const marks = marksIn(headers).map(([field]) => ({ field, valid: null }));
    return { message, marks };
  }
  const marker = hopMarkerOf(key);
  const hopMarks = marker.read(headers, envelope.envelopeFrom, envelope.now);
  return {
    message: { ...message, ...(hopMarks && { hopMarks }) },
    marks: marker.inspect(headers, envelope),
  };
}
