import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadSnapshot } from '../../cli/snapshot.ts';
import { compile } from '../../operator/compile/compile.ts';
import { render } from '../../operator/render/render.ts';
import { accountOf, signIn } from '../wire/account.ts';
import { makeCertificate } from '../wire/certificate.ts';
import { type MtaProcess, startMta } from '../wire/mta-process.ts';
import { message, type SmtpClient } from '../wire/smtp-client.ts';
import { postern } from './run.ts';

// Every kind of refusal on the wire of two pods; then the manifests alone say what it was.

const front = '198.51.100.1';
const bad = '192.0.2.66';
const stranger = '203.0.113.99';

const manifests = (blocked = '192.0.2.0/24') => `
apiVersion: postern.dev/v1alpha1
kind: MailDomain
metadata: {name: open}
spec:
  domain: open.example
  mailbox: {maildir: {}}
  recipients: {mode: List, addresses: [user, info]}
  limits: {maxMessageBytes: 65536}
  authentication: {spf: Disabled, dkim: Disabled, dmarc: Disabled}
  submission: {enabled: true, accountsSecretRef: {name: people}}
---
apiVersion: postern.dev/v1alpha1
kind: MailDomain
metadata: {name: gated}
spec:
  domain: gated.example
  mailbox: {maildir: {}}
  recipients: {mode: List, addresses: [user]}
  authentication: {spf: Disabled, dkim: Disabled, dmarc: Disabled}
---
apiVersion: postern.dev/v1alpha1
kind: MailDomain
metadata: {name: routed}
spec:
  domain: routed.example
  mailbox: {routeRef: {name: down}}
  recipients: {mode: Probe}
---
apiVersion: postern.dev/v1alpha1
kind: MailDomain
metadata: {name: strict}
spec:
  domain: strict.example
  mailbox: {maildir: {}}
  recipients: {mode: List, addresses: [user]}
  authentication: {spf: Reject}
---
apiVersion: postern.dev/v1alpha1
kind: MailDomain
metadata: {name: filtered}
spec:
  domain: filtered.example
  mailbox: {maildir: {}}
  recipients: {mode: List, addresses: [user]}
  authentication: {spf: Disabled, dkim: Disabled, dmarc: Disabled}
  contentFilter: {rspamd: {url: "http://127.0.0.1:9"}, onFailure: Defer}
---
apiVersion: postern.dev/v1alpha1
kind: Route
metadata: {name: down}
spec: {host: 127.0.0.1, port: 9}
---
apiVersion: postern.dev/v1alpha1
kind: IpAccessList
metadata: {name: spammers}
spec: {action: Block, allDomains: true, entries: [{address: ${blocked}, note: ticket 4711}]}
---
apiVersion: postern.dev/v1alpha1
kind: InboundGateway
metadata: {name: front}
spec: {domainRefs: [{name: gated}], addresses: [${front}], onlyFromGateway: true}
---
apiVersion: postern.dev/v1alpha1
kind: TlsPolicy
metadata: {name: partners}
spec: {title: Partners, domainRefs: [{name: open}], directions: [Inbound], peerDomains: [bank.example]}
---
apiVersion: v1
kind: Secret
metadata: {name: people, labels: {postern.dev/use: accounts}}
type: Opaque
stringData:
  accounts.yaml: |
    - ${JSON.stringify(accountOf('user@open.example'))}
`;

let folder = '';
let pods: MtaProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-why-'));
  await writeFile(join(folder, 'mta.yaml'), 'heloName: mx.open.example\n');
  await writeFile(join(folder, 'policy.yaml'), manifests());
  const { snapshot, problems } = await loadSnapshot({ warn: () => undefined }, { folder }, Date.now());
  expect(problems).toEqual([]);
  const [policy] = compile(snapshot).mtas;
  if (policy === undefined) throw new Error('no policy');
  const { publicFiles, secretFiles } = render(policy);
  const certificate = await makeCertificate();
  const args = ['--submission', '127.0.0.1:0', '--proxy-from', '127.0.0.1', '--resolver', '127.0.0.1:9'];
  pods = await Promise.all(
    [1, 2].map(() => startMta({ certificate, args, settings: { heloName: 'mx.open.example' } })),
  );
  for (const pod of pods) await pod.loadFiles(new Map([...publicFiles, ...secretFiles]));
});
afterAll(async () => {
  for (const pod of pods) await pod[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Refusal {
  readonly client?: string;
  readonly from?: string;
  readonly to?: readonly string[];
  readonly data?: string;
}

const received = (address: string) => `Received: from x (x [${address}]) by gw.example; now\r\n`;
const own = 'Received: from x by mx.open.example; now\r\n';

/** The last reply that refuses, in a session from outside. */
const over =
  ({
    client = stranger,
    from = 'a@elsewhere.example',
    to = ['user@open.example'],
    data = message(),
  }: Refusal) =>
  async (pod: MtaProcess): Promise<string> => {
    const session = await pod.proxied(client);
    const replies = await session.mail({ from, to, data });
    return replies.findLast((reply) => !reply.startsWith('250')) ?? '';
  };

const commands =
  (...lines: readonly string[]) =>
  async (pod: MtaProcess): Promise<string> => {
    const session = await pod.proxied(stranger);
    let reply = '';
    for (const line of lines) reply = await session.send(line);
    return reply;
  };

const submitted =
  (use: (session: SmtpClient) => Promise<string>) =>
  async (pod: MtaProcess): Promise<string> =>
    use(await signIn(pod, 'user@open.example'));

const mailFrom = 'MAIL FROM:<a@elsewhere.example>';

/** What is done, the beginning of the reply, and what `why` says. */
const refusals: [what: string, cause: (pod: MtaProcess) => Promise<string>, reply: string, said: string][] = [
  ['a blocked peer', over({ client: bad }), '550 5.7.1', 'IpAccessList/spammers'],
  [
    'a blocked client behind the gateway',
    over({ client: front, to: ['user@gated.example'], data: `${received(bad)}${message()}` }),
    '550 5.7.1',
    'IpAccessList/spammers',
  ],
  ['gateway-only', over({ to: ['user@gated.example'] }), '550 5.7.1', 'InboundGateway/front'],
  ['TLS by MAIL FROM', over({ from: 'x@bank.example' }), '530 5.7.0', 'TlsPolicy/partners'],
  [
    'TLS by the From header',
    over({ data: message({ from: 'x@bank.example' }) }),
    '530 5.7.0',
    'TlsPolicy/partners',
  ],
  ['an unknown recipient', over({ to: ['nobody@open.example'] }), '550 5.1.1', 'MailDomain/open'],
  [
    'a harvest',
    over({ to: Array.from({ length: 11 }, (_, i) => `guess${i}@open.example`) }),
    '421 4.7.0',
    'MailDomain/open',
  ],
  [
    'recipients that cannot be asked for',
    over({ to: ['user@routed.example'] }),
    '451 4.3.0',
    'MailDomain/routed',
  ],
  [
    'other settings',
    over({ to: ['user@open.example', 'user@filtered.example'] }),
    '452 4.5.3',
    'MailDomain/filtered',
  ],
  ['SPF without an answer', over({ to: ['user@strict.example'] }), '451 4.7.0', 'MailDomain/strict'],
  ['a filter that is down', over({ to: ['user@filtered.example'] }), '451 4.7.1', 'MailDomain/filtered'],
  [
    'a message too big',
    over({ data: message({ body: `${'x'.repeat(990)}\r\n`.repeat(80) }) }),
    '552 5.3.4',
    'MailDomain/open',
  ],
  ['a SIZE too big', commands(`${mailFrom} SIZE=99999999999`), '552 5.3.4', 'rule size'],
  ['relaying', over({ to: ['x@foreign.example'] }), '550 5.7.1', 'rule relay'],
  ['a percent route', over({ to: ['x%y@open.example'] }), '553 5.1.3', 'rule address-form'],
  ['a source route', over({ to: ['@a.example:user@open.example'] }), '550 5.7.1', 'rule address-form'],
  ['a local part beyond ASCII', over({ to: ['j\u00f6@open.example'] }), '553 5.6.7', 'rule address-form'],
  [
    'NOTIFY',
    commands(mailFrom, 'RCPT TO:<user@open.example> NOTIFY=NEVER'),
    '555 5.5.4',
    'rule address-form',
  ],
  ['RET', commands(`${mailFrom} RET=HDRS`), '555 5.5.4', 'rule sender-form'],
  ['a parameter nobody knows', commands(`${mailFrom} X=1`), '555 5.5.4', 'rule sender-form'],
  ['a sender that is no address', commands('MAIL FROM:<a@b@c>'), '553 5.1.7', 'rule sender-form'],
  ['a MAIL without FROM', commands('MAIL <a@b.example>'), '501 5.5.4', 'rule address-form'],
  ['a message without From', over({ data: 'Subject: x\r\n\r\ntext\r\n' }), '550 5.7.1', 'rule from-header'],
  ['a NUL', over({ data: message({ body: 'a\0b\r\n' }) }), '550 5.6.0', 'rule smuggling'],
  ['a loop', over({ data: `${own.repeat(6)}${message()}` }), '554 5.4.6', 'rule loop'],
  [
    'a sender of somebody else',
    submitted((session) => session.send('MAIL FROM:<other@elsewhere.example>')),
    '553 5.7.1',
    'MailDomain/open',
  ],
  [
    'a From of somebody else',
    submitted(
      async (session) =>
        (await session.mail({ from: 'user@open.example', to: ['info@open.example'] })).at(-1) ?? '',
    ),
    '550 5.7.1',
    'MailDomain/open',
  ],
  [
    'no authentication',
    async (pod) => (await pod.session('submission', '127.0.0.2')).send(mailFrom),
    '530 5.7.0',
    'rule submission',
  ],
  [
    'AUTH without TLS',
    async (pod) => (await pod.session('submission', '127.0.0.2')).send('AUTH PLAIN AGEAYg=='),
    '538 5.7.11',
    'rule submission',
  ],
];

const refOf = (reply: string) => /\(ref ([0-9A-Z]{8})\)$/.exec(reply)?.[1] ?? `no reference: ${reply}`;

describe('B7: postern why', () => {
  const seen = new Map<string, string>();

  test.each(refusals)('%s has the same reference in both pods', async (what, cause, reply) => {
    const [one = '', other = ''] = [await cause(pods[0] ?? fail()), await cause(pods[1] ?? fail())];
    expect(one).toMatch(new RegExp(`^${reply.replaceAll('.', '\\.')} .*\\(ref [0-9A-Z]{8}\\)$`));
    expect(other).toBe(one);
    seen.set(what, refOf(one));
  });

  test('names the object or the rule behind each of them, from the manifests alone', async () => {
    expect(seen.size).toBe(refusals.length);
    const answers = new Map<string, string>();
    const refs = [...new Set(seen.values())];
    const work = async () => {
      for (let ref = refs.pop(); ref !== undefined; ref = refs.pop())
        answers.set(ref, (await postern('why', ref, '-f', folder)).out);
    };
    await Promise.all([work(), work()]);
    for (const [what, , , said] of refusals) expect(answers.get(seen.get(what) ?? ''), what).toContain(said);
    expect(answers.get(seen.get('a blocked peer') ?? '')).toMatch(
      /entry 192\.0\.2\.0\/24\n {2}note {2}ticket 4711/,
    );
  }, 120_000);

  test('after the policy has changed it still names the object, and says that it was edited', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'postern-why-later-'));
    try {
      const later = manifests('198.18.0.0/15');
      await writeFile(join(directory, 'mta.yaml'), 'heloName: mx.open.example\n');
      await writeFile(join(directory, 'policy.yaml'), later);
      const { code, out } = await postern('why', seen.get('a blocked peer') ?? '', '-f', directory);
      expect(out).toContain('IpAccessList/spammers');
      expect(out).toContain('the entry is not there any more');
      expect(code).toBe(0);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

function fail(): never {
  throw new Error('no pod');
}
