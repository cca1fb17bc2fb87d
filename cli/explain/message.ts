import type { DataFacts } from '../../policy/types.ts';

/**
 * What end of DATA is judged by, read from a message file. A file with Unix line ends stands for the message with CRLF, as a mail
 * client would send it; in a file that has CRLF, a lone CR or LF is what it would be on the wire.
 */
export function readMessage(bytes: Uint8Array): Pick<DataFacts, 'headers' | 'size' | 'smuggling'> {
  const raw = Buffer.from(bytes).toString('latin1');
  const text = raw.includes('\r\n') ? raw : raw.replaceAll('\n', '\r\n');
  return { headers: readHeaders(text), size: text.length, smuggling: findSmuggling(text) };
}

/** Unfolded header lines, in order (RFC 5322 2.2.3). */
function readHeaders(text: string): (readonly [string, string])[] {
  const end = text.indexOf('\r\n\r\n');
  const block = end === -1 ? text : text.slice(0, end);
  const headers: (readonly [string, string])[] = [];
  for (const line of block.replace(/\r\n(?=[ \t])/g, '').split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) {
      const value = Buffer.from(line.slice(colon + 1), 'latin1').toString('utf8');
      headers.push([line.slice(0, colon).trimEnd(), value.trim()]);
    }
  }
  return headers;
}

function findSmuggling(text: string): DataFacts['smuggling'] {
  if (text.includes('\0')) return 'nul';
  if (/\r(?!\n)/.test(text)) return 'bareCr';
  if (/(?<!\r)\n/.test(text)) return 'bareLf';
  return 'none';
}
