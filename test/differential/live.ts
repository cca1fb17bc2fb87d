import { SmtpSession } from '../../examples/quickstart/smtp-session.ts';
import { authLine } from '../wire/account.ts';
import type { CaseSession, CaseTransaction } from './sessions.ts';

/** What the wire said to each recipient of each transaction: the whole reply line, the last one that decided. */
export type LiveAnswers = readonly (readonly string[])[];

/** Address of the proxy that is listed; no case connects from it without a PROXY line. */
export const listedProxy = '127.9.9.9';

/** Stands for the recipients after a reply that closed the connection. */
export const notAsked = '(connection closed)';

/** Where a session goes. */
export interface Listeners {
  readonly smtp: { readonly host: string; readonly port: number };
  readonly submission: { readonly host: string; readonly port: number };
}

/** Plays one session against the server. @throws Error if the server does something that no reply stands for. */
export async function playSession(listeners: Listeners, session: CaseSession): Promise<LiveAnswers> {
  const { peer, proxyLine, tls, transactions, account } = session;
  const address = account === undefined ? listeners.smtp : listeners.submission;
  const opened = await SmtpSession.open({
    ...address,
    localAddress: proxyLine === undefined ? peer : listedProxy,
    ...(proxyLine === undefined ? {} : { proxyLine }),
  });
  const smtp = opened.session;
  try {
    if (opened.greeting.code !== 220)
      return transactions.map(({ recipients }) => recipients.map(() => opened.greeting.line));
    await smtp.command('EHLO client.example');
    if (tls) {
      const reply = await smtp.startTls();
      if (reply.code !== 220) throw new Error(`STARTTLS: ${reply.line}`);
      await smtp.command('EHLO client.example');
    }
    if (account !== undefined) {
      const reply = await smtp.command(authLine(account.name));
      if (reply.code !== 235) throw new Error(`AUTH: ${reply.line}`);
    }
    const answers: (readonly string[])[] = [];
    for (const transaction of transactions) answers.push(await playTransaction(smtp, transaction));
    return answers;
  } finally {
    await smtp.quit();
  }
}

async function playTransaction(smtp: SmtpSession, transaction: CaseTransaction): Promise<readonly string[]> {
  const { envelopeFrom, recipients, message } = transaction;
  if (smtp.closed) return recipients.map(() => notAsked);
  const mail = await smtp.command(`MAIL FROM:<${envelopeFrom}>`);
  if (mail.code !== 250) return recipients.map(() => mail.line);
  const lines: string[] = [];
  for (const recipient of recipients) {
    if (smtp.closed) lines.push(notAsked);
    else lines.push((await smtp.command(`RCPT TO:<${recipient}>`)).line);
    // The reply that closes a connection is 421 (RFC 5321 3.8).
    if (lines.at(-1)?.startsWith('421')) smtp.expectClose();
  }
  const isAccepted = lines.map((line) => line.startsWith('250'));
  if (smtp.closed) return lines;
  if (message === undefined || !isAccepted.includes(true)) {
    await smtp.command('RSET');
    return lines;
  }
  const data = await smtp.command('DATA');
  const end = data.code === 354 ? await smtp.message(message) : data;
  return lines.map((line, position) => (isAccepted[position] && end.code !== 250 ? end.line : line));
}
