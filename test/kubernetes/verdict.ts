import { SmtpClient } from '../wire/smtp-client.ts';
import { waitFor } from './namespace.ts';

/** Asks an MTA about one recipient. @param localAddress the client's address, any of 127.0.0.0/8. @returns the reply to RCPT. */
export async function verdict(
  at: { host: string; port: number },
  localAddress: string,
  recipient: string,
): Promise<string> {
  const client = await SmtpClient.connect({ ...at, localAddress });
  try {
    await client.reply();
    await client.send('EHLO client.example');
    await client.send('MAIL FROM:<sender@elsewhere.example>');
    return await client.send(`RCPT TO:<${recipient}>`);
  } finally {
    client.destroy();
  }
}

/** Waits until an MTA answers as expected, by default for 20 s. @returns the reply. */
export function waitForVerdict(
  at: { host: string; port: number },
  localAddress: string,
  recipient: string,
  expected: RegExp,
  deadlineMs?: number,
): Promise<string> {
  return waitFor(
    `the verdict of ${at.host} on ${recipient} from ${localAddress} to be ${expected}`,
    // Nobody listens yet, or kube-proxy has not heard of the Service.
    () => verdict(at, localAddress, recipient).catch(String),
    (reply) => expected.test(reply),
    deadlineMs,
  );
}
