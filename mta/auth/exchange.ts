/** What a client has said so far in a SASL exchange, and what it must say next. */
export type Exchange =
  | { readonly step: 'plain' }
  | { readonly step: 'login-name' }
  | { readonly step: 'login-password'; readonly name: string };

/** The next move of the server. */
export type Move =
  /** 334 with this text (base64 already), then the client's line goes to `proceed`. */
  | { readonly kind: 'challenge'; readonly text: string; readonly exchange: Exchange }
  | { readonly kind: 'credentials'; readonly name: string; readonly password: string }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'unknownMechanism' };

/** Longest line that is looked at: nobody's name and password together come near it. */
const longest = 1_024;

/**
 * AUTH with its argument: PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), both with or without initial response
 * (RFC 4954 4).
 */
export function beginExchange(argument: string): Move {
  const [mechanism = '', initial] = argument.trim().split(/ +/, 2);
  switch (mechanism.toUpperCase()) {
    case 'PLAIN':
      if (initial === undefined) return { kind: 'challenge', text: '', exchange: { step: 'plain' } };
      return proceedExchange({ step: 'plain' }, initial);
    case 'LOGIN':
      if (initial !== undefined) return proceedExchange({ step: 'login-name' }, initial);
      return { kind: 'challenge', text: encode('Username:'), exchange: { step: 'login-name' } };
    default:
      return { kind: 'unknownMechanism' };
  }
}

/** @param line what the client answered to the challenge. */
export function proceedExchange(exchange: Exchange, line: string): Move {
  if (line === '*') return { kind: 'cancelled' };
  const text = decode(line);
  if (text === undefined) return { kind: 'malformed' };
  switch (exchange.step) {
    case 'plain': {
      const [authorizeAs, name, password, ...more] = text.split('\0');
      if (name === undefined || password === undefined || more.length > 0) return { kind: 'malformed' };
      // Nobody acts for somebody else.
      if (authorizeAs !== '' && authorizeAs !== name) return { kind: 'malformed' };
      return { kind: 'credentials', name, password };
    }
    case 'login-name':
      return {
        kind: 'challenge',
        text: encode('Password:'),
        exchange: { step: 'login-password', name: text },
      };
    case 'login-password':
      return { kind: 'credentials', name: exchange.name, password: text };
  }
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** Strict base64 of UTF-8; `=` is the empty string (RFC 4954 4). */
function decode(line: string): string | undefined {
  if (line === '=') return '';
  if (
    line.length > longest ||
    !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(line)
  ) {
    return undefined;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(line, 'base64'));
  } catch {
    return undefined;
  }
}
