import { readFile } from 'node:fs/promises';
import { SmtpSession } from './smtp-session.ts';

/**
 * Asks the running server about one mail and sends nothing: `npx node examples/quickstart/send.ts 127.0.0.20 alice@example.com`.
 * The first argument is the address to connect from, the second the recipient.
 */
const [client = '127.0.0.2', to = 'alice@example.com', from = 'someone@elsewhere.example'] =
  process.argv.slice(2);
const state = process.env['STATE'] ?? '.postern';

const addresses: unknown = JSON.parse(
  await readFile(`${state}/addresses.json`, 'utf8').catch(() => {
    process.stderr.write(
      `no server runs with the state folder ${state}: type \`make quickstart KEEP=1\` first\n`,
    );
    process.exit(2);
  }),
);
const smtp =
  typeof addresses === 'object' && addresses !== null && 'smtp' in addresses ? String(addresses.smtp) : '';
const [host = '', port = ''] = smtp.split(':');
const { session } = await SmtpSession.open({ host, port: Number(port), localAddress: client });
for (const command of ['EHLO client.example', `MAIL FROM:<${from}>`, `RCPT TO:<${to}>`]) {
  const { line } = await session.command(command);
  process.stdout.write(`${client} > ${command}\n${' '.repeat(client.length)} < ${line}\n`);
}
await session.quit();
