import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { runPostern } from '../standalone/harness.ts';
import { blockList, sampleFiles } from '../standalone/sample.ts';
import { postern } from './run.ts';

let directory = '';
let folder = '';

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-cli-'));
  folder = await makeFolder('policy', {
    ...sampleFiles,
    'noted.yaml': `apiVersion: postern.dev/v1alpha1
kind: IpAccessList
metadata: {name: noted}
spec:
  action: Block
  allDomains: true
  entries:
  - {address: 198.51.100.0/24, note: ticket 4711}
  text: |
    203.0.113.5  # from the old firewall
`,
  });
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function makeFolder(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const path = join(directory, name);
  await mkdir(path, { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text);
  return path;
}

const explain = (client: string, ...more: readonly string[]) =>
  postern('explain', '-f', folder, '--client-ip', client, '--mail-from', 'a@elsewhere.example', ...more);

/** The reference of the refusal of a client. */
async function refOf(client: string): Promise<string> {
  const { out } = await explain(client, '--rcpt', 'alice@example.com');
  return /\(ref (\w{8})\)/.exec(out)?.[1] ?? '';
}

describe('postern explain', () => {
  it('answers in the contract, one entry per --rcpt, in order; 1 because one is refused', async () => {
    const { code, out, err } = await explain(
      '192.0.2.1',
      '--rcpt',
      'nobody@example.com',
      '--rcpt',
      'Alice@example.com',
      '-o',
      'json',
    );
    expect(err).toBe('');
    expect(code).toBe(1);
    const answer: unknown = JSON.parse(out);
    expect(answer).toEqual({
      recipients: [
        {
          address: 'nobody@example.com',
          verdict: 'reject',
          code: '550 5.1.1',
          reason: expect.stringMatching(/^no such recipient \(ref [0-9A-Z]{8}\)$/),
          because: { kind: 'MailDomain', name: 'example-com', generation: 1, entry: 'spec.recipients' },
          legs: [],
          trace: expect.arrayContaining([expect.objectContaining({ stage: 'relay', outcome: 'pass' })]),
        },
        {
          address: 'Alice@example.com',
          verdict: 'accept',
          code: '250 2.1.5',
          reason: 'Recipient OK',
          because: { kind: 'MailDomain', name: 'example-com', generation: 1, entry: 'spec.recipients' },
          legs: [
            {
              to: expect.stringMatching(/^alice@example\.com$/i),
              via: 'maildir',
              tls: 'None',
              sign: [],
              copy: false,
              ndr: true,
            },
          ],
          trace: expect.any(Array),
        },
      ],
    });
  });

  it('0 if all are accepted; YAML says the same as JSON', async () => {
    const json = await explain('192.0.2.1', '--rcpt', 'alice@example.com', '-o', 'json');
    const yaml = await explain('192.0.2.1', '--rcpt', 'alice@example.com', '-o', 'yaml');
    expect([json.code, yaml.code]).toEqual([0, 0]);
    expect(parse(yaml.out)).toEqual(JSON.parse(json.out));
  });

  it('D12: --message judges the end of DATA too', async () => {
    const message = join(directory, 'mail.eml');
    await writeFile(message, 'From: nobody\nSubject: x\n\nHello.\n');
    const { code, out } = await explain(
      '192.0.2.1',
      '--rcpt',
      'alice@example.com',
      '--message',
      message,
      '-o',
      'json',
    );
    expect(code).toBe(1);
    expect(JSON.parse(out).recipients[0]).toMatchObject({
      verdict: 'reject',
      code: '550 5.7.1',
      because: { name: 'from-header' },
    });
  });

  it('B5: --at asks about another moment', async () => {
    const path = await makeFolder('expiry', {
      ...sampleFiles,
      'block.yaml': blockList(
        ['192.0.2.1'],
        '  entries:\n  - {address: 192.0.2.9, expireTime: "2030-01-01T00:00:00Z"}\n',
      ),
    });
    const at = (time: string) =>
      postern(
        'explain',
        '-f',
        path,
        '--client-ip',
        '192.0.2.9',
        '--mail-from',
        '',
        '--rcpt',
        'alice@example.com',
        '--at',
        time,
      );
    expect((await at('2029-12-31T23:59:59Z')).code).toBe(1);
    expect((await at('2030-01-01T00:00:00Z')).code).toBe(0);
  });

  it.each([
    [
      'a client that is no address',
      ['--client-ip', '1.2.3', '--mail-from', '', '--rcpt', 'a@example.com'],
      '1.2.3',
    ],
    ['no recipient', ['--client-ip', '192.0.2.1', '--mail-from', ''], '--rcpt'],
    [
      'an unknown account',
      ['--client-ip', '192.0.2.1', '--mail-from', '', '--rcpt', 'a@example.com', '--auth', 'x@y.example'],
      'x@y.example',
    ],
    [
      'a message that is not there',
      ['--client-ip', '192.0.2.1', '--mail-from', '', '--rcpt', 'a@example.com', '--message', '/nowhere.eml'],
      '/nowhere.eml',
    ],
    [
      'a time that is none',
      ['--client-ip', '192.0.2.1', '--mail-from', '', '--rcpt', 'a@example.com', '--at', 'soon'],
      'soon',
    ],
    [
      'an output that is none',
      ['--client-ip', '192.0.2.1', '--mail-from', '', '--rcpt', 'a@example.com', '-o', 'xml'],
      'xml',
    ],
  ])('2 for %s, named on stderr', async (_, args, named) => {
    const { code, out, err } = await postern('explain', '-f', folder, ...args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain(named);
  });
});

describe('postern why', () => {
  it('B7, A5: names the object, its generation, the entry and the note beside it', async () => {
    const { code, out } = await postern('why', await refOf('198.51.100.77'), '-f', folder, '-o', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(out).matches).toEqual([
      {
        mta: 'default',
        kind: 'IpAccessList',
        name: 'noted',
        generation: 1,
        entry: '198.51.100.0/24',
        currentGeneration: 1,
        note: 'ticket 4711',
      },
    ]);
  });

  it('A4: the note of a line of free text is found too', async () => {
    const { out } = await postern('why', await refOf('203.0.113.5'), '-f', folder);
    expect(out).toContain('IpAccessList/noted, generation 1');
    expect(out).toContain('from the old firewall');
  });

  it('a rule of our own is told as such', async () => {
    const { out } = await explain('192.0.2.1', '--rcpt', 'a@foreign.example');
    const { code, out: answer } = await postern('why', /\(ref (\w{8})\)/.exec(out)?.[1] ?? '', '-f', folder);
    expect(code).toBe(0);
    expect(answer).toContain('relaying denied');
  });

  it('1 for a reference that nothing has', async () => {
    const { code, out } = await postern('why', '00000000', '-f', folder);
    expect(code).toBe(1);
    expect(out).toContain('00000000');
  });
});

describe('postern lint', () => {
  it('0 and no error for a good folder', async () => {
    const { code, out } = await postern('lint', '-f', folder, '-o', 'json');
    const { findings, objects } = JSON.parse(out);
    expect(objects).toBe(3);
    expect(findings.filter(({ severity }: { severity: string }) => severity === 'error')).toEqual([]);
    expect(code).toBe(0);
  });

  it('names file, line, column, object, field and value; conflicts and references too', async () => {
    const path = await makeFolder('bad', {
      ...sampleFiles,
      'block.yaml': blockList(['192.0.2.1/8']),
      'z-twin.yaml': (sampleFiles['domain.yaml'] ?? '').replace('name: example-com', 'name: twin'),
      'ref.yaml': `${blockList(['192.0.2.1']).replace('name: blocked', 'name: lost').replace('allDomains: true', 'domainRefs: [{name: nowhere}]')}`,
    });
    const { code, out } = await postern('lint', '-f', path, '-o', 'json');
    expect(code).toBe(1);
    expect(JSON.parse(out).findings).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          severity: 'error',
          file: 'block.yaml',
          line: 8,
          column: 5,
          object: 'IpAccessList/blocked',
          field: 'spec.addresses[0]',
          value: '"192.0.2.1/8"',
        }),
        expect.objectContaining({
          severity: 'error',
          object: expect.stringMatching(/MailDomain/),
          reason: 'Conflicted',
        }),
        expect.objectContaining({ severity: 'error', object: 'IpAccessList/lost', reason: 'DomainNotFound' }),
      ]),
    );
  });

  it('names the domains that no room is left for, once each', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `d${index}`);
    const hash = () => `scrypt$16384$8$1$${randomBytes(700).toString('base64url')}$a`;
    const accounts = (domain: string) =>
      Array.from({ length: 28 }, (_, index) => ({
        name: `user${index}@${domain}`,
        hashes: Array.from({ length: 32 }, () => ({ hash: hash() })),
      }));
    const files = names.flatMap((name) => {
      const domain = `${name}.example`;
      const submission = { enabled: true, accountsSecretRef: { name } };
      const spec = { domain, mailbox: { maildir: {} }, recipients: { mode: 'List' }, submission };
      const metadata = { name, labels: { 'postern.dev/use': 'accounts' } };
      const data = { 'accounts.yaml': Buffer.from(JSON.stringify(accounts(domain))).toString('base64') };
      return [
        [
          `${name}.yaml`,
          { apiVersion: 'postern.dev/v1alpha1', kind: 'MailDomain', metadata: { name }, spec },
        ],
        [`${name}-accounts.yaml`, { apiVersion: 'v1', kind: 'Secret', metadata, data }],
      ] as const;
    });
    const texts = files.map(([file, manifest]) => [file, JSON.stringify(manifest)] as const);
    const mta = sampleFiles['mta.yaml'] ?? '';
    const path = await makeFolder('large', { 'mta.yaml': mta, ...Object.fromEntries(texts) });
    const { code, out } = await postern('lint', '-f', path, '-o', 'json');
    expect(code).toBe(1);
    const { findings }: { findings: { object: string; reason: string }[] } = JSON.parse(out);
    const tooLarge = findings.filter(({ reason }) => reason === 'ConfigTooLarge').map(({ object }) => object);
    expect(tooLarge).not.toEqual([]);
    expect(tooLarge).toEqual([...new Set(tooLarge)]);
    expect(tooLarge.every((object) => object.startsWith('MailDomain/d'))).toBe(true);
  });

  it('A9: a warning is 0, and 1 with --strict', async () => {
    const path = await makeFolder('broad', {
      ...sampleFiles,
      'block.yaml': blockList(['192.0.0.0/16']).replace('Block', 'Allow'),
    });
    const relaxed = await postern('lint', '-f', path);
    expect(relaxed.code).toBe(0);
    expect(relaxed.out).toContain('warning: IpAccessList/blocked: BroadRange');
    expect((await postern('lint', '-f', path, '--strict')).code).toBe(1);
  });
});

describe('postern render, status, dns', () => {
  it('renders the policy and the configuration of the MTA, the same bytes each time', async () => {
    const [first, second] = [
      await postern('render', '-f', folder, '-o', 'json'),
      await postern('render', '-f', folder, '-o', 'json'),
    ];
    expect(first.code).toBe(0);
    expect(first.out).toBe(second.out);
    const [mta] = JSON.parse(first.out).mtas;
    expect(mta.mta).toBe('default');
    expect(parse(mta.files['policy.yaml'])).toMatchObject({
      version: 1,
      domains: [{ domain: 'example.com' }],
    });
    expect(Object.keys(mta.files)).toContain('config/mta.json');
  });

  it('R7: without a cluster a Route host of one label is meant as it is written', async () => {
    const path = await makeFolder('short', {
      ...sampleFiles,
      'route.yaml': `apiVersion: postern.dev/v1alpha1
kind: Route
metadata: {name: old}
spec: {host: oldserver}
`,
      'domain.yaml': `${sampleFiles['domain.yaml']}  inboundRouting:
  - {match: External, target: Unknown, routeRef: {name: old}}
`,
    });
    const { out } = await postern('render', '-f', path, '-o', 'json');
    expect(out).toContain('host: oldserver\\n');
  });

  it.each([
    [
      'R7: a Route to the metadata service is not taken',
      'Accepted=False/HostNotAllowed',
      'spec: {host: 169.254.169.254}',
    ],
    [
      'R8: a Secret that does not say that it is for Routes is never sent to one',
      'ResolvedRefs=False/SecretNotAllowed',
      `spec: {host: relay.example.net, tls: {mode: Required}, authSecretRef: {name: login}}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
type: kubernetes.io/basic-auth
stringData: {username: u, password: hunter2}`,
    ],
  ])('%s', async (_title, expected, spec) => {
    const path = await makeFolder(expected.replace(/\W/g, '-'), {
      ...sampleFiles,
      'route.yaml': `apiVersion: postern.dev/v1alpha1\nkind: Route\nmetadata: {name: out}\n${spec}\n`,
      'domain.yaml': `${sampleFiles['domain.yaml']}  outboundRouting:
  - {match: External, changeRoute: {name: out}}
`,
    });
    const { out } = await postern('status', '-f', path, '-o', 'json');
    const [route] = JSON.parse(out).objects.filter(({ kind }: { kind: string }) => kind === 'Route');
    const found = route.status.conditions.map(
      ({ type, status, reason }: Record<string, string>) => `${type}=${status}/${reason}`,
    );
    expect(found).toContain(expected);
    const rendered = await postern('render', '-f', path, '-o', 'json');
    expect(rendered.out).not.toContain('hunter2');
    expect(rendered.out).not.toContain('169.254.169.254');
  });

  it('--out writes the files', async () => {
    const out = join(directory, 'rendered');
    expect((await postern('render', '-f', folder, '--out', out)).code).toBe(0);
    expect(await readFile(join(out, 'default/config/mta.json'), 'utf8')).toContain('mx.example.com');
  });

  it('--diff without a running MTA is misuse', async () => {
    const { code, err } = await postern('render', '-f', folder, '--diff');
    expect(code).toBe(2);
    expect(err).toContain('postern standalone');
  });

  it('a file in place of the folder, as kubectl takes it, is misuse', async () => {
    const { code, err } = await postern('lint', '-f', join(folder, 'noted.yaml'));
    expect(code).toBe(2);
    expect(err).toContain(
      'noted.yaml: the folder cannot be read: it is a file; name the folder that it lies in',
    );
  });

  it('status of a folder that nobody serves: accepted, not programmed, 1', async () => {
    const { code, out } = await postern('status', '-f', folder, '-o', 'json');
    expect(code).toBe(1);
    const answer = JSON.parse(out);
    expect(answer.running).toBe(false);
    expect(answer.objects).toHaveLength(3);
  });

  it('D3, O5, K11: dns prints the MX record and the first SPF and DMARC records, ready for a zone file', async () => {
    const { code, out } = await postern('dns', '-f', folder, '-o', 'json');
    expect(code).toBe(0);
    const object = 'MailDomain/example-com';
    const spf = 'v=spf1 a:mx.example.com -all';
    const dmarc = 'v=DMARC1; p=none; rua=mailto:postmaster@example.com';
    expect(JSON.parse(out)).toEqual({
      records: [
        {
          name: 'example.com',
          type: 'MX',
          value: '10 mx.example.com.',
          object,
          zoneFileLine: 'example.com. IN MX 10 mx.example.com.',
        },
        {
          name: 'example.com',
          type: 'TXT',
          value: spf,
          object,
          zoneFileLine: `example.com. IN TXT "${spf}"`,
        },
        {
          name: '_dmarc.example.com',
          type: 'TXT',
          value: dmarc,
          object,
          zoneFileLine: `_dmarc.example.com. IN TXT "${dmarc}"`,
        },
      ],
    });
  });

  it('dns --check says what it was not told: a resolver that does not answer', async () => {
    const { code, out } = await postern(
      'dns',
      '-f',
      folder,
      '--check',
      '--resolver',
      '127.0.0.1:9',
      '-o',
      'json',
    );
    expect(code).toBe(1);
    expect(JSON.parse(out).checks).toMatchObject(
      ['MxReady', 'SpfReady', 'DmarcReady'].map((type) => ({
        type,
        status: 'Unknown',
        reason: 'ResolverError',
      })),
    );
  });
});

describe('the program', () => {
  it.each(['standalone', 'explain', 'why', 'status', 'lint', 'render', 'dns', 'blocks', 'queue', 'mta'])(
    '%s --help ends with 0',
    async (command) => {
      const { code, out } = await postern(command, '--help');
      expect(code).toBe(0);
      expect(out).toContain('Usage: postern');
    },
  );

  it('ends in silence when who reads has seen enough: postern render | head', async () => {
    const child = runPostern(['render', '-f', folder, '-o', 'json']);
    child.stdout?.destroy();
    let err = '';
    child.stderr?.on('data', (chunk) => {
      err += chunk;
    });
    await once(child, 'close');
    expect(err).toBe('');
  });

  it.each([
    ['an unknown command', ['frobnicate']],
    ['an unknown option', ['lint', '-f', '.', '--frobnicate']],
    ['no source', ['lint']],
    ['a folder that is not there', ['lint', '-f', '/nowhere/at/all']],
    ['a state folder that is none', ['status', '-f', '.', '--state', '/nowhere']],
    ['a queue of nobody', ['queue', 'list']],
    ['an order about no mail', ['queue', 'hold', '-f', '.']],
    ['an id that leads elsewhere', ['queue', 'show', '../state', '-f', '.']],
    ['an id beside all', ['queue', 'hold', 'all', '0E3B.1.1', '-f', '.']],
    ['a pod of a folder', ['queue', 'list', '--pod', 'x', '-f', '.']],
    ['an address that is none', ['standalone', '-f', '.', '--smtp', 'somewhere']],
    [
      'a folder to serve that is not there',
      ['standalone', '-f', '/nowhere/at/all', '--state', join(tmpdir(), `postern-none-${process.pid}`)],
    ],
  ])('2 for %s', async (_, args) => {
    const { code, err } = await postern(...args);
    expect(err).not.toBe('');
    expect(err).not.toMatch(/\n\s+at /);
    expect(code).toBe(2);
  });
});
