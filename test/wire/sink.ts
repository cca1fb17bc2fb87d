import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** One message that a sink has taken, for one envelope. */
interface SunkMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly data: string;
  readonly secure: boolean;
  readonly user: string | undefined;
}

/** What a sink answers. Absent: everything is accepted. */
export interface SinkBehaviour {
  /** Reply to a recipient, such as `550 5.1.1 no`. */
  readonly rcpt?: (recipient: string) => string | undefined;
  /** Reply to the sender. */
  readonly mail?: (sender: string) => string | undefined | Promise<string | undefined>;
  /** Reply at the end of the data; for LMTP asked for each recipient. */
  readonly data?: (recipient: string) => string | undefined;
  /** Milliseconds before the end of the data is answered. */
  readonly delayMs?: number;
}

export interface Sink {
  readonly port: number;
  readonly mails: SunkMail[];
  /** Changes at any time. */
  behaviour: SinkBehaviour;
  /** Commands that arrived without TLS: the names of the hooks that were called. */
  readonly clear: string[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a mail server that keeps what it is given. */
export async function startSink(
  options: {
    lmtp?: boolean;
    port?: number;
    host?: string;
    behaviour?: SinkBehaviour;
    server?: SMTPServerOptions;
  } = {},
): Promise<Sink> {
  const sink = { mails: [] as SunkMail[], behaviour: options.behaviour ?? {}, clear: [] as string[] };
  const note = (session: { secure?: boolean }, command: string) => {
    if (session.secure !== true) sink.clear.push(command);
  };
  const server = new SMTPServer({
    lmtp: options.lmtp ?? false,
    authOptional: true,
    disabledCommands: ['STARTTLS', 'AUTH'],
    disableReverseLookup: true,
    closeTimeout: 100,
    logger: false,
    ...options.server,
    onMailFrom(address, session, done) {
      note(session, 'MAIL');
      Promise.resolve(sink.behaviour.mail?.(address.address)).then((answer) => done(failure(answer)), done);
    },
    onRcptTo(address, _session, done) {
      done(failure(sink.behaviour.rcpt?.(address.address)));
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const recipients = session.envelope.rcptTo.map(({ address }) => address);
        const answers = recipients.map((recipient) => sink.behaviour.data?.(recipient));
        const accepted = recipients.filter((_, position) => answers[position] === undefined);
        const finish = () => {
          const from = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
          if (accepted.length > 0) {
            sink.mails.push({
              from,
              to: accepted,
              data: Buffer.concat(chunks).toString('latin1'),
              secure: session.secure,
              user: session.user,
            });
          }
          if (options.lmtp === true) doneEach(done, answers);
          else done(failure(answers[0]));
        };
        setTimeout(finish, sink.behaviour.delayMs ?? 0);
      });
    },
  });
  server.on('error', () => undefined);
  const listener = server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
  await once(listener, 'listening');
  const address: AddressInfo | string | null = listener.address();
  if (address === null || typeof address === 'string') throw new Error('the sink has no port');
  return Object.assign(sink, {
    port: address.port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(resolve)),
  });
}

function failure(reply: string | undefined): Error | null {
  if (reply === undefined) return null;
  const [code = '451', ...text] = reply.split(' ');
  return Object.assign(new Error(text.join(' ')), { responseCode: Number(code) });
}

/** LMTP: one answer for each recipient. The typings know SMTP's single answer only. */
function doneEach(
  done: (error?: Error | null, message?: never) => void,
  answers: readonly (string | undefined)[],
): void {
  const each = answers.map((reply) => failure(reply) ?? 'stored');
  Reflect.apply(done, undefined, [null, each]);
}
