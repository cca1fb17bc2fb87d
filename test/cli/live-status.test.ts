// What `postern status` tells of the mail, which no status of an object holds.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningStandalone, startStandalone } from '../standalone/harness.ts';
import { sendMail } from '../standalone/mail.ts';
import { sampleFiles } from '../standalone/sample.ts';
import { type Sink, startSink } from '../wire/sink.ts';
import { postern } from './run.ts';

let directory = '';
let folder = '';
let sink: Sink;
let standalone: RunningStandalone;

const route = (tls: string) => `apiVersion: postern.dev/v1alpha1
kind: Route
metadata: {name: archive}
spec: {host: 127.0.0.1, port: ${sink.port}, tls: {mode: ${tls}}}
`;
const tlsPolicy = `apiVersion: postern.dev/v1alpha1
kind: TlsPolicy
metadata: {name: strict}
spec: {title: strict, domainRefs: [{name: example-com}], directions: [Outbound], peerDomains: [example.com]}
`;

beforeAll(async () => {
  sink = await startSink({
    behaviour: {
      rcpt: (recipient) => (recipient.startsWith('bob@') ? '550 5.1.1 nobody is here' : undefined),
    },
  });
  directory = await mkdtemp(join(tmpdir(), 'postern-live-'));
  folder = join(directory, 'policy');
  standalone = await startStandalone({
    directory,
    folder,
    files: {
      ...sampleFiles,
      'mta.yaml': 'heloName: mx.example.com\nretryIntervalsSeconds: [3600]\n',
      'route.yaml': route('Opportunistic'),
      'tls.yaml': tlsPolicy,
      'domain.yaml': `${sampleFiles['domain.yaml']}  inboundRouting:
  - {match: External, target: Known, routeRef: {name: archive}, verifyRecipient: None}
`,
    },
  });
});
afterAll(async () => {
  await standalone?.stop();
  await sink?.[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

const status = (...more: readonly string[]) =>
  postern('status', '-f', folder, '--state', standalone.state, ...more);
const nothing = {
  accepted: 0,
  reports: 0,
  found: 0,
  adopted: 0,
  handedOver: 0,
  delivered: 0,
  bounced: 0,
  ledger: 0,
  queued: 0,
  unaccounted: 0,
};
const ledgerEntries = { suppressedNdrs: 0, backscatterAvoided: 0, doubleBounces: 0, expired: 0 };
const json = async () => JSON.parse((await status('-o', 'json')).out);

it('G9: the books of an MTA that has just started are empty, and closed', async () => {
  expect((await json()).mail).toEqual({ ...nothing, ledgerEntries });
});

it('T12: status tells of the partner that has not the TLS that is required, until its mail comes through', async () => {
  expect((await json()).tlsFailures).toEqual([]);
  expect((await status()).out).not.toContain('TLS FAILURE');
  expect(await sendMail(standalone, { client: '127.0.0.2', deliver: true })).toMatch(/^250 /);
  await standalone.eventually('the mail waits', async () =>
    (await standalone.mtaState()).queue.deferred > 0 ? true : undefined,
  );
  expect((await json()).tlsFailures).toEqual([
    {
      domain: 'example.com',
      partner: 'example.com',
      via: 'Route/archive',
      host: '127.0.0.1',
      result: 'starttls-not-supported',
      detail: 'STARTTLS is not offered',
      failures: 1,
      lastFailure: expect.any(Number),
    },
  ]);
  expect((await status()).out).toMatch(
    /^LAST TLS FAILURE .*\n20\S+Z +example\.com +example\.com +Route\/archive +127\.0\.0\.1 +starttls-not-supported +1 +STARTTLS is not offered$/m,
  );
  expect((await json()).mail).toEqual({ ...nothing, accepted: 1, queued: 1, ledgerEntries });
  await rm(join(folder, 'tls.yaml'));
  await standalone.eventually('the policy is gone', async () =>
    (await json()).objects.some(({ kind }: { kind: string }) => kind === 'TlsPolicy') ? undefined : true,
  );
  await postern('queue', 'retry', 'all', '-f', folder, '--state', standalone.state);
  await standalone.eventually('the mail has come through', async () =>
    sink.mails.length > 0 ? true : undefined,
  );
  expect((await json()).tlsFailures).toEqual([]);
});

it('G9: status sums what became of all mail: accepted = delivered + bounced + ledger + queued', async () => {
  expect(await sendMail(standalone, { client: '127.0.0.2', to: 'bob@example.com', deliver: true })).toMatch(
    /^250 /,
  );
  await standalone.eventually('the mail has failed', async () =>
    (await standalone.mtaState()).legs?.ledger === 1 ? true : undefined,
  );
  expect((await json()).mail).toEqual({
    ...nothing,
    accepted: 2,
    delivered: 1,
    ledger: 1,
    ledgerEntries: { ...ledgerEntries, backscatterAvoided: 1 },
  });
  expect((await status()).out).toContain(
    'Mail since the MTA started: 2 accepted + 0 reports + 0 found in the queue\n' +
      '  = 1 delivered + 0 bounced + 1 ledger + 0 queued\n' +
      '  ledger: 0 suppressedNdrs, 1 backscatterAvoided, 0 doubleBounces (0 of all failures expired)\n',
  );
});

it('without an MTA there are no books', async () => {
  await standalone.stop();
  const { running, mail, tlsFailures } = await json();
  expect({ running, mail, tlsFailures }).toEqual({ running: false, mail: undefined, tlsFailures: [] });
});
