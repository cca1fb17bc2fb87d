import type { Haraka, HarakaConnection } from './haraka.ts';

/** MAIL FROM or RCPT TO as the client sent it. */
export interface EnvelopeCommand {
  /** Without its brackets; whatever it is, the policy's grammar judges it (policy/mailbox.ts). */
  readonly path: string;
  /** ESMTP parameters as they came: `SIZE=1000`, `BODY=8BITMIME`. */
  readonly params: readonly string[];
}

/** A path that Haraka's own parser takes whatever the client sent. It stands for the real one, which it never sees. */
const standIn = { mail: 'FROM:<>', rcpt: 'TO:<postmaster>' } as const;
const prefixes = { mail: /^FROM:/i, rcpt: /^TO:/i } as const;

/**
 * Reads the argument of MAIL or RCPT (RFC 5321 4.1.1.2, 4.1.1.3). The path ends at the first `>` outside of quotes; brackets may
 * be missing. What is no path in brackets is taken as a whole: it is for the policy to refuse.
 * @param argument what follows the command word.
 * @returns undefined if the argument does not begin with `FROM:` or `TO:`, or nothing follows it.
 */
export function readEnvelopeCommand(verb: 'mail' | 'rcpt', argument: string): EnvelopeCommand | undefined {
  if (!prefixes[verb].test(argument)) return undefined;
  const text = argument.replace(prefixes[verb], '').replace(/^[ \t]+|[ \t]+$/g, '');
  if (text === '') return undefined;
  if (!text.startsWith('<')) {
    const [path = '', ...params] = words(text);
    return { path, params };
  }
  const end = closingBracket(text);
  const rest = end === undefined ? 'no end' : text.slice(end + 1);
  if (rest !== '' && !/^[ \t]/.test(rest)) return { path: text.replace(/^<|>$/g, ''), params: [] };
  return { path: text.slice(1, end), params: words(rest) };
}

/**
 * Keeps the paths of MAIL and RCPT away from Haraka's parser: it refuses some before any hook is asked, with the client's text in
 * its reply and without a reference (B7), and takes a narrower grammar than the policy does. The hooks find the command with
 * `envelopeCommandOf`.
 * @param malformed answers a command without `FROM:` or `TO:`.
 */
export function takeEnvelopeCommands(
  { connectionClass: { prototype } }: Pick<Haraka, 'connectionClass'>,
  malformed: (connection: HarakaConnection) => void,
): void {
  const wrap = (verb: 'mail' | 'rcpt', original: (this: HarakaConnection, argument: string) => void) =>
    function (this: HarakaConnection, argument: string): void {
      const command = readEnvelopeCommand(verb, argument);
      if (command === undefined) {
        malformed(this);
        return;
      }
      this.posternCommand = command;
      original.call(this, standIn[verb]);
    };
  prototype.cmd_mail = wrap('mail', prototype.cmd_mail);
  prototype.cmd_rcpt = wrap('rcpt', prototype.cmd_rcpt);
}

/** @throws Error if the command did not come through `takeEnvelopeCommands`. */
export function envelopeCommandOf(connection: HarakaConnection): EnvelopeCommand {
  const command = connection.posternCommand;
  if (command === undefined) throw new Error(`connection ${connection.uuid} has sent no MAIL or RCPT`);
  return command;
}

/** Position of the `>` that ends the path; quotes hide one, a backslash hides a quote. */
function closingBracket(text: string): number | undefined {
  let quoted = false;
  for (let i = 1; i < text.length; i += 1) {
    const character = text[i];
    if (quoted && character === '\\') i += 1;
    else if (character === '"') quoted = !quoted;
    else if (character === '>' && !quoted) return i;
  }
  return undefined;
}

function words(text: string): string[] {
  return text.split(/[ \t]+/).filter((word) => word !== '');
}
