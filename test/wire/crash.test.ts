import { afterEach, expect, test } from 'vitest';
import { bundleOf, domainPolicy, rule } from '../../policy/fixture.ts';
import { recordFaults } from '../faults/record.ts';
import { eventually } from './eventually.ts';
import { type MtaProcess, prepareMta } from './mta-process.ts';
import { route } from './route.ts';
import { startSink } from './sink.ts';
import { message } from './smtp-client.ts';

let mta: MtaProcess;
afterEach(() => mta[Symbol.asyncDispose]());

const rounds = 4;
const clientCount = 6;

test.each([
  ['while the Route is up', 0],
  ['while the Route is slow', 200],
])(
  'X11: SIGKILL after 250 loses nothing, in the queue and in the mailbox, %s',
  async (_what, delayMs) => {
    await using sink = await startSink({ behaviour: { delayMs } });
    const archive = route('archive', sink.port, { tls: { mode: 'Disabled', verify: 'None' } });
    const domain = domainPolicy('example.com', {
      inboundRouting: [rule({ route: 'archive', alsoDeliverLocally: true })],
    });
    mta = await prepareMta({ bundle: { ...bundleOf([domain]), routes: [archive] } });
    const accepted: string[] = [];
    const sent = new Set<string>();

    for (let round = 0; round < rounds; round += 1) {
      await mta.start();
      const clients = Array.from({ length: clientCount }, async (_, client) => {
        const session = await mta.session();
        for (let i = 0; i < 1000; i += 1) {
          const subject = `${round}-${client}-${i}`;
          sent.add(subject);
          const replies = await session.mail({ to: ['user@example.com'], data: message({ subject }) });
          if (!replies.at(-1)?.startsWith('250')) return;
          accepted.push(subject);
        }
      });
      const before = accepted.length;
      await eventually(() => accepted.length >= before + 25, 'enough mail was accepted');
      await mta.end('SIGKILL');
      await Promise.all(clients);
    }

    await mta.start();
    const subjectOf = (mail: string) => /Subject: (\S+)/.exec(mail)?.[1] ?? '';
    const delivered = () => new Set(sink.mails.map(({ data }) => subjectOf(data)));
    await eventually(async () => (await mta.queued()).length === 0, 'the queue is empty', 50_000);
    const filed = new Set((await mta.mailbox('example.com', 'user')).map(subjectOf));
    expect(accepted.filter((subject) => !delivered().has(subject))).toEqual([]);
    expect(accepted.filter((subject) => !filed.has(subject))).toEqual([]);
    // Nothing was made up, and a kill doubles no more than was being delivered.
    expect([...delivered(), ...filed].filter((subject) => !sent.has(subject))).toEqual([]);
    expect(sink.mails.length - delivered().size).toBeLessThanOrEqual(rounds * 10);
    recordFaults(rounds);
  },
  120_000,
);
