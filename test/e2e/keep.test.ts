// What has to outlive an upgrade and an uninstall: accepted mail and private keys.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clientAddresses } from '../cluster/node/addresses.ts';
import { waitFor } from '../kubernetes/namespace.ts';
import { type Sink, startSink } from '../wire/sink.ts';
import { Tenant } from './tenant.ts';
import { notOnce, sendMail } from './traffic.ts';

const [sinkAddress = ''] = clientAddresses;
const recipient = 'bob@brown.example';

let sink: Sink;
let brown: Tenant;

/** Two domains, since a mailbox in the MTA needs a single pod: one kept there, one handed on. */
const values = () => ({
  replicas: 1,
  settings: { heloName: 'mx.brown.example', retryIntervalsSeconds: [2] },
  drain: { preStopSeconds: 6, graceSeconds: 10 },
  objects: {
    routes: { store: { host: sinkAddress, port: sink.port, tls: { mode: 'Disabled' } } },
    mailDomains: {
      main: {
        domain: 'brown.example',
        mailbox: { maildir: {} },
        recipients: { mode: 'List', addresses: ['bob'] },
      },
      relayed: {
        domain: 'relayed.example',
        mailbox: { routeRef: { name: 'store' } },
        recipients: { mode: 'List', addresses: ['bob'] },
      },
    },
    dkimKeys: { signing: { domainRef: { name: 'main' } } },
  },
});

beforeAll(async () => {
  sink = await startSink({ host: sinkAddress });
  brown = await Tenant.create('brown');
  await brown.chart('install', values());
  await brown.wait('maildomain/main');
});

afterAll(async () => {
  await brown?.remove();
  await sink?.[Symbol.asyncDispose]();
});

/** Sends straight to the pod. */
async function send(to: string, subject: string): Promise<void> {
  const [pod] = await brown.waitForPods(1);
  expect(await sendMail({ host: pod?.address ?? '', port: 2525 }, to, subject)).toBeUndefined();
}

/** Subjects in Bob's mailbox. */
async function mailbox(): Promise<string[]> {
  const script = `
    const { globSync, readFileSync } = require('node:fs');
    for (const file of globSync('/var/spool/postern/maildir/**/new/*'))
      console.log(/^Subject: (.*)$/m.exec(readFileSync(file, 'latin1'))[1].trim());`;
  const text = await brown.kubectl(['exec', 'mail-0', '--', 'node', '-e', script]);
  return text.trim().split('\n').sort();
}

const dnsRecord = () =>
  waitFor(
    'the DNS record of the key',
    () => brown.kubectl(['get', 'dkimkey', 'signing', '-o=jsonpath={.status.dnsRecord.value}']),
    (text) => text.includes('p='),
  );

test('K5: helm uninstall keeps mailboxes, the queue and the private key; installed again, they are there', async () => {
  await send(recipient, 'kept');
  expect(await mailbox()).toEqual(['kept']);
  sink.behaviour = { mail: () => '451 4.3.0 later' };
  await send('bob@relayed.example', 'queued');
  const record = await dnsRecord();

  await brown.helm('uninstall', 'mail', '--wait', '--timeout=2m');
  await brown.waitForPods(0);
  const left = await brown.kubectl(['get', 'postern,statefulsets', '-o', 'name']);
  expect(left).toBe('');
  expect(await brown.kubectl(['get', 'persistentvolumeclaims', '-o', 'name'])).toBe(
    'persistentvolumeclaim/spool-mail-0\n',
  );
  expect(await brown.kubectl(['get', 'secrets', '-o', 'name'])).toContain('secret/postern-dkim-');

  sink.behaviour = {};
  await brown.chart('install', values());
  await brown.wait('maildomain/main');
  expect(await mailbox()).toEqual(['kept']);
  expect(await dnsRecord()).toBe(record);
  await waitFor(
    'the queued mail to arrive, once',
    () => notOnce(sink, ['queued']),
    (others) => Object.keys(others).length === 0,
  );
});

test('helm upgrade that changes the pods keeps them as well', async () => {
  const [before] = await brown.pods();
  const record = await dnsRecord();
  await brown.chart('upgrade', { ...values(), logLevel: 'warn' });
  await brown.waitForPods(1, [before?.uid ?? '']);
  await send(recipient, 'after');
  expect(await mailbox()).toEqual(['after', 'kept']);
  expect(await dnsRecord()).toBe(record);
});
