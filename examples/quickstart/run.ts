import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { explainTransaction, newSession } from '../../cli/explain/explain.ts';
import { readMessage } from '../../cli/explain/message.ts';
import { reportOf } from '../../cli/explain/report.ts';
import { formatTable } from '../../cli/output.ts';
import { chooseMta } from '../../cli/policy.ts';
import { loadSnapshot } from '../../cli/snapshot.ts';
import { compile } from '../../operator/compile/compile.ts';
import { loadPolicy } from '../../policy/load.ts';
import { messageText, type SampleMail, sampleMails } from './mails.ts';
import { SmtpSession } from './smtp-session.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = relative(process.cwd(), join(root, 'examples/quickstart/manifests')) || '.';
const state = relative(process.cwd(), resolve(process.env['STATE'] ?? join(root, '.postern'))) || '.';
const keep = ![undefined, '', '0'].includes(process.env['KEEP']);
const startMs = 60_000;

const say = (text = ''): void => void process.stdout.write(`${text}\n`);

/** A verdict as the wire gave it, for one sample. */
interface Outcome {
  readonly mail: SampleMail;
  readonly wire: string;
  readonly explain: string;
  readonly because: string;
}

say('Postern quickstart: two mail domains, served on this machine by the manifests in');
say(`  ${folder}`);
say();
const { child, smtp } = await startStandalone();
let failed = false;
try {
  failed = !(await play());
  say();
  if (keep) {
    say('It goes on running; Ctrl-C ends it.');
    const stop = new AbortController();
    process.once('SIGINT', () => stop.abort());
    process.once('SIGTERM', () => stop.abort());
    await Promise.race([once(stop.signal, 'abort'), once(child, 'exit')]);
  }
} finally {
  child.kill('SIGTERM');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}
process.exitCode = failed ? 1 : 0;

async function play(): Promise<boolean> {
  const outcomes: Outcome[] = [];
  for (const mail of sampleMails) outcomes.push(await sendAndExplain(mail));
  const isRight = (outcome: Outcome): boolean =>
    outcome.wire.startsWith(outcome.mail.expected) &&
    outcome.because.startsWith(outcome.mail.because) &&
    outcome.explain === outcome.wire;
  const rows = outcomes.map((outcome, at) => {
    const { mail, wire, because, explain } = outcome;
    const agrees = explain === wire ? 'agrees' : `says ${explain}`;
    const check = isRight(outcome) ? '' : `EXPECTED ${mail.expected} by ${mail.because}`;
    const verdict = wire.startsWith('250') ? 'accepted' : wire.slice(0, 9);
    return [
      String(at + 1),
      mail.story,
      mail.client,
      mail.to,
      mail.tls ? 'yes' : 'no',
      verdict,
      because,
      agrees,
      check,
    ];
  });
  say(formatTable(['#', 'MAIL', 'CLIENT', 'TO', 'TLS', 'ON THE WIRE', 'DECIDED BY', 'EXPLAIN', ''], rows));
  say();
  await showMailboxes();
  const wrong = outcomes.filter((outcome) => !isRight(outcome)).length;
  say(
    wrong === 0
      ? `All ${outcomes.length} verdicts are as the manifests say.`
      : `${wrong} verdicts are not as expected.`,
  );
  sayWhatNext(outcomes);
  return wrong === 0;
}

/** Sends the mail in a session of its own, then asks `explain` about the same mail. */
async function sendAndExplain(mail: SampleMail): Promise<Outcome> {
  const message = messageText(mail, new Date());
  const wire = await send(mail, message);
  const { snapshot } = await loadSnapshot({ warn: say }, { folder, state }, Date.now());
  const mta = chooseMta(snapshot, compile(snapshot), {});
  const policy = await loadPolicy(mta.bundle);
  const explanation = explainTransaction(
    policy,
    { peer: mail.client, tls: mail.tls === true, now: Math.floor(Date.now() / 1000) },
    {
      envelopeFrom: mail.from,
      recipients: [mail.to],
      heloName: mta.settings.heloName,
      message: readMessage(Buffer.from(message)),
    },
    newSession,
    () => 'unavailable',
  );
  const [recipient] = reportOf(explanation, policy).recipients;
  const { kind, name, entry } = recipient?.because ?? { kind: '', name: '', entry: '' };
  return {
    mail,
    wire,
    explain: `${recipient?.code} ${recipient?.reason}`,
    because: `${kind}/${name}${entry === '' ? '' : ` ${entry}`}`,
  };
}

/** @returns the reply that decided: to RCPT, or to the end of DATA if that refused. */
async function send(mail: SampleMail, message: string): Promise<string> {
  const { session } = await SmtpSession.open({ ...smtp, localAddress: mail.client });
  try {
    await session.command('EHLO client.example');
    if (mail.tls === true) {
      await session.startTls();
      await session.command('EHLO client.example');
    }
    await session.command(`MAIL FROM:<${mail.from}>`);
    const recipient = await session.command(`RCPT TO:<${mail.to}>`);
    if (recipient.code !== 250) return recipient.line;
    await session.command('DATA');
    const end = await session.message(message);
    return end.code === 250 ? recipient.line : end.line;
  } finally {
    await session.quit();
  }
}

async function startStandalone() {
  const ports = await freePorts({ smtp: 2525, submission: 2587, submissions: 2465, http: 8025 });
  const flags = Object.entries(ports).flatMap(([name, address]) => [`--${name}`, address]);
  say(`$ bin/postern standalone -f ${folder} --state ${state}`);
  const started = spawn(join(root, 'bin/postern'), ['standalone', '-f', folder, '--state', state, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const log: string[] = [];
  createInterface(started.stderr).on('line', (line) => log.push(line));
  const lines = createInterface(started.stdout);
  const ready = new Promise<string>((found, fail) => {
    lines.on('line', (line) => (line.startsWith('ready ') ? found(line) : log.push(line)));
    started.once('exit', (code) => fail(new Error(`standalone ended with ${code}`)));
    delay(startMs, undefined, { ref: false }).then(() =>
      fail(new Error(`standalone is not ready after ${startMs} ms`)),
    );
  });
  const line = await ready.catch((error: unknown) => {
    started.kill('SIGTERM');
    say(log.join('\n'));
    throw error;
  });
  say(line);
  say();
  const [host = '', port = ''] = (/ smtp=(\S+)/.exec(line)?.[1] ?? '').split(':');
  return { child: started, smtp: { host, port: Number(port) } };
}

/** The usual ports where they are free, and others where not. */
async function freePorts(
  wanted: Readonly<Record<string, number>>,
): Promise<Readonly<Record<string, string>>> {
  const addresses: Record<string, string> = {};
  for (const [name, port] of Object.entries(wanted)) {
    const free = (await tryPort(port)) ?? (await tryPort(0)) ?? 0;
    addresses[name] = `127.0.0.1:${free}`;
  }
  return addresses;
}

async function tryPort(port: number): Promise<number | undefined> {
  const server = createServer();
  return await new Promise((found) => {
    server.once('error', () => found(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      const given = typeof address === 'object' && address !== null ? address.port : undefined;
      server.close(() => found(given));
    });
  });
}

async function showMailboxes(): Promise<void> {
  const mail = join(state, 'mta/default/mail');
  const files = (await readdir(mail, { recursive: true })).filter((path) => /(^|\/)(new|cur)\//.test(path));
  const folders = new Map<string, number>();
  for (const file of files) {
    const box = file.split('/').slice(0, -1).join('/');
    folders.set(box, (folders.get(box) ?? 0) + 1);
  }
  say(`The accepted mail lies below ${mail}:`);
  say(
    formatTable(
      ['  MAILDIR', 'MAILS'],
      [...folders].toSorted().map(([box, count]) => [`  ${box}`, String(count)]),
    ),
  );
  say();
}

function sayWhatNext(outcomes: readonly Outcome[]): void {
  const ref = /\(ref (\w{8})\)/.exec(
    outcomes.find(({ because }) => because.startsWith('IpAccessList/spammers'))?.wire ?? '',
  )?.[1];
  say();
  say('What to type next:');
  say(`  bin/postern why ${ref} -f ${folder}`);
  say('      which object and entry refused mail 3, and what its author noted there');
  say(
    `  bin/postern explain -f ${folder} --client-ip 127.0.0.50 --mail-from a@b.example --rcpt alice@example.com --rcpt carol@example.org`,
  );
  say('      what would happen to a mail, and why, without sending it');
  say(`  bin/postern lint -f ${folder}`);
  say(`  bin/postern dns -f ${folder}`);
  if (keep) {
    say(
      `  edit ${folder}/access.yaml: delete the entry 127.0.0.20, save, and ask the running server again within a second:`,
    );
    say('      npx node examples/quickstart/send.ts 127.0.0.20 alice@example.com');
    say(`  bin/postern status -f ${folder}`);
  } else {
    say('  make quickstart KEEP=1');
    say('      the same, and the server goes on running: change a list entry and see it act within a second');
  }
}
