import { type Account, Traffic } from '../test/e2e/traffic.ts';
import { mailDomain } from '../test/faults/fixtures.ts';
import { paths } from '../test/kubernetes/api.ts';
import { isTrue, waitFor } from '../test/kubernetes/namespace.ts';
import { verdict } from '../test/kubernetes/verdict.ts';
import { type Place, withNode, withProcesses } from './mta-places.ts';
import { type BenchResult, percentile, rounded } from './result.ts';

const domains = 100;
const entries = 1_000;
const changes = 100;
const recipient = 'bob@d0.example';
const nobody = '192.0.2.1';
const blocked = /^550 5\.7\.1 /;
const passed = /^250 /;

/**
 * Q7 and Q8: a tenant with 100 domains, each with an allow list and a block list of 1,000 addresses, and two MTA pods. Mail comes in
 * all the time, each over a connection of its own, while `kubectl apply` changes one more list 100 times; a client asks each pod by
 * SMTP for the changed verdict, every 50 ms. On a real node if test/e2e/up.ts keeps one running and its variables are set.
 */
export async function run(): Promise<BenchResult[]> {
  const { POSTERN_E2E_CLUSTER: cluster } = process.env;
  const work = async (place: Place) => {
    await fill(place);
    return await change(place);
  };
  return cluster === undefined ? await withProcesses(work) : await withNode(cluster, work);
}

/** Makes domains and lists, and waits until both pods have them all. */
async function fill({ admin, namespace, apply }: Place): Promise<void> {
  const objects = Array.from({ length: domains }, (_, number) => {
    const domain = `d${number}`;
    const list = (action: 'Allow' | 'Block', second: number) =>
      listObject(`${action.toLowerCase()}-${number}`, {
        action,
        domainRefs: [{ name: domain }],
        text: addressesFrom(`10.${second}`, entries).join('\n'),
      });
    return [
      mailDomain(domain, `${domain}.example`, { mailbox: { routeRef: { name: 'store' } } }),
      list('Allow', number),
      list('Block', number + domains),
    ];
  }).flat();
  await apply(...objects, flip(nobody));
  for (const [plural, count] of [
    ['maildomains', domains],
    ['ipaccesslists', 2 * domains + 1],
  ] as const) {
    await waitFor(
      `${plural} to be Ready`,
      async () =>
        (await admin.list(paths.postern(namespace, plural))).filter((one) => isTrue(one, 'Ready')).length,
      (ready) => ready === count,
      180_000,
    );
  }
}

async function change({ how, pods, fronts, stranger, apply }: Place): Promise<BenchResult[]> {
  const seconds: number[] = [];
  let asked = 0;
  const odd: string[] = [];
  /** Until the pod answers as it should; any answer but the two of the list's states is a failure. */
  const answers = (pod: Place['pods'][number], expected: RegExp) =>
    waitFor(
      `${pod.host} to answer ${expected}`,
      async () => {
        const reply = await verdict(pod, stranger, recipient).catch(String);
        asked += 1;
        if (!passed.test(reply) && !blocked.test(reply)) odd.push(reply);
        return reply;
      },
      (reply) => expected.test(reply),
      120_000,
    );
  const traffic = fronts.map((front, number) => new Traffic(front, recipient, `bench-${number}`));
  const accounts: Account[] = [];
  try {
    for (let round = 0; round < changes; round += 1) {
      const blocks = round % 2 === 0;
      const began = performance.now();
      await apply(flip(blocks ? stranger : nobody));
      await Promise.all(pods.map((pod) => answers(pod, blocks ? blocked : passed)));
      seconds.push((performance.now() - began) / 1_000);
    }
  } finally {
    for (const one of traffic) accounts.push(await one.stop());
  }
  const failures = [...odd, ...accounts.flatMap((account) => account.failures)];
  const mails = accounts.reduce((sum, one) => sum + one.accepted.length + one.failures.length, 0);
  for (const failure of failures) console.error(`under changes: ${failure}`);
  const what = `kubectl apply of a list to the verdict in ${pods.length} pods, ${domains} domains, ${changes} changes under mail (${how})`;
  const row = (share: string, value: number, target: string): BenchResult => ({
    id: 'Q7',
    what: `${what}, ${share}`,
    value: rounded(value),
    unit: 's',
    target,
    peer: 'published, on other machines: Envoy Gateway 0.6 to 2 s; measured on a node: kubelet by itself 44 to 89 s',
  });
  return [
    row('p50', percentile(seconds, 0.5), '-'),
    row('p99', percentile(seconds, 0.99), '<= 5'),
    {
      id: 'Q8',
      what: `connections refused or failed during ${changes} changes of policy, of ${mails} with a mail and ${asked} that ask for a verdict`,
      value: failures.length,
      unit: 'connections',
      target: '0',
      peer: 'published: Envoy Gateway, 14,808 answers 503 while 3,000 routes were added',
    },
  ];
}

/** Addresses of the block `start`.0.0/16. */
const addressesFrom = (start: string, count: number) =>
  Array.from({ length: count }, (_, at) => `${start}.${at >> 8}.${at & 255}`);

const listObject = (name: string, spec: object) => ({
  apiVersion: 'postern.dev/v1alpha1',
  kind: 'IpAccessList',
  metadata: { name },
  spec,
});

/** The list that changes: one address of 1,000. */
function flip(address: string): object {
  const addresses = [...addressesFrom('172.16', entries - 1), address];
  return listObject('flip', { action: 'Block', allDomains: true, addresses });
}
