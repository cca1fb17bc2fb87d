import type { Random } from './random.ts';
import type { World, WorldAccount } from './world.ts';

/** One SMTP session of the corpus. */
export interface CaseSession {
  /** The address that policy sees. */
  readonly peer: string;
  /** PROXY line to send from the listed proxy; absent: the client connects from `peer` itself. */
  readonly proxyLine?: string;
  readonly tls: boolean;
  /** Signs in on the submission listener, which has TLS. */
  readonly account?: WorldAccount;
  readonly transactions: readonly CaseTransaction[];
}

export interface CaseTransaction {
  readonly envelopeFrom: string;
  readonly recipients: readonly string[];
  /** Text of a message to send if a recipient is accepted. */
  readonly message?: string;
  /** Marks of hops to put on top of the message, as the MTA makes them for these legs. */
  readonly marks?: readonly CaseMark[];
}

interface CaseMark {
  readonly route: string;
  readonly purpose: 'Gateway' | 'Routed';
  readonly recipient: string;
  /** Made with another key, as a stranger would. */
  readonly forged: boolean;
}

/** @param size number of transactions: one case each. */
export function randomSessions(random: Random, world: World, size: number): readonly CaseSession[] {
  const sessions: CaseSession[] = [];
  let left = size;
  while (left > 0) {
    const count = Math.min(left, 1 + random.int(8));
    left -= count;
    if (random.chance(0.12)) {
      const account = random.pick(world.accounts);
      const peer = `127.0.${random.int(4)}.${1 + random.int(250)}`;
      const transactions = Array.from({ length: count }, () => submittedTransaction(random, world, account));
      sessions.push({ peer, tls: true, account, transactions });
      continue;
    }
    const client = randomClient(random, world);
    const isHop = world.hops.includes(client.peer);
    const transactions = Array.from({ length: count }, () =>
      random.chance(isHop ? 0.8 : 0.2) ? gatewayTransaction(random, world) : randomTransaction(random, world),
    );
    sessions.push({ ...client, tls: random.chance(0.25), transactions });
  }
  return sessions;
}

function randomClient(random: Random, world: World): Pick<CaseSession, 'peer' | 'proxyLine'> {
  if (random.chance(0.1)) return { peer: `127.0.${random.int(4)}.${1 + random.int(250)}` };
  const peer = random.pick(random.chance(0.2) ? world.hops : world.addresses);
  if (peer.includes(':')) return { peer, proxyLine: `PROXY TCP6 ${peer} ::1 40000 25` };
  if (random.chance(0.1))
    return { peer: `::ffff:${peer}`, proxyLine: `PROXY TCP6 ::ffff:${peer} ::1 40000 25` };
  return { peer, proxyLine: `PROXY TCP4 ${peer} 127.0.0.1 40000 25` };
}

function randomTransaction(random: Random, world: World): CaseTransaction {
  const envelopeFrom = randomSender(random, world);
  // Now and then a harvest, to reach the limit of unknown recipients (I15).
  const recipients = random.chance(0.03)
    ? Array.from({ length: 12 }, (_, at) => `guess${at}@${random.pick(world.domains)}`)
    : Array.from({ length: 1 + random.int(4) }, () => randomRecipient(random, world));
  const transaction = { envelopeFrom, recipients };
  return random.chance(0.15) ? { ...transaction, message: randomMessage(random, world) } : transaction;
}

/** What a gateway hands over, and now and then somebody else: mostly clean mail, so that it is judged to the end. */
function gatewayTransaction(random: Random, world: World): CaseTransaction {
  const recipients = Array.from(
    { length: 1 + random.int(2) },
    () => `${random.pick([...world.people, 'abuse'])}@${random.pick(world.domains)}`,
  );
  const domain = random.chance(0.5) ? recipients[0]?.split('@')[1] : undefined;
  // Half of it claims to be mail of the domain that comes back.
  const envelopeFrom = domain === undefined ? 'someone@elsewhere.example' : `alice@${domain}`;
  const author = random.chance(0.9) ? envelopeFrom : 'someone@elsewhere.example';
  const head = `${randomTrace(random, world)}From: ${author}\nMessage-ID: <${random.int(1e9)}@x>\nSubject: ${random.int(3)} hello\n`;
  return {
    envelopeFrom,
    recipients,
    message: `${head}\nHello.\n`,
    marks: recipients.flatMap((recipient) => randomMarks(random, recipient)),
  };
}

/** What an account sends: to its colleagues, to strangers and to nobody, as itself and as others. */
function submittedTransaction(random: Random, world: World, account: WorldAccount): CaseTransaction {
  const sender = () =>
    random.pick([
      account.name,
      account.name,
      'sales@alpha.test',
      'someone@elsewhere.example',
      'bob@beta.test',
    ]);
  const recipients = Array.from({ length: 1 + random.int(3) }, () =>
    random.chance(0.7)
      ? `${random.pick([...world.people, 'nobody', 'postmaster'])}@${random.pick(['alpha.test', ...world.domains])}`
      : randomRecipient(random, world),
  );
  const envelopeFrom = random.chance(0.1) ? '' : sender();
  const head = `From: ${random.chance(0.8) && envelopeFrom !== '' ? envelopeFrom : sender()}\nMessage-ID: <${random.int(1e9)}@x>\n`;
  const transaction = { envelopeFrom, recipients, message: `${head}\nHello.\n` };
  return account.fromRoute === undefined || random.chance(0.5)
    ? transaction
    : { ...transaction, marks: recipients.flatMap((recipient) => randomMarks(random, recipient)) };
}

function randomMarks(random: Random, recipient: string): CaseMark[] {
  if (random.chance(0.3)) return [];
  const mark = (): CaseMark => ({
    route: random.pick(['store', 'filter']),
    purpose: random.pick(['Gateway', 'Routed']),
    recipient: random.chance(0.9) ? recipient : 'bob@alpha.test',
    forged: random.chance(0.15),
  });
  return random.chance(0.5) ? [mark()] : [mark(), mark()];
}

function randomSender(random: Random, world: World): string {
  const domain = random.pick([...world.tlsPeers, ...world.domains, 'elsewhere.example', 'BANK.example']);
  if (random.chance(0.02)) return random.pick(['no-domain', `a@${domain}@`, `two words@${domain}`]);
  if (random.chance(0.06)) return spoil(random, `someone@${domain}`);
  return random.pick(['', `someone@${domain}`, `someone@${domain}`, `boss@${domain}`, `"odd one"@${domain}`]);
}

function randomRecipient(random: Random, world: World): string {
  const domain = random.pick([...world.domains, ...world.domains, 'foreign.example']);
  const local = random.pick([...world.people, ...world.people, 'nobody', 'postmaster', 'abuse']);
  if (random.chance(0.65)) return `${local}@${domain}`;
  if (random.chance(0.2)) return spoil(random, `${local}@${domain}`);
  if (random.chance(0.25)) {
    return random.pick([
      local,
      `${local}@`,
      `@${domain}`,
      `${'x'.repeat(65)}@${domain}`,
      `${local}@${domain}.`,
      `${local}@${domain}@foreign.example`,
    ]);
  }
  return random.pick([
    `${local.toUpperCase()}@${domain.toUpperCase()}`,
    `${local}+tag@${domain}`,
    `${local}-tag@${domain}`,
    `${local}%foreign.example@${domain}`,
    `foreign.example!${local}@${domain}`,
    `"${local}@foreign.example"@${domain}`,
    `"${local}"@${domain}`,
    `@relay.example:${local}@${domain}`,
    `@${domain}:${local}@foreign.example`,
    `${local}@foreign.example`,
    `${local}@x.${domain}`,
    `${local}@[127.0.0.1]`,
    `${local}@[IPv6:::1]`,
    `${local}/x=y@${domain}`,
    `jos\u00e9@${domain}`,
  ]);
}

/** What grammars stumble over; no CR or LF, which would end the command, and no space behind a `>`, which ends the path. */
const oddities = [
  '',
  '.',
  '..',
  '@',
  '@@',
  '"',
  '\\"',
  '\\',
  '<',
  '>',
  '(x)',
  ',',
  ':',
  ';',
  '[',
  ']',
  ' ',
  '\t',
  '\0',
  '\x1b',
  '\x7f',
];
const longOnes = [
  'x'.repeat(64),
  'x'.repeat(250),
  '_',
  '-',
  '.a_b',
  '\u00e9',
  '\u2028',
  '%',
  '!',
  '/',
  '=',
  '[1.2.3.4]',
  '[IPv6:::1]',
];

/** An address with up to three oddities put in, or bytes replaced by them: most are malformed, some are merely unusual. */
function spoil(random: Random, address: string): string {
  let text = address;
  for (let left = 1 + random.int(3); left > 0; left -= 1) {
    const at = random.int(text.length + 1);
    const rest = text.slice(at + random.int(2));
    text = `${text.slice(0, at)}${random.pick([...oddities, ...longOnes])}${rest}`;
  }
  return text.replaceAll(/>(?=[ \t])/g, '');
}

function randomMessage(random: Random, world: World): string {
  const domain = random.pick([...world.tlsPeers, ...world.domains, 'elsewhere.example']);
  const from = random.pick([
    `From: Someone <someone@${domain}>`,
    `From: someone@${domain}`,
    'From:',
    'From: nobody at all',
    `From: a@${domain}\nFrom: b@${domain}`,
    'Subject: no author',
  ]);
  return `${randomTrace(random, world)}${from}\nTo: you@example.test\nMessage-ID: <${random.int(1e9)}@${domain}>\nDate: Wed, 25 Nov 2026 10:00:00 +0000\n\nHello.\n`;
}

/** Received lines as gateways and forgers write them, around the addresses that lists and gateways know. */
function randomTrace(random: Random, world: World): string {
  const lines = Array.from({ length: random.int(5) }, () => {
    const address = random.pick(random.chance(0.4) ? [...world.hops, '127.0.0.1'] : world.addresses);
    const other = random.pick(world.addresses);
    const literal = address.includes(':') ? `IPv6:${address}` : address;
    const from = random.pick([
      `from [${other}] (unknown [${literal}])`,
      `from client.example (mail.client.example [${literal}])`,
      `from client.example (client.example. [${literal}])`,
      `from client.example ([${address}] helo=[${other}])`,
      `from [${address}] (helo=[${other}])`,
      `from CLIENT.example (${address})`,
      `from client.example (HELO [${other}]) (${address})`,
      `from client.example (a [${literal}]) (b [${other}])`,
      `from [${address}]`,
    ]);
    return `Received: ${from}\n by hop.example with ESMTP id 1; Wed, 25 Nov 2026 10:00:00 +0000\n`;
  });
  return lines.join('') + random.pick(['', 'X-Gateway: spam\n', 'X-Gateway: clean\n']);
}
