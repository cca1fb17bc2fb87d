import { readHeaders } from '../../policy/headers.ts';
import type { DataFacts } from '../../policy/types.ts';

/**
 * What end of DATA is judged by, read from a message file. A file with Unix line ends stands for the message with CRLF, as a mail
 * client would send it; in a file that has CRLF, a lone CR or LF is what it would be on the wire.
 */
export function readMessage(bytes: Uint8Array): Pick<DataFacts, 'headers' | 'size' | 'smuggling'> {
  const raw = Buffer.from(bytes).toString('latin1');
  const text = raw.includes('\r\n') ? raw : raw.replaceAll('\n', '\r\n');
  const [header = ''] = text.split('\r\n\r\n', 1);
  const headers = readHeaders(Buffer.from(header, 'latin1').toString('utf8'));
  return { headers, size: text.length, smuggling: findSmuggling(text) };
}

function findSmuggling(text: string): DataFacts['smuggling'] {
  if (text.includes('\0')) return 'nul';
  if (/\r(?!\n)/.test(text)) return 'bareCr';
  if (/(?<!\r)\n/.test(text)) return 'bareLf';
  return 'none';
}
