import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleOf, domainPolicy, gatewayPolicy, list } from '../../policy/fixture.ts';
import { type PostfixGateway, startPostfixGateway } from '../parts/postfix.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, startMta } from './mta-process.ts';
import { message, SmtpClient } from './smtp-client.ts';

const domain = 'behind.example';
const host = '127.44.0.1';
let mta: MtaProcess;
let postfix: PostfixGateway;

beforeAll(async () => {
  const own = domainPolicy(domain, {
    access: { allow: [], block: ['bad'] },
    gateway: gatewayPolicy({ addresses: [host], junkPatterns: ['^X-Gateway: spam$'] }),
  });
  mta = await startMta({ bundle: bundleOf([own], [list('bad', ['192.0.2.66'])]) });
  const header = { subject: 'buy', line: 'X-Gateway: spam' };
  postfix = await startPostfixGateway({ host, domains: [domain], next: mta.address('smtp'), header });
  await eventually(
    async () => (await client('203.0.113.9').catch(() => undefined)) !== undefined,
    'Postfix is up',
  );
});
afterAll(async () => {
  await postfix[Symbol.asyncDispose]();
  await mta[Symbol.asyncDispose]();
});

const open: SmtpClient[] = [];
afterAll(() => {
  for (const one of open) one.destroy();
});

/** A session with Postfix, which takes us for this address. */
async function client(address: string): Promise<SmtpClient> {
  const session = await SmtpClient.connect(postfix);
  open.push(session);
  await session.reply();
  await session.send('EHLO client.example');
  expect(await session.send(`XCLIENT ADDR=${address} NAME=[UNAVAILABLE]`)).toMatch(/^220 /);
  await session.send('EHLO [203.0.113.1]');
  return session;
}

async function send(address: string, subject: string, head = ''): Promise<void> {
  const session = await client(address);
  const replies = await session.mail({ to: [`user@${domain}`], data: head + message({ subject }) });
  expect(replies.map((reply) => reply.slice(0, 3))).toEqual(['250', '250', '250']);
}

/** What a client writes to look like a hop that had the mail from somebody else. */
const forged = 'Received: from x (x [203.0.113.9]) by gateway.example (Postfix) with ESMTP; now\r\n';

/** Whether the MTA has logged the end of a message, by what it answered. */
async function answered(count: number, outcome: string): Promise<void> {
  const found = () =>
    mta.lines.filter(
      (line) => line.includes('"event":"transaction"') && line.includes(`"outcome":"${outcome}`),
    );
  await eventually(async () => found().length >= count, `the MTA answers ${outcome}`);
}

test('D2, D7: mail comes through a real Postfix, and not past it', async () => {
  await send('203.0.113.9', 'hello');
  await eventually(async () => (await mta.mailbox(domain, 'user')).length === 1, 'the mail is delivered');
  const past = await (await mta.session()).mail({ to: [`user@${domain}`] });
  expect(past[1]).toMatch(/^550 5\.7\.1 /);
});

test('D2, D11, D13: the client that Postfix wrote down is looked up in the block list, whatever its EHLO', async () => {
  await send('192.0.2.66', 'blocked');
  await answered(1, '550 5.7.1');
  await send('192.0.2.66', 'blocked too', forged);
  await answered(2, '550 5.7.1');
  expect(await mta.mailbox(domain, 'user')).toHaveLength(1);
});

test('D2, D9: a header that the gateway adds sends the mail to Junk', async () => {
  await send('203.0.113.9', 'buy now');
  await answered(2, '250 2.0.0');
  expect(await mta.mailbox(domain, 'user')).toHaveLength(1);
});
