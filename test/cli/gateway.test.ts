import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { blockList, sampleFiles } from '../standalone/sample.ts';
import { postern } from './run.ts';

// From manifests to the verdict: what `postern explain --message` says of mail behind a gateway.

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-cli-gateway-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

const peer = '198.51.100.1';
const bad = '192.0.2.66';

function gateway(name: string, fields: string): string {
  return `apiVersion: postern.dev/v1alpha1
kind: InboundGateway
metadata: {name: ${name}}
spec:
  domainRefs: [{name: example-com}]
${fields}`;
}

const front = gateway('front', `  addresses: [${peer}]\n  spam: {junkPatterns: ["^X-Verdict: spam"]}\n`);

/** Runs `explain` on a folder with these gateways, for a message that the gateway was given by this address. */
async function explain(name: string, gateways: readonly string[], client: string): Promise<string> {
  const folder = await mkdtemp(join(directory, `${name}-`));
  const files = { ...sampleFiles, 'block.yaml': blockList([bad]), 'gateways.yaml': gateways.join('---\n') };
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
  const message = join(directory, `${name}.eml`);
  const received = `Received: from [203.0.113.9] (unknown [${client}])\n by gw.example (Postfix); now\n`;
  await writeFile(message, `${received}X-Verdict: spam\nFrom: a@elsewhere.example\n\nhello\n`);
  const to = ['--mail-from', 'a@elsewhere.example', '--rcpt', 'alice@example.com'];
  const answer = await postern(
    ...['explain', '-f', folder, '--client-ip', peer, ...to, '--message', message, '-o', 'json'],
  );
  return answer.out;
}

it('D13, D11: the trace names the original client, and the block list that holds it refuses', async () => {
  const { recipients } = JSON.parse(await explain('blocked', [front], bad));
  expect(recipients).toMatchObject([
    { code: '550 5.7.1', because: { kind: 'IpAccessList', name: 'blocked', entry: bad } },
  ]);
  expect(recipients[0].trace).toContainEqual(
    expect.objectContaining({ stage: 'original-client', detail: `the original client is ${bad}` }),
  );
});

it('D9: the trace names the pattern that sends the message to Junk', async () => {
  const { recipients } = JSON.parse(await explain('pattern', [front], '10.9.8.7'));
  expect(recipients).toMatchObject([{ verdict: 'accept' }]);
  expect(recipients[0].trace).toContainEqual(
    expect.objectContaining({
      stage: 'junk-patterns',
      because: expect.objectContaining({ name: 'front', entry: '^X-Verdict: spam' }),
    }),
  );
});

it('D1: a suspended gateway is as none', async () => {
  const { recipients } = JSON.parse(await explain('suspended', [`${front}  suspend: true\n`], bad));
  expect(recipients).toMatchObject([{ verdict: 'accept' }]);
});

it('D17: of two gateways that claim a domain one acts, and the other never', async () => {
  const later = gateway('later', `  addresses: [203.0.113.0/24]\n  onlyFromGateway: true\n`);
  const { recipients } = JSON.parse(await explain('conflict', [front, later], bad));
  // The later one would have refused the peer at RCPT, as nobody of its own.
  expect(recipients).toMatchObject([{ because: { kind: 'IpAccessList', name: 'blocked', entry: bad } }]);
});
