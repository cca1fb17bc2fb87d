import { SmtpSession } from '../../examples/quickstart/smtp-session.ts';
import type { RunningStandalone } from './harness.ts';

export interface Probe {
  /** Address that the client connects from. */
  readonly client: string;
  readonly to?: string;
  /** Envelope sender; empty: the null sender. */
  readonly from?: string;
  /** Send the message too. */
  readonly deliver?: true;
}

/** One mail in a session of its own. @returns the reply to RCPT, or to the end of DATA if the message is sent. */
export async function sendMail(standalone: RunningStandalone, probe: Probe): Promise<string> {
  const { client, to = 'alice@example.com', from = 'someone@elsewhere.example', deliver } = probe;
  const { session, greeting } = await SmtpSession.open({ ...standalone.smtp, localAddress: client });
  try {
    if (greeting.code !== 220) return greeting.line;
    await session.command('EHLO client.example');
    const mail = await session.command(`MAIL FROM:<${from}>`);
    if (mail.code !== 250) return mail.line;
    const recipient = await session.command(`RCPT TO:<${to}>`);
    if (deliver === undefined || recipient.code !== 250) return recipient.line;
    await session.command('DATA');
    return (await session.message('From: <someone@elsewhere.example>\nSubject: hello\n\nHello.\n')).line;
  } finally {
    await session.quit();
  }
}
