// What the admission policies of the chart refuse and warn of, seen by kubectl at a real API server.
import { beforeAll, describe, expect, test } from 'vitest';
import type { CommandResult } from '../cluster/run-command.ts';
import { useControlPlane } from '../cluster/shared.ts';
import { eventually, installOperator } from './install.ts';

const cluster = useControlPlane();
let namespace: string;

beforeAll(async () => {
  await installOperator(cluster.current, 'admissionPolicies.allowedDomains=true');
  namespace = await cluster.freshNamespace('tenant');
});

/** Asks again while a policy that was just installed has not read its parameters: such a denial says nothing of the policy. */
const kubectl = (args: readonly string[], stdin?: string): Promise<CommandResult> =>
  eventually(
    'the parameters of the policies to be read',
    () => cluster.current.kubectl('admin', ['-n', namespace, ...args], stdin),
    ({ stderr }) => !stderr.includes('not yet synced'),
  );

function manifest(
  kind: string,
  name: string,
  spec: object,
  annotations: Record<string, string> = {},
): string {
  return JSON.stringify({ apiVersion: 'postern.dev/v1alpha1', kind, metadata: { name, annotations }, spec });
}

const mailDomain = (name: string, spec: object = {}) =>
  manifest('MailDomain', name, {
    domain: `${name}.example`,
    mailbox: { routeRef: { name: 'mailbox' } },
    ...spec,
  });

async function apply(...manifests: string[]): Promise<CommandResult> {
  const result = await kubectl(['apply', '-f', '-'], manifests.join('\n---\n'));
  if (result.code !== 0) throw new Error(result.stderr);
  return result;
}

const tryOut = (text: string) => kubectl(['apply', '--dry-run=server', '-f', '-'], text);

/** Waits until the API server refuses the manifest, without storing it. @returns what it says */
async function denial(text: string): Promise<string> {
  return (
    await eventually(
      'a denial',
      () => tryOut(text),
      ({ code }) => code !== 0,
    )
  ).stderr;
}

/** Waits until the API server refuses to delete the Route. */
async function denialOfDelete(route: string): Promise<string> {
  const result = await eventually(
    'a denial',
    () => kubectl(['delete', 'routes.postern.dev', route, '--dry-run=server']),
    ({ code }) => code !== 0,
  );
  return result.stderr;
}

const accepted = (result: CommandResult) => result.code === 0;

describe('R3: a Route in use', () => {
  const users: [string, string, (route: string) => string][] = [
    [
      'spec.mailbox.routeRef',
      'MailDomain',
      (route) => mailDomain('by-mailbox', { mailbox: { routeRef: { name: route } } }),
    ],
    [
      'spec.inboundRouting[].routeRef',
      'MailDomain',
      (route) =>
        mailDomain('by-inbound', {
          inboundRouting: [{ match: 'External', target: 'Unknown', routeRef: { name: route } }],
        }),
    ],
    [
      'spec.outboundRouting[].changeRoute',
      'MailDomain',
      (route) =>
        mailDomain('by-change', { outboundRouting: [{ match: 'External', changeRoute: { name: route } }] }),
    ],
    [
      'spec.outboundRouting[].sendCopyTo',
      'MailDomain',
      (route) =>
        mailDomain('by-copy', { outboundRouting: [{ match: 'Internal', sendCopyTo: { name: route } }] }),
    ],
    [
      'spec.routeRef',
      'InboundGateway',
      (route) =>
        manifest('InboundGateway', 'by-gateway', {
          domainRefs: [{ name: 'any' }],
          addresses: ['192.0.2.1'],
          routeRef: { name: route },
        }),
    ],
  ];

  test.each(users)(
    'R3: named in %s of a %s is not deleted, and kubectl names both',
    async (field, kind, userOf) => {
      const route = `r${field.toLowerCase().replaceAll(/[^a-z]/g, '')}`;
      const user = userOf(route);
      const name: string = JSON.parse(user).metadata.name;
      await apply(manifest('Route', route, { host: 'mail.example' }), user);
      expect(await denialOfDelete(route)).toContain(`Route ${route} is used by ${kind} ${name} (${field})`);
      const deleted = await kubectl(['delete', 'routes.postern.dev', route]);
      expect(deleted.code).not.toBe(0);
      expect((await kubectl(['get', 'routes.postern.dev', route])).code).toBe(0);
      // The user goes, and then the Route may.
      await kubectl(['delete', kind, name]);
      await eventually(
        'the Route to be deleted',
        () => kubectl(['delete', 'routes.postern.dev', route]),
        accepted,
      );
    },
  );

  test('R3: an unused one is deleted, and so is one of the same name in another namespace', async () => {
    const other = await cluster.freshNamespace('tenant');
    const route = manifest('Route', 'shared', { host: 'mail.example' });
    await apply(route, mailDomain('shares', { mailbox: { routeRef: { name: 'shared' } } }));
    expect((await cluster.current.kubectl('admin', ['-n', other, 'apply', '-f', '-'], route)).code).toBe(0);
    expect(await denialOfDelete('shared')).toContain('is used by MailDomain shares');
    expect(
      await cluster.current.kubectl('admin', ['-n', other, 'delete', 'routes.postern.dev', 'shared']),
    ).toMatchObject({ code: 0 });
    await apply(manifest('Route', 'unused', { host: 'mail.example' }));
    expect(await kubectl(['delete', 'routes.postern.dev', 'unused'])).toMatchObject({ code: 0 });
  });

  test('R3: postern.dev/allow-delete=when-unused has the deletion of one in use taken, and no other value does', async () => {
    await apply(
      manifest('Route', 'later', { host: 'mail.example' }),
      mailDomain('uses-later', { mailbox: { routeRef: { name: 'later' } } }),
    );
    await kubectl(['annotate', 'routes.postern.dev', 'later', 'postern.dev/allow-delete=false']);
    await denialOfDelete('later');
    await kubectl([
      'annotate',
      '--overwrite',
      'routes.postern.dev',
      'later',
      'postern.dev/allow-delete=when-unused',
    ]);
    expect(await kubectl(['delete', 'routes.postern.dev', 'later', '--dry-run=server'])).toMatchObject({
      code: 0,
    });
  });

  test('R3: the annotation postern.dev/allow-delete lets one in use go', async () => {
    await apply(
      manifest('Route', 'let-go', { host: 'mail.example' }),
      mailDomain('lets-go', { mailbox: { routeRef: { name: 'let-go' } } }),
    );
    expect(await denialOfDelete('let-go')).toContain('set the annotation postern.dev/allow-delete=true');
    await kubectl(['annotate', 'routes.postern.dev', 'let-go', 'postern.dev/allow-delete=true']);
    expect(await kubectl(['delete', 'routes.postern.dev', 'let-go'])).toMatchObject({ code: 0 });
  });

  test('R3: a namespace that is being deleted takes its Routes along', async () => {
    const going = await cluster.freshNamespace('going');
    const inside = (args: readonly string[], stdin?: string) =>
      cluster.current.kubectl('admin', ['-n', going, ...args], stdin);
    const objects = [manifest('Route', 'mailbox', { host: 'mail.example' }), mailDomain('going')].join(
      '\n---\n',
    );
    expect(await inside(['apply', '-f', '-'], objects)).toMatchObject({ code: 0 });
    const attempt = () => inside(['delete', 'routes.postern.dev', 'mailbox', '--dry-run=server']);
    await eventually('a denial', attempt, ({ code }) => code !== 0);
    await cluster.current.kubectl('admin', ['delete', 'namespace', going, '--wait=false']);
    await eventually('the Route to be deletable', attempt, accepted);
  });
});

describe('G3: a domain of the provider', () => {
  beforeAll(async () => {
    await apply(mailDomain('platform', { ownership: 'Platform' }), mailDomain('customer'));
  });

  test('G3, I10, O7, R4: takes no routing rules', async () => {
    const inbound = {
      inboundRouting: [{ match: 'External', target: 'Known', routeRef: { name: 'mailbox' } }],
    };
    const outbound = { outboundRouting: [{ match: 'External', changeRoute: { name: 'mailbox' } }] };
    for (const rules of [inbound, outbound]) {
      expect(await denial(mailDomain('platform', { ownership: 'Platform', ...rules }))).toContain(
        'takes no inboundRouting and no outboundRouting',
      );
      expect(await tryOut(mailDomain('customer', rules))).toMatchObject({ code: 0 });
    }
  });

  const gateway = (...names: string[]) =>
    manifest('InboundGateway', 'gateway', {
      domainRefs: names.map((name) => ({ name })),
      addresses: ['192.0.2.1'],
    });

  test('G3, D14: takes no InboundGateway, alone or among others', async () => {
    expect(await denial(gateway('platform'))).toContain(
      'MailDomain platform has ownership Platform and takes no InboundGateway',
    );
    expect(await denial(gateway('customer', 'platform'))).toContain('MailDomain platform');
    expect(await tryOut(gateway('customer'))).toMatchObject({ code: 0 });
  });

  const key = (domain: string, spec: object = {}) =>
    manifest('DkimKey', 'key', { domainRef: { name: domain }, ...spec });

  test('G3, K13, K17: takes no DkimKey but the fallback', async () => {
    expect(await denial(key('platform'))).toContain('takes no DkimKey except one with fallback: true');
    expect(await tryOut(key('platform', { fallback: true }))).toMatchObject({ code: 0 });
    expect(await tryOut(key('customer'))).toMatchObject({ code: 0 });
  });

  test('G3: takes IpAccessLists, TlsPolicies and a Route to its mailbox', async () => {
    const domainRefs = [{ name: 'platform' }];
    const list = manifest('IpAccessList', 'list', { action: 'Block', domainRefs, addresses: ['192.0.2.1'] });
    const policy = manifest('TlsPolicy', 'policy', {
      title: 'Bank',
      domainRefs,
      directions: ['Inbound'],
      peerDomains: ['bank.example'],
    });
    for (const text of [list, policy, manifest('Route', 'mailbox', { host: 'mail.example' })]) {
      expect(await tryOut(text)).toMatchObject({ code: 0 });
    }
  });
});

describe('G6: a domain belongs to one', () => {
  test('G6: a second MailDomain of a domain is refused, naming the first', async () => {
    await apply(mailDomain('first', { domain: 'same.example' }));
    expect(await denial(mailDomain('second', { domain: 'same.example' }))).toContain(
      'MailDomain first of this namespace has same.example already',
    );
    expect(await tryOut(mailDomain('first', { domain: 'same.example', mta: 'default' }))).toMatchObject({
      code: 0,
    });
    const other = await cluster.freshNamespace('tenant');
    const elsewhere = await cluster.current.kubectl(
      'admin',
      ['-n', other, 'apply', '-f', '-'],
      mailDomain('second', { domain: 'same.example' }),
    );
    expect(elsewhere).toMatchObject({ code: 0 });
    await kubectl(['delete', 'maildomain', 'first']);
    await eventually(
      'the second to be taken',
      () => tryOut(mailDomain('second', { domain: 'same.example' })),
      accepted,
    );
  });

  test('G6: a namespace may have what its annotation postern.dev/domains allows, and anything without it', async () => {
    const bound = await cluster.freshNamespace('bound');
    const inside = (domain: string) => () =>
      cluster.current.kubectl(
        'admin',
        ['-n', bound, 'apply', '--dry-run=server', '-f', '-'],
        mailDomain('any', { domain }),
      );
    expect(await inside('foreign.example')()).toMatchObject({ code: 0 });
    await cluster.current.kubectl('admin', [
      'annotate',
      'namespace',
      bound,
      'postern.dev/domains=example.com, *.Example.org, *',
    ]);
    const denied = await eventually('a denial', inside('foreign.example'), ({ code }) => code !== 0);
    expect(denied.stderr).toContain(
      `the namespace ${bound} may not have foreign.example: its annotation postern.dev/domains allows example.com, *.example.org, *`,
    );
    for (const domain of ['example.com', 'mail.example.org', 'a.b.example.org'])
      expect(await inside(domain)()).toMatchObject({ code: 0 });
    for (const domain of ['www.example.com', 'example.org', 'badexample.org'])
      expect((await inside(domain)()).code, domain).not.toBe(0);
  });
});

describe('warnings', () => {
  /** Waits until the API server says something about the manifest. */
  async function warning(text: string): Promise<string> {
    const result = await eventually(
      'a warning',
      () => tryOut(text),
      ({ stderr }) => stderr.includes('Warning:'),
    );
    expect(result.code).toBe(0);
    return result.stderr;
  }

  const list = (action: string, addresses: string[]) =>
    manifest('IpAccessList', 'list', { action, allDomains: true, addresses });

  test('A9: an allow entry wider than /24 or /48', async () => {
    expect(await warning(list('Allow', ['192.0.2.0/24', '198.51.0.0/16']))).toContain(
      '198.51.0.0/16 is wider than /24 (IPv6: /48)',
    );
    expect(await warning(list('Allow', ['2001:db8::/32']))).toContain('2001:db8::/32 is wider');
    const entries = manifest('IpAccessList', 'list', {
      action: 'Allow',
      allDomains: true,
      entries: [{ address: '10.0.0.0/8' }],
    });
    expect(await warning(entries)).toContain('10.0.0.0/8 is wider');
    expect((await tryOut(list('Allow', ['192.0.2.0/24', '2001:db8::/48', '192.0.2.1']))).stderr).toBe('');
    expect((await tryOut(list('Block', ['198.51.0.0/16']))).stderr).toBe('');
  });

  test('A9: the last of 10,000 entries is seen', async () => {
    const addresses = Array.from(
      { length: 9_999 },
      (_, number) => `2001:db8:${(number >> 8).toString(16)}:${(number & 255).toString(16)}::/64`,
    );
    await warning(list('Allow', ['10.0.0.0/8']));
    const applied = await tryOut(list('Allow', [...addresses, '10.0.0.0/8']));
    expect(applied).toMatchObject({ code: 0, stderr: expect.stringContaining('10.0.0.0/8 is wider') });
  });

  test('K4: a DKIM key of 1024 bits', async () => {
    const key = (keyLength: number) => manifest('DkimKey', 'key', { domainRef: { name: 'any' }, keyLength });
    expect(await warning(key(1024))).toContain('receivers may ignore signatures of 1024 bits');
    expect((await tryOut(key(2048))).stderr).toBe('');
  });

  test('I8: reports that are never sent', async () => {
    const rule = (ndr: string) =>
      mailDomain('quiet', {
        inboundRouting: [{ match: 'External', target: 'Known', routeRef: { name: 'mailbox' }, ndr }],
      });
    expect(await warning(rule('Never'))).toContain('ndr Never loses mail');
    expect((await tryOut(rule('Auto'))).stderr).toBe('');
  });

  test('G5: --dry-run=server shows denial and warning, and stores nothing', async () => {
    await warning(list('Allow', ['10.0.0.0/8']));
    await denial(
      mailDomain('dry', {
        ownership: 'Platform',
        outboundRouting: [{ match: 'External', changeRoute: { name: 'mailbox' } }],
      }),
    );
    expect((await kubectl(['get', 'ipaccesslists,maildomains', '-o', 'name'])).stdout).not.toMatch(
      /\/(list|dry)$/m,
    );
    expect(await apply(list('Allow', ['10.0.0.0/8']))).toMatchObject({
      stderr: expect.stringContaining('Warning: '),
    });
  });
});
