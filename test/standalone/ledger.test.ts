import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { postern } from '../cli/run.ts';
import { startSink } from '../wire/sink.ts';
import { startStandalone } from './harness.ts';
import { sendMail } from './mail.ts';

const statusFile = z.object({ status: z.object({ ledger: z.unknown().optional() }) });
const none = { suppressedNdrs: 0, backscatterAvoided: 0, doubleBounces: 0, expired: 0 };
const client = '127.0.0.2';

it('G9, I8, O9, R6: the status of each domain has what nobody was told of its mail, also after a restart', async () => {
  const sink = await startSink({
    behaviour: {
      rcpt: (to) => (to.endsWith('@late.example') ? '451 4.3.0 later' : '550 5.1.1 nobody is here'),
    },
  });
  const route = `apiVersion: postern.dev/v1alpha1
kind: Route
metadata: {name: store}
spec: {host: 127.0.0.1, port: ${sink.port}, tls: {mode: Disabled}}
`;
  const domain = (name: string, more = '') => `apiVersion: postern.dev/v1alpha1
kind: MailDomain
metadata: {name: ${name}}
spec:
  domain: ${name}.example
  mailbox: {routeRef: {name: store}}
  recipients: {mode: List, addresses: [alice]}
${more}`;
  const never = `  inboundRouting:
  - {match: External, target: Known, routeRef: {name: store}, ndr: Never, verifyRecipient: None}
`;
  const directory = await mkdtemp(join(tmpdir(), 'postern-ledger-'));
  const folder = join(directory, 'policy');
  const files = {
    'mta.yaml': 'heloName: mx.example.com\nretryIntervalsSeconds: [3600]\n',
    'route.yaml': route,
    'never.yaml': domain('never', never),
    ...Object.fromEntries(
      ['forged', 'bounced', 'late', 'quiet'].map((name) => [`${name}.yaml`, domain(name)]),
    ),
  };
  const start = () => startStandalone({ directory, folder, files });
  let standalone = await start();
  const ledgerOf = async (name: string) => {
    const path = join(standalone.state, `status/maildomain/${name}.yaml`);
    return statusFile.parse(parse(await readFile(path, 'utf8'))).status.ledger;
  };
  const written = (name: string) =>
    standalone.eventually(`the status of ${name} has a ledger`, () => ledgerOf(name));
  const lose = async (name: string, from?: string) => {
    const to = `alice@${name}.example`;
    expect(
      await sendMail(standalone, { client, to, deliver: true, ...(from === undefined ? {} : { from }) }),
    ).toMatch(/^250 /);
  };
  try {
    await lose('never');
    await lose('forged');
    await lose('bounced', '');
    await lose('late');
    await standalone.eventually('the mail waits', async () =>
      (await standalone.mtaState()).queue.deferred > 0 ? true : undefined,
    );
    // As if its time were over.
    await postern('queue', 'bounce', 'all', '-f', folder, '--state', standalone.state);
    expect(await written('never')).toEqual({ ...none, suppressedNdrs: 1 });
    expect(await written('forged')).toEqual({ ...none, backscatterAvoided: 1 });
    expect(await written('bounced')).toEqual({ ...none, doubleBounces: 1 });
    expect(await written('late')).toEqual({ ...none, backscatterAvoided: 1, expired: 1 });
    // A second one of a domain is counted now, and told in ten minutes, or by the next process.
    await lose('never');
    await standalone.eventually('it is counted', async () =>
      (await standalone.mtaState()).ledger.suppressedNdrs === 2 ? true : undefined,
    );
    expect(await ledgerOf('never')).toEqual({ ...none, suppressedNdrs: 1 });
    expect(await standalone.stop()).toBe(0);
    standalone = await start();
    await standalone.eventually('the restarted one tells all', async () =>
      JSON.stringify(await ledgerOf('never')) === JSON.stringify({ ...none, suppressedNdrs: 2 })
        ? true
        : undefined,
    );
    expect(await ledgerOf('forged')).toEqual({ ...none, backscatterAvoided: 1 });
    expect(await ledgerOf('quiet')).toBeUndefined();
    const status = JSON.parse(
      (await postern('status', '-f', folder, '--state', standalone.state, '-o', 'json')).out,
    );
    expect(status.objects.find(({ name }: { name: string }) => name === 'never').status.ledger).toEqual({
      ...none,
      suppressedNdrs: 2,
    });
  } finally {
    await standalone.stop();
    await sink[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  }
});
