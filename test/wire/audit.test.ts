import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeCertificate } from './certificate.ts';
import { filesOfManifests } from './manifest-policy.ts';
import { type MtaProcess, startMta } from './mta-process.ts';

// The same mails under the same manifests, once enforced and once in Audit.

const front = '198.51.100.1';
const bad = '192.0.2.66';
const stranger = '203.0.113.99';

const manifests = (enforcement: string) => `
kind: MailDomain
metadata: {name: behind}
spec: {domain: behind.example, mailbox: {maildir: {}}, recipients: {mode: List, addresses: [user, info]}, authentication: {spf: Disabled, dkim: Disabled, dmarc: Disabled}}
---
kind: MailDomain
metadata: {name: open}
spec: {domain: open.example, mailbox: {maildir: {}}, recipients: {mode: List, addresses: [user, info]}, authentication: {spf: Disabled, dkim: Disabled, dmarc: Disabled}}
---
kind: IpAccessList
metadata: {name: spammers}
spec: {action: Block, allDomains: true, addresses: [192.0.2.0/24], enforcement: ${enforcement}}
---
kind: InboundGateway
metadata: {name: front}
spec: {domainRefs: [{name: behind}], addresses: [${front}], onlyFromGateway: true, enforcement: ${enforcement}}
---
kind: TlsPolicy
metadata: {name: partners}
spec: {title: Partners, domainRefs: [{name: open}, {name: behind}], directions: [Inbound], peerDomains: [bank.example], enforcement: ${enforcement}}
`;

interface Case {
  readonly client: string;
  readonly to: readonly string[];
  readonly from?: string;
  readonly header?: string;
  readonly hop?: string;
}

const corpus: readonly Case[] = [
  { client: stranger, to: ['user@open.example'] },
  { client: bad, to: ['user@open.example'] },
  { client: bad, to: ['user@open.example', 'info@open.example'] },
  { client: stranger, to: ['user@behind.example'] },
  { client: stranger, to: ['user@behind.example', 'user@open.example'] },
  { client: front, to: ['user@behind.example'], hop: stranger },
  { client: front, to: ['user@behind.example'], hop: bad },
  { client: stranger, to: ['user@open.example'], from: 'clerk@bank.example' },
  { client: stranger, to: ['user@open.example'], from: '', header: 'clerk@bank.example' },
  { client: bad, to: ['user@open.example'], from: 'clerk@bank.example' },
];

let mta: MtaProcess;
beforeAll(async () => {
  mta = await startMta({ certificate: await makeCertificate(), args: ['--proxy-from', '127.0.0.1'] });
});
afterAll(() => mta[Symbol.asyncDispose]());

/** Sends the corpus. @returns all replies to recipients and to ends of DATA. */
async function run(): Promise<string[]> {
  const replies: string[] = [];
  for (const { client, to, from = 'a@elsewhere.example', header = from, hop } of corpus) {
    const received = hop === undefined ? '' : `Received: from x (x [${hop}]) by gw.example; now\r\n`;
    const session = await mta.proxied(client);
    const data = `${received}From: <${header}>\r\nSubject: x\r\n\r\ntext\r\n`;
    replies.push(...(await session.mail({ from, to, data })).slice(1));
    await session.send('QUIT');
  }
  return replies;
}

const reject = (labels: string) => labels.includes('verdict="reject"');
const objectOf = (labels: string) => /object="([^"]*)"/.exec(labels)?.[1] ?? '';

/** How often each object counts in a metric. */
async function counts(name: string, counted: (labels: string) => boolean): Promise<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const [labels, value] of Object.entries(await mta.metric(name))) {
    if (counted(labels)) sums[objectOf(labels)] = (sums[objectOf(labels)] ?? 0) + value;
  }
  return sums;
}

test('G15: lists, gateways and TLS policies in Audit let everything pass, and count what they would have refused', async () => {
  await mta.loadFiles(filesOfManifests(manifests('Enforce')));
  const enforced = await run();
  const refused = enforced.filter((reply) => !reply.startsWith('250'));
  const rejects = await counts('postern_mta_verdicts_total', reject);
  expect(rejects).toEqual({ spammers: 4, front: 2, partners: 3 });
  expect(refused).toHaveLength(9);
  expect(await counts('postern_mta_audited_total', () => true)).toEqual({});

  await mta.loadFiles(filesOfManifests(manifests('Audit')));
  expect((await run()).filter((reply) => !reply.startsWith('250'))).toEqual([]);
  expect(await counts('postern_mta_audited_total', () => true)).toEqual(rejects);
  expect(await counts('postern_mta_verdicts_total', reject)).toEqual(rejects);
});
