import { Address } from '@haraka/email-address';
import type { Because, Reply } from '../../policy/types.ts';

/** A path that the SMTP listener cannot parse: it answers before policy is asked, so no object decides and no reference is given. */
export interface Malformed {
  readonly verdict: 'reject';
  readonly malformed: true;
  readonly reply: Reply;
  readonly because: Because;
  readonly disconnect: false;
}

/**
 * What the listener says of a path that its grammar (RFC 5321 4.1.2) does not know; undefined if it takes it. The same parser
 * with the same options as the listener's.
 * @param command the one that carries the path.
 */
export function checkGrammar(command: 'MAIL FROM' | 'RCPT TO', path: string): Malformed | undefined {
  try {
    new Address(`<${path}>`, { postel: false });
    return undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
    const shown = `<${path}>`.replace(/[\x00-\x1f\x7f]/g, '');
    return {
      verdict: 'reject',
      malformed: true,
      reply: { code: 501, enhanced: '', text: `Invalid ${command} address ${shown}: ${reason}` },
      because: { kind: 'Postern', name: 'smtp-grammar', generation: 0, entry: command },
      disconnect: false,
    };
  }
}
