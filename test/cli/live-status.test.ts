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
  sink = await startSink();
  directory = await mkdtemp(join(tmpdir(), 'postern-live-'));
  folder = join(directory, 'policy');
  standalone = await startStandalone({
    directory,
    folder,
    files: {
      ...sampleFiles,
      'mta.yaml': 'heloName: mx.example.com\nretryIntervalsSeconds: [5]\n',
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
const json = async () => JSON.parse((await status('-o', 'json')).out);

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
  await rm(join(folder, 'tls.yaml'));
  await standalone.eventually('the mail has come through', async () =>
    sink.mails.length > 0 ? true : undefined,
  );
  expect((await json()).tlsFailures).toEqual([]);
});
