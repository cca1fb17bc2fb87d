// The records of a mail domain as real name servers give them: MxReady, SpfReady and DmarcReady from BIND to the condition.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ObjectStatus, type PosternObject, parseMtaSettings } from '../../operator/api/index.ts';
import { compile } from '../../operator/compile/compile.ts';
import type { MailDnsObservation, Snapshot } from '../../operator/compile/model.ts';
import { readManifest } from '../../operator/compile/testdata/scenario.ts';
import { checkMailDns } from '../../operator/observe/mail-dns.ts';
import { type DnsOptions, defaultDnsOptions } from '../../operator/observe/resolver.ts';
import { rememberMailDns } from '../../operator/reconcile/mail-dns-memory.ts';
import { recordFaults } from '../faults/record.ts';
import { type NameServer, startNameServer } from '../parts/bind.ts';

const egress = '198.51.100.7';

let server: NameServer;
/** Takes questions and answers none. */
let silent: Socket;
let dns: DnsOptions;

beforeAll(async () => {
  server = await startNameServer({
    '.': ['@ NS ns.test.', 'ns.test. A 192.0.2.53'],
    'host.test': ['@ NS ns.test.', 'mx A 192.0.2.1', 'mx AAAA 2001:db8::1', 'in CNAME mx', 'old A 192.0.2.9'],
    'filter.test': ['@ NS ns.test.', 'gw A 203.0.113.1'],
    'route.test': ['@ NS ns.test.', 'dlp A 203.0.113.9', '@ MX 10 dlp', 'inside A 10.0.0.9'],
    'provider.test': ['@ NS ns.test.', 'spf TXT "v=spf1 ip4:198.51.100.0/24 -all"', 'void TXT "hello"'],
    'a.test': ['@ NS ns.test.', 'a.sub A 192.0.2.2'],
    'broken.test': 'broken',
  });
  silent = createSocket('udp4').bind(0, '127.0.0.1');
  await once(silent, 'listening');
  // It knows every zone, so it stands for the resolver: one with a cache would give what was there a second ago.
  dns = { ...defaultDnsOptions, resolvers: [server.server], timeoutMs: 5_000 };
});

afterAll(async () => {
  silent?.close();
  await server?.stop();
});

beforeEach(async () => {
  await server.update(
    ...['a.test. MX', 'a.test. TXT', '_dmarc.a.test. TXT', '_dmarc.sub.a.test. TXT'].map(
      (what) => `update delete ${what}`,
    ),
  );
});

const publish = (...records: readonly string[]) =>
  server.update(...records.map((record) => `update add ${record.replace(' ', ' 1 ')}`));

function object(kind: string, name: string, spec: object): PosternObject {
  return readManifest({ kind, metadata: { name }, spec }, 'mail');
}
const domain = (spec: object = {}) =>
  object('MailDomain', 'a', {
    domain: 'a.test',
    mailbox: { maildir: {} },
    recipients: { mode: 'List', addresses: ['bob'] },
    ...spec,
  });
const gateway = object('InboundGateway', 'gw', {
  domainRefs: [{ name: 'a' }],
  addresses: ['203.0.113.0/24'],
});
const overRoute = domain({ outboundRouting: [{ match: 'External', changeRoute: { name: 'dlp' } }] });
const route = (host: string, lookupMx = false) => object('Route', 'dlp', { host, lookupMx });

/** What a namespace remembers between looks: status and observations. */
class Tenant {
  observations: MailDnsObservation[] = [];
  status: ObjectStatus | undefined;
  now = 0;
  readonly objects: readonly PosternObject[];

  constructor(objects: readonly PosternObject[]) {
    this.objects = objects;
  }

  /** Looks at DNS if that is wanted, whatever is due, and compiles. */
  async look(options: DnsOptions = dns): Promise<(type: string) => string> {
    this.now += 3_600_000;
    for (const want of compile(this.snapshot()).wants) {
      if (want.kind !== 'checkMailDns') continue;
      const seen = await checkMailDns(want, options, () => this.now, new AbortController().signal);
      this.observations = [rememberMailDns(this.observations[0], seen)];
    }
    const found = compile(this.snapshot()).statuses.find(({ kind }) => kind === 'MailDomain');
    this.status = found?.status;
    return (type) => {
      const one = this.status?.conditions?.find((condition) => condition.type === type);
      return one === undefined ? 'none' : `${one.status}/${one.reason}: ${one.message}`;
    };
  }

  private snapshot(): Snapshot {
    const parsed = parseMtaSettings(`heloName: mx.host.test\negressAddresses: [${egress}]\n`);
    if (!parsed.ok) throw new Error('the settings of the test are wrong');
    return {
      namespace: 'mail',
      objects: this.objects.map((one) =>
        one.kind === 'MailDomain' && this.status !== undefined
          ? Object.assign({}, one, { status: this.status })
          : one,
      ),
      secrets: [],
      configMaps: [],
      mtas: [
        { name: 'default', replicas: 1, settings: { ok: true, value: parsed.settings }, workloads: ['mail'] },
      ],
      observed: { pods: [], dkim: [], mailDns: this.observations, routeProbes: {} },
      now: this.now,
      options: { clusterDomain: 'cluster.local', allowedRouteRanges: [] },
    };
  }
}

const look = (...objects: readonly PosternObject[]) =>
  new Tenant(objects.length === 0 ? [domain()] : objects).look();

describe('D3: MxReady', () => {
  it('RecordNotFound, with the record to publish; published, it is MxReady', async () => {
    const shown = (await look())('MxReady');
    expect(shown).toMatch(/^False\/RecordNotFound: .*publish a\.test\. IN MX 10 mx\.host\.test\.$/);
    await publish(shown.replace(/^.*publish /, '').replace(' IN', ''));
    expect((await look())('MxReady')).toBe('True/MxReady: MX mx.host.test');
  });

  it('another name of the MTA, by alias, leads to it too', async () => {
    await publish('a.test. MX 10 in.host.test.');
    expect((await look())('MxReady')).toBe('True/MxReady: MX in.host.test');
  });

  it('ValueMismatch: an MX elsewhere, an MX without an address, a null MX', async () => {
    await publish(
      'a.test. MX 10 mx.host.test.',
      'a.test. MX 20 old.host.test.',
      'a.test. MX 30 gone.host.test.',
    );
    expect((await look())('MxReady')).toMatch(
      /^False\/ValueMismatch: MX old\.host\.test, gone\.host\.test \(without an address\) of a\.test does not lead to MTA default/,
    );
    await server.update('update delete a.test. MX');
    await publish('a.test. MX 0 .');
    expect((await look())('MxReady')).toMatch(/^False\/ValueMismatch: a\.test has a null MX/);
  });

  it('with a gateway an MX that leads to the MTA is wrong, by its name or by its address; the gateway alone is right', async () => {
    await publish('a.test. MX 10 gw.filter.test.');
    expect((await look(domain(), gateway))('MxReady')).toBe('True/MxReady: MX gw.filter.test');
    await publish('a.test. MX 20 in.host.test.');
    expect((await look(domain(), gateway))('MxReady')).toBe(
      'False/ValueMismatch: MX in.host.test of a.test leads to MTA default and passes InboundGateway gw by: name the gateway only',
    );
  });
});

describe('O5: SpfReady', () => {
  it('RecordNotFound, with the record to publish; published, it is SpfReady', async () => {
    const shown = (await look())('SpfReady');
    expect(shown).toBe(
      `False/RecordNotFound: a.test has no SPF record: publish a.test. IN TXT "v=spf1 ip4:${egress} -all"`,
    );
    await publish(shown.replace(/^.*publish /, '').replace(' IN', ''));
    expect((await look())('SpfReady')).toBe(`True/SpfReady: ${egress} may send`);
  });

  it('is evaluated, not compared: include, redirect, a, and mx count', async () => {
    for (const record of ['v=spf1 include:spf.provider.test ~all', 'v=spf1 redirect=spf.provider.test']) {
      await server.update('update delete a.test. TXT');
      await publish(`a.test. TXT "${record}"`);
      expect((await look())('SpfReady'), record).toMatch(/^True/);
    }
    await server.update('update delete a.test. TXT');
    await publish('a.test. TXT "v=spf1 a:dlp.route.test mx:route.test -all"');
    expect((await look(overRoute, route('dlp.route.test')))('SpfReady')).toBe(
      'True/SpfReady: 203.0.113.9 may send',
    );
  });

  it('ValueMismatch: SPF without the IP of the Route, with the text to add; its own address is not asked for then', async () => {
    await publish(`a.test. TXT "v=spf1 ip4:${egress} -all"`);
    for (const over of [route('dlp.route.test'), route('route.test', true)]) {
      expect((await look(overRoute, over))('SpfReady')).toBe(
        'False/ValueMismatch: The SPF record of a.test leaves out 203.0.113.9 (Route dlp, fail): add ip4:203.0.113.9',
      );
    }
    await server.update('update delete a.test. TXT');
    await publish('a.test. TXT "v=spf1 ip4:203.0.113.9 -all"');
    expect((await look(overRoute, route('dlp.route.test')))('SpfReady')).toMatch(/^True/);
  });

  it('NotChecked: the Route leads inside, and nobody knows how the world sees it', async () => {
    await publish(`a.test. TXT "v=spf1 ip4:${egress} -all"`);
    expect((await look(overRoute, route('inside.route.test')))('SpfReady')).toMatch(
      /^Unknown\/NotChecked: .*Route dlp/,
    );
  });

  it.each([
    ['two records', ['v=spf1 -all', 'v=spf1 +all'], /has 2 SPF records/],
    ['a syntax error', ['v=spf1 ip4:198.51.100.300 -all'], /permerror/],
    ['an include that leads to nothing', ['v=spf1 include:void.provider.test -all'], /permerror/],
    [
      'more than ten terms that ask DNS',
      [`v=spf1 ${Array.from({ length: 11 }, (_, at) => `exists:e${at}.host.test`).join(' ')} -all`],
      /permerror/,
    ],
    ['softfail', ['v=spf1 ~all'], /198\.51\.100\.7 \(MTA default, softfail\): add ip4:198\.51\.100\.7/],
    ['nothing said of others', ['v=spf1 ip4:192.0.2.1'], /neutral/],
  ])('ValueMismatch: %s', async (_title, records, expected) => {
    await publish(...records.map((record) => `a.test. TXT "${record}"`), 'a.test. TXT "other=text"');
    const shown = (await look())('SpfReady');
    expect(shown).toMatch(/^False\/ValueMismatch/);
    expect(shown).toMatch(expected);
  });

  it('ResolverError: an include on a server that cannot answer is no verdict', async () => {
    await publish('a.test. TXT "v=spf1 include:broken.test -all"');
    expect((await look())('SpfReady')).toMatch(/^Unknown\/ResolverError: .*temperror/);
  });
});

describe('K11: DmarcReady', () => {
  it('RecordNotFound, with the record to publish; published, it is DmarcReady', async () => {
    const shown = (await look())('DmarcReady');
    expect(shown).toMatch(/^False\/RecordNotFound: /);
    await publish(shown.replace(/^.*publish /, '').replace(' IN', ''));
    expect((await look())('DmarcReady')).toBe('True/DmarcReady: Policy none at _dmarc.a.test');
  });

  it('the policy of the organizational domain holds for one below', async () => {
    await publish('_dmarc.a.test. TXT "v=DMARC1; p=reject; sp=quarantine"');
    expect((await look(domain({ domain: 'sub.a.test' })))('DmarcReady')).toBe(
      'True/DmarcReady: Policy quarantine at _dmarc.a.test',
    );
  });

  it('ValueMismatch: two records, or one that is none', async () => {
    await publish('_dmarc.a.test. TXT "v=DMARC1; p=maybe"');
    expect((await look())('DmarcReady')).toMatch(/^False\/ValueMismatch: .*p=maybe/);
    await publish('_dmarc.a.test. TXT "v=DMARC1; p=none"');
    expect((await look())('DmarcReady')).toMatch(/^False\/ValueMismatch: .*2 DMARC records/);
  });
});

describe('X15: a resolver in trouble', () => {
  // One each.
  afterEach(() => recordFaults(1));
  const ready = async () => {
    await publish(
      'a.test. MX 10 mx.host.test.',
      `a.test. TXT "v=spf1 ip4:${egress} -all"`,
      '_dmarc.a.test. TXT "v=DMARC1; p=none"',
    );
    const tenant = new Tenant([domain()]);
    await tenant.look();
    return tenant;
  };
  const types = ['MxReady', 'SpfReady', 'DmarcReady'];

  it('one that does not answer changes no byte of the status, until it has not for three times; then it is told', async () => {
    const tenant = await ready();
    const before = tenant.status;
    expect(
      before?.conditions?.filter(({ type, status }) => types.includes(type) && status === 'True'),
    ).toHaveLength(3);
    const mute = { ...dns, resolvers: [`127.0.0.1:${silent.address().port}`], timeoutMs: 100, tries: 1 };
    await tenant.look(mute);
    await tenant.look(mute);
    expect(tenant.status).toEqual(before);
    const shown = await tenant.look(mute);
    for (const type of types)
      expect(shown(type)).toMatch(/^Unknown\/ResolverError: .*does not answer in time/);
    await tenant.look();
    expect(tenant.status?.conditions?.map(({ status }) => status)).toEqual(
      before?.conditions?.map(({ status }) => status),
    );
  });

  it('answers in another order change no byte of the status', async () => {
    await publish('a.test. MX 10 in.host.test.', 'a.test. TXT "one"', 'a.test. TXT "two"');
    const tenant = await ready();
    const before = JSON.stringify(tenant.status);
    for (let round = 0; round < 5; round += 1) {
      await tenant.look();
      expect(JSON.stringify(tenant.status)).toBe(before);
    }
  });

  it('a check that is stopped says nothing', async () => {
    const stop = new AbortController();
    const mute = { ...dns, resolvers: [`127.0.0.1:${silent.address().port}`], timeoutMs: 20_000 };
    const question = { domain: 'a.test', heloName: 'mx.host.test', senders: [], question: 'q', due: 0 };
    const running = checkMailDns(
      { kind: 'checkMailDns', mailDomain: 'a', ...question },
      mute,
      () => 0,
      stop.signal,
    );
    stop.abort(new Error('stopped'));
    await expect(running).rejects.toThrow('stopped');
  });
});
