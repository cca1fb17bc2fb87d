// Figures of docs/performance.md that only a node shows (Q7 to Q10), each printed beside what others have published for a like figure.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import * as z from 'zod';
import { clientAddresses } from '../../test/cluster/node/addresses.ts';
import { kubeconfigOf, kubectl, object, onNode, processOf, Tenant } from '../../test/e2e/tenant.ts';
import { notOnce, Traffic } from '../../test/e2e/traffic.ts';
import { Api, paths } from '../../test/kubernetes/api.ts';
import { waitFor } from '../../test/kubernetes/namespace.ts';
import { verdict } from '../../test/kubernetes/verdict.ts';
import { type Sink, startSink } from '../../test/wire/sink.ts';
import { percentile } from '../result.ts';

const [sinkAddress = '', , , stranger = ''] = clientAddresses;
const mtaPort = 2525;
const system = ['-n', 'postern-system'];
const domains = 100;
const changes = 100;
const crowd = { mailDomains: 250, ipAccessLists: 500, tlsPolicies: 250 };
/** Seconds of rest that are looked at. */
const restSeconds = Number(process.env['POSTERN_BENCH_REST_SECONDS'] ?? 600);

let sink: Sink;
let lime: Tenant;
let admin: Api;

const domainSpec = (domain: string) => ({
  domain,
  mailbox: { routeRef: { name: 'store' } },
  recipients: { mode: 'List', addresses: ['bob'] },
});
const mtaValues = (name: string, replicas: number) => ({
  replicas,
  settings: { heloName: `mx.${name}.example`, retryIntervalsSeconds: [2] },
  drain: { preStopSeconds: 6, graceSeconds: 10 },
  objects: { routes: { store: { host: sinkAddress, port: sink.port, tls: { mode: 'Disabled' } } } },
});

beforeAll(async () => {
  sink = await startSink({ host: sinkAddress });
  admin = await Api.from(kubeconfigOf('admin'));
  lime = await Tenant.create('lime');
  const many = Array.from({ length: domains }, (_, number) => [
    `d${number}`,
    domainSpec(number === 0 ? 'lime.example' : `d${number}.lime.example`),
  ]);
  const values = mtaValues('lime', 2);
  const objects = { ...values.objects, mailDomains: Object.fromEntries(many) };
  await lime.chart('install', { ...values, objects });
  await lime.kubectl(['wait', '--for=condition=Ready', 'maildomains', '--all', '--timeout=180s']);
});

afterAll(async () => {
  admin?.close();
  await lime?.remove();
  await sink?.[Symbol.asyncDispose]();
});

const ms = (value: number) => `${Math.round(value)} ms`;
const say = (id: string, text: string) => console.log(`${id}: ${text}`);

test('Q7, Q8: from apply to the verdict in every pod, 100 changes under load', async () => {
  await lime.apply(
    object('IpAccessList', 'flip', { action: 'Block', allDomains: true, addresses: ['192.0.2.1'] }),
  );
  await lime.wait('ipaccesslist/flip', 'Programmed');
  const pods = await lime.pods();
  const host = await lime.kubectl(['get', 'service', 'mail', '-o=jsonpath={.spec.clusterIP}']);
  const traffic = new Traffic({ host, port: 25 }, 'bob@lime.example', 'load');
  const path = paths.postern('lime', 'ipaccesslists', 'flip');
  const delays: number[] = [];
  for (let change = 0; change < changes; change += 1) {
    const block = change % 2 === 0;
    const began = performance.now();
    await admin.mergePatch(path, { spec: { addresses: [block ? stranger : '192.0.2.1'] } });
    const expected = block ? /^550 5\.7\.1 / : /^250 /;
    await Promise.all(
      pods.map(({ name, address }) =>
        waitFor(
          `pod ${name} to answer ${expected}`,
          () => verdict({ host: address, port: mtaPort }, stranger, 'bob@lime.example'),
          (reply) => expected.test(reply),
        ),
      ),
    );
    delays.push(performance.now() - began);
  }
  const { accepted, failures } = await traffic.stop();
  say(
    'Q7',
    `p50 ${ms(percentile(delays, 0.5))}, p99 ${ms(percentile(delays, 0.99))} in ${pods.length} pods, ${domains} domains (target 5 s, stretch 1 s; kubelet by itself 44-90 s, Envoy Gateway 0.6-2 s)`,
  );
  say(
    'Q8',
    `${failures.length} of ${accepted.length + failures.length} connections refused or broken during ${changes} changes (target 0)`,
  );
  expect(failures).toEqual([]);
  await waitFor(
    'every mail to arrive',
    () => notOnce(sink, accepted),
    (others) => Object.keys(others).length === 0,
    60_000,
  );
});

const writes = z.object({
  verb: z.string(),
  objectRef: z.object({ resource: z.string(), namespace: z.string().default('') }).optional(),
});

/** Writes of the operator in the audit log, but for the Lease, since a position in it. */
async function writesSince(offset: number): Promise<{ writes: string[]; end: number }> {
  const text = await readFile(inject('cluster').auditLog, 'utf8');
  const lines = text.slice(offset).split('\n').slice(0, -1);
  const found = lines
    .map((line) => writes.parse(JSON.parse(line)))
    .filter(
      ({ verb, objectRef }) => !['get', 'list', 'watch'].includes(verb) && objectRef?.resource !== 'leases',
    );
  const names = found.map(({ verb, objectRef }) => `${verb} ${objectRef?.namespace}/${objectRef?.resource}`);
  return { writes: names, end: text.length };
}

test('Q10: writes while nothing changes', async () => {
  const settled = await writesSince(0);
  // What the tests before have begun comes to its end first.
  const { end } = await waitFor(
    'a quiet minute',
    async () => {
      const before = await writesSince(settled.end);
      await new Promise((resolve) => setTimeout(resolve, 60_000));
      const after = await writesSince(before.end);
      return { quiet: after.writes.length === 0, end: after.end };
    },
    ({ quiet }) => quiet,
    600_000,
  );
  await new Promise((resolve) => setTimeout(resolve, restSeconds * 1000));
  const { writes: seen } = await writesSince(end);
  say(
    'Q10',
    `${seen.length} writes in ${restSeconds} s with ${domains} domains (target 0; peers 73-1,403 status writes per 1,000 routes)`,
  );
  expect(seen).toEqual([]);
});

test('Q9: 1,000 objects from a cold start of the operator to all Ready, and its memory', async () => {
  const plum = await Tenant.create('plum');
  try {
    await plum.chart('install', {
      ...mtaValues('plum', 1),
      objects: { ...mtaValues('plum', 1).objects, mailDomains: { d0: domainSpec('d0.plum.example') } },
    });
    await kubectl([...system, 'scale', 'deployment', 'postern', '--replicas=0']);
    await kubectl([...system, 'wait', '--for=delete', 'pods', '--all', '--timeout=60s']);
    const range = (count: number) => Array.from({ length: count }, (_, number) => number);
    const refs = (number: number) => [{ name: `d${number % crowd.mailDomains}` }];
    await plum.apply(
      ...range(crowd.mailDomains)
        .slice(1)
        .map((n) => object('MailDomain', `d${n}`, domainSpec(`d${n}.plum.example`))),
      ...range(crowd.ipAccessLists).map((n) =>
        object('IpAccessList', `l${n}`, {
          action: 'Block',
          domainRefs: refs(n),
          addresses: [`198.51.${n % 250}.${1 + (n % 200)}`],
        }),
      ),
      ...range(crowd.tlsPolicies).map((n) =>
        object('TlsPolicy', `t${n}`, {
          title: `t${n}`,
          domainRefs: refs(n),
          directions: ['Inbound'],
          peerDomains: ['bank.example'],
        }),
      ),
    );
    const began = performance.now();
    await kubectl([...system, 'scale', 'deployment', 'postern', '--replicas=2']);
    await waitFor(
      'all to be Ready',
      async () => {
        const lists = await Promise.all(
          ['maildomains', 'ipaccesslists', 'tlspolicies'].map((plural) =>
            admin.list(paths.postern('plum', plural)),
          ),
        );
        return lists.flat().filter(({ status }) => !isReady(status)).length;
      },
      (missing) => missing === 0,
      600_000,
    );
    const seconds = (performance.now() - began) / 1000;
    const uids = (await kubectl([...system, 'get', 'pods', '-o=jsonpath={.items[*].metadata.uid}'])).split(
      ' ',
    );
    const sizes = await Promise.all(
      uids.map(async (uid) => {
        const text = await onNode('cat', `/proc/${await processOf(uid)}/status`);
        return Number(/^VmRSS:\s+(\d+) kB/m.exec(text)?.[1]) / 1024;
      }),
    );
    say(
      'Q9',
      `${seconds.toFixed(1)} s from the start of the pods, leader ${Math.round(Math.max(...sizes))} MiB (target 30 s, 186 MiB; stretch 12 s, 130 MiB; Envoy Gateway 186 MiB, peers 1-29 s)`,
    );
  } finally {
    await kubectl([...system, 'scale', 'deployment', 'postern', '--replicas=2']);
    await plum.remove();
  }
});

const conditions = z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })) });

function isReady(status: unknown): boolean {
  const parsed = conditions.safeParse(status);
  return (
    parsed.success && parsed.data.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True')
  );
}
