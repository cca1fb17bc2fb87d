import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ObjectStatus } from '../api/index.ts';
import { compile } from './compile.ts';
import type { DnsFact, MailDnsObservation, MxFacts, Snapshot, SpfFacts, Want } from './model.ts';
import { secret } from './secret.ts';
import { readManifest, readScenario } from './testdata/scenario.ts';

const minute = 60_000;
const hour = 60 * minute;
const { snapshot: bare } = readScenario(
  readFileSync(join(import.meta.dirname, 'testdata/everything.in.yaml'), 'utf8'),
);
const egress = '198.51.100.7';

function object(kind: string, name: string, spec: object) {
  return readManifest({ kind, metadata: { name }, spec }, bare.namespace);
}
const mailDomain = (spec: object = {}, name = 'a') =>
  object('MailDomain', name, {
    domain: `${name}.test`,
    mailbox: { maildir: {} },
    recipients: { mode: 'List', addresses: ['bob'] },
    ...spec,
  });
const gateway = (spec: object = {}) =>
  object('InboundGateway', 'gw', { domainRefs: [{ name: 'a' }], addresses: ['203.0.113.0/24'], ...spec });
const route = (host: string, spec: object = {}) => object('Route', 'dlp', { host, ...spec });
const overRoute = { outboundRouting: [{ match: 'External', changeRoute: { name: 'dlp' } }] };

interface Stage {
  readonly objects?: Snapshot['objects'];
  readonly egressAddresses?: readonly string[];
  readonly observed?: (want: CheckMailDns) => MailDnsObservation;
  readonly status?: ObjectStatus;
  readonly now?: number;
}
type CheckMailDns = Extract<Want, { kind: 'checkMailDns' }>;

function snapshotOf({
  objects = [mailDomain()],
  egressAddresses = [egress],
  status,
  now = 0,
}: Stage): Snapshot {
  const [mta] = bare.mtas;
  if (mta === undefined || !mta.settings.ok) throw new Error('the scenario has no MTA');
  const value = { ...mta.settings.value, heloName: 'mx.host.test', egressAddresses: [...egressAddresses] };
  return {
    namespace: bare.namespace,
    objects: objects.map((one) =>
      one.kind === 'MailDomain' && status !== undefined ? Object.assign({}, one, { status }) : one,
    ),
    secrets: [],
    configMaps: [],
    mtas: [{ ...mta, name: 'default', replicas: 1, workloads: ['mail'], settings: { ok: true, value } }],
    observed: { pods: [], dkim: [], mailDns: [], routeProbes: {} },
    now,
    options: bare.options,
  };
}

function wantOf(snapshot: Snapshot): CheckMailDns | undefined {
  return compile(snapshot).wants.find((want) => want.kind === 'checkMailDns');
}

/** Compiles, answers the question that is asked, and compiles again. */
function outcome(stage: Stage) {
  const before = snapshotOf(stage);
  const want = wantOf(before);
  const { observed } = stage;
  const mailDns = want === undefined || observed === undefined ? [] : [observed(want)];
  const { statuses, wants } = compile({ ...before, observed: { ...before.observed, mailDns } });
  const status = statuses.find(({ kind, name }) => kind === 'MailDomain' && name === 'a')?.status ?? {};
  const shown = (type: string) => {
    const found = status.conditions?.find((one) => one.type === type);
    return found === undefined ? 'none' : `${found.status}/${found.reason}: ${found.message}`;
  };
  return { status, shown, want: wants.find((one) => one.kind === 'checkMailDns') };
}

const answered = <T>(value: T, failures = 0): DnsFact<T> => ({ answered: true, value, failures });
const silent = (failures: number): DnsFact<never> => ({
  answered: false,
  detail: 'MX of a.test: it answers SERVFAIL',
  failures,
});
const noMail = {
  mx: answered<MxFacts>({ exchangers: [], ownAddresses: [] }),
  spf: answered<SpfFacts>({ records: [], senders: [] }),
  dmarc: answered([]),
};
const seen =
  (facts: Partial<MailDnsObservation> = {}) =>
  ({ mailDomain: name, question }: CheckMailDns): MailDnsObservation => ({
    mailDomain: name,
    question,
    checkedAt: 0,
    unchanged: 0,
    ...noMail,
    ...facts,
  });
const mx = (
  exchangers: readonly (readonly [host: string, ...addresses: string[]])[],
  ownAddresses: string[] = [],
) =>
  seen({
    mx: answered({
      exchangers: exchangers.map(([host, ...addresses], at) => ({ host, preference: at, addresses })),
      ownAddresses,
    }),
  });

describe('D3: MxReady', () => {
  const record = 'publish a.test. IN MX 10 mx.host.test.';
  it.each<[string, ReturnType<typeof mx>, string]>([
    ['no record', mx([]), `False/RecordNotFound: a.test has no MX record: ${record}`],
    ['the name of the MTA', mx([['mx.host.test']]), 'True/MxReady: MX mx.host.test (without an address)'],
    [
      'its address by another name',
      mx([['in.a.test', '192.0.2.1']], ['192.0.2.1']),
      'True/MxReady: MX in.a.test',
    ],
    ['its declared address', mx([['in.a.test', egress]]), 'True/MxReady: MX in.a.test'],
    [
      'elsewhere',
      mx([['mx.old.test', '192.0.2.9']], ['192.0.2.1']),
      `False/ValueMismatch: MX mx.old.test of a.test does not lead to MTA default: ${record}`,
    ],
    [
      'elsewhere too',
      mx([
        ['mx.host.test', '192.0.2.1'],
        ['mx.old.test', '192.0.2.9'],
      ]),
      `False/ValueMismatch: MX mx.old.test of a.test does not lead to MTA default: ${record}`,
    ],
    [
      'a host without an address',
      mx([['gone.test']]),
      `False/ValueMismatch: MX gone.test (without an address) of a.test does not lead to MTA default: ${record}`,
    ],
    [
      'null MX',
      mx([['']]),
      'False/ValueMismatch: a.test has a null MX, which says that it takes no mail (RFC 7505)',
    ],
  ])('without a gateway: %s', (_title, observed, expected) => {
    expect(outcome({ observed }).shown('MxReady')).toBe(expected);
  });

  it.each<[string, object, ReturnType<typeof mx>, string]>([
    ['the gateway', {}, mx([['gw.test', '203.0.113.1']]), 'True/MxReady: MX gw.test'],
    [
      'a host that the gateway listens on',
      {},
      mx([['in.filter.test', '192.0.2.77']]),
      'True/MxReady: MX in.filter.test',
    ],
    [
      'the MTA',
      {},
      mx([
        ['gw.test', '203.0.113.1'],
        ['mx.host.test', '192.0.2.1'],
      ]),
      'False/ValueMismatch: MX mx.host.test of a.test leads to MTA default and passes InboundGateway gw by: name the gateway only',
    ],
    [
      'none',
      {},
      mx([]),
      'False/RecordNotFound: a.test has no MX record: publish one that names InboundGateway gw',
    ],
    [
      'suspended: the MTA',
      { suspend: true },
      mx([['mx.host.test', '192.0.2.1']]),
      'True/MxReady: MX mx.host.test',
    ],
    [
      'in Audit: both',
      { enforcement: 'Audit' },
      mx([
        ['gw.test', '203.0.113.1'],
        ['mx.host.test', '192.0.2.1'],
      ]),
      'True/MxReady: MX gw.test, mx.host.test',
    ],
  ])('with a gateway: %s', (_title, spec, observed, expected) => {
    expect(outcome({ objects: [mailDomain(), gateway(spec)], observed }).shown('MxReady')).toBe(expected);
  });
});

type Result = SpfFacts['senders'][number]['verdicts'][number]['result'];
const spf =
  (
    records: readonly string[],
    verdicts: readonly (readonly [address: string, result: Result, detail?: string])[],
  ) =>
  (want: CheckMailDns) =>
    seen({
      spf: answered({
        records,
        senders: want.senders.map(({ what }) => ({
          what,
          verdicts: verdicts.map(([address, result, detail]) => ({
            address,
            result,
            ...(detail === undefined ? {} : { detail }),
          })),
        })),
      }),
    })(want);

describe('O5: SpfReady', () => {
  const some = ['v=spf1 mx -all'];
  it.each<[string, Stage, string]>([
    [
      'every address passes',
      { observed: spf(some, [[egress, 'pass']]) },
      `True/SpfReady: ${egress} may send`,
    ],
    [
      'no record',
      { observed: spf([], [[egress, 'none']]) },
      `False/RecordNotFound: a.test has no SPF record: publish a.test. IN TXT "v=spf1 ip4:${egress} -all"`,
    ],
    [
      'no record, no address',
      { egressAddresses: [], observed: spf([], []) },
      'False/RecordNotFound: a.test has no SPF record: publish one that names where mail leaves from',
    ],
    [
      'two records',
      { observed: spf([...some, ...some], []) },
      'False/ValueMismatch: a.test has 2 SPF records, so receivers take none (RFC 7208 section 4.5): join them in one',
    ],
    [
      'one address fails',
      {
        egressAddresses: [egress, '2001:db8::7'],
        observed: spf(some, [
          [egress, 'pass'],
          ['2001:db8::7', 'softfail'],
        ]),
      },
      'False/ValueMismatch: The SPF record of a.test leaves out 2001:db8::7 (MTA default, softfail): add ip6:2001:db8::7',
    ],
    [
      'cannot be evaluated',
      { observed: spf(some, [[egress, 'permerror', 'Too many DNS requests']]) },
      'False/ValueMismatch: The SPF record of a.test cannot be evaluated (permerror): Too many DNS requests',
    ],
    [
      'addresses are not declared',
      { egressAddresses: [], observed: spf(some, []) },
      'Unknown/NotChecked: Which addresses mail of a.test leaves from is not known: egressAddresses of MTA default names no public address',
    ],
    [
      'addresses are private',
      { egressAddresses: ['10.0.0.1'], observed: spf(some, [['10.0.0.1', 'fail']]) },
      'Unknown/NotChecked: Which addresses mail of a.test leaves from is not known: egressAddresses of MTA default names no public address',
    ],
    [
      'the IP of the Route is left out',
      { objects: [mailDomain(overRoute), route('dlp.test')], observed: spf(some, [['203.0.113.9', 'fail']]) },
      'False/ValueMismatch: The SPF record of a.test leaves out 203.0.113.9 (Route dlp, fail): add ip4:203.0.113.9',
    ],
    [
      'the Route has no public address',
      { objects: [mailDomain(overRoute), route('dlp')], observed: spf(some, [['10.0.0.9', 'fail']]) },
      'Unknown/NotChecked: Which addresses mail of a.test leaves from is not known: Route dlp leads to a host without a public address, and how the world sees it is not known',
    ],
    [
      'the Route is missing',
      { objects: [mailDomain(overRoute)], observed: spf(some, []) },
      'Unknown/NotChecked: Which addresses mail of a.test leaves from is not known: Route dlp does not exist',
    ],
  ])('%s', (_title, stage, expected) => {
    expect(outcome(stage).shown('SpfReady')).toBe(expected);
  });

  it.each<[string, Snapshot['objects'], object]>([
    ['the MTA', [mailDomain()], { what: 'MTA default', addresses: [egress] }],
    [
      'the Route of external mail',
      [mailDomain(overRoute), route('dlp.test')],
      { what: 'Route dlp', host: { name: 'dlp.test', lookupMx: false } },
    ],
    [
      'its mail servers',
      [mailDomain(overRoute), route('dlp.test', { lookupMx: true })],
      { what: 'Route dlp', host: { name: 'dlp.test', lookupMx: true } },
    ],
    [
      'its address',
      [mailDomain(overRoute), route('203.0.113.9')],
      { what: 'Route dlp', addresses: ['203.0.113.9'] },
    ],
    [
      'a Service of the namespace',
      [mailDomain(overRoute), route('dlp')],
      { host: { name: `dlp.${bare.namespace}.svc.cluster.local`, lookupMx: false } },
    ],
    [
      'not the Route of internal mail, nor of copies',
      [
        mailDomain({
          outboundRouting: [
            { match: 'Internal', changeRoute: { name: 'dlp' } },
            { match: 'External', sendCopyTo: { name: 'dlp' } },
          ],
        }),
        route('dlp.test'),
      ],
      { what: 'MTA default' },
    ],
  ])('mail leaves from %s', (_title, objects, expected) => {
    const senders = wantOf(snapshotOf({ objects }))?.senders;
    expect(senders).toHaveLength(1);
    expect(senders?.[0]).toMatchObject(expected);
  });
});

describe('K1, K11: DmarcUnaligned', () => {
  const dmarc = (record: string) =>
    seen({
      dmarc: answered([
        { name: 'a.test', records: [] },
        { name: 'test', records: [record] },
      ]),
    });
  it('a domain without a key is told of, and DmarcReady of its policy', () => {
    const { shown } = outcome({ observed: dmarc('v=DMARC1; p=none') });
    expect(shown('DmarcUnaligned')).toMatch(/^True\/DmarcUnaligned/);
    expect(shown('DmarcReady')).toBe('True/DmarcReady: Policy none at _dmarc.test');
  });
});

describe('K11: mail that is signed with the fallback key', () => {
  const shared = (record: string, domain = 'sub.provider.test') => {
    const platform = { domain: 'provider.test', mailbox: { maildir: {} }, recipients: { mode: 'List' } };
    const objects = [
      object('MailDomain', 'provider', { ...platform, ownership: 'Platform' }),
      mailDomain({ domain }),
      object('DkimKey', 'fallback', {
        domainRef: { name: 'provider' },
        algorithm: 'Ed25519',
        fallback: true,
        secretName: 'brought',
        verification: { mode: 'Disabled' },
      }),
    ];
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
    const key = { 'tls.key': secret(new TextEncoder().encode(String(pem))) };
    const secrets = [
      {
        name: 'brought',
        type: 'Opaque',
        labels: { 'postern.dev/use': 'dkim-key' },
        annotations: {},
        revision: '1',
        data: key,
      },
    ];
    const before = { ...snapshotOf({ objects }), secrets };
    const mailDns = compile(before).wants.flatMap((want) =>
      want.kind === 'checkMailDns' && want.mailDomain === 'a'
        ? seen({ dmarc: answered([{ name: domain.replace('sub.', ''), records: [record] }]) })(want)
        : [],
    );
    const statusOf = (snapshot: Snapshot) =>
      compile(snapshot).statuses.find(({ kind, name }) => kind === 'MailDomain' && name === 'a')?.status ??
      {};
    const status = statusOf({ ...before, observed: { ...before.observed, mailDns } });
    // A restart: the status is all that is known until DNS has answered.
    expect(statusOf({ ...snapshotOf({ objects, status }), secrets })).toEqual(status);
    return status.conditions?.some(({ type }) => type === 'DmarcUnaligned');
  };
  it('is aligned if alignment is relaxed and both domains are of one organization, across a restart too', () => {
    expect(shared('v=DMARC1; p=none')).toBe(false);
    expect(shared('v=DMARC1; p=none; adkim=s')).toBe(true);
    expect(shared('v=DMARC1; p=none', 'elsewhere.test')).toBe(true);
  });
});

describe('the checks themselves', () => {
  const ready = (want: CheckMailDns) => ({
    ...mx([['mx.host.test', '192.0.2.1']])(want),
    spf: spf(['v=spf1 mx -all'], [[egress, 'pass']])(want).spf,
    dmarc: answered([{ name: 'a.test', records: ['v=DMARC1; p=none'] }]),
  });
  const types = ['MxReady', 'SpfReady', 'DmarcReady'];

  it('nobody who does not look wants a look, and nothing is known then', () => {
    const { observed, ...rest } = snapshotOf({});
    const { mailDns: _none, ...others } = observed;
    const { statuses, wants } = compile({ ...rest, observed: others });
    expect(wants.filter(({ kind }) => kind === 'checkMailDns')).toEqual([]);
    const conditions = statuses.find(({ kind }) => kind === 'MailDomain')?.status.conditions ?? [];
    expect(conditions.filter(({ type }) => types.includes(type)).map(({ reason }) => reason)).toEqual([
      'NotChecked',
      'NotChecked',
      'NotChecked',
    ]);
  });

  it('a domain that was never looked at is due at once; one that is well an hour later, give or take a quarter', () => {
    expect(wantOf(snapshotOf({ now: 5 }))?.due).toBe(5);
    const due = outcome({ observed: ready }).want?.due ?? 0;
    expect(due).toBeGreaterThanOrEqual(0.75 * hour);
    expect(due).toBeLessThanOrEqual(1.25 * hour);
  });

  it('a missing record is looked for again within minutes, then ever more seldom, an hour apart at most', () => {
    const dues = [0, 1, 2, 20].map((unchanged) => outcome({ observed: seen({ unchanged }) }).want?.due ?? 0);
    expect(dues[0]).toBeLessThanOrEqual(2.5 * minute);
    expect(dues).toEqual(dues.toSorted((left, right) => left - right));
    expect(new Set(dues).size).toBe(4);
    expect(dues[3]).toBeLessThanOrEqual(1.25 * hour);
  });

  it('no answer: asked again after a minute, then ever later', () => {
    const dues = [1, 2, 30].map(
      (failures) => outcome({ observed: seen({ mx: silent(failures) }) }).want?.due ?? 0,
    );
    expect(dues[0]).toBeLessThanOrEqual(1.25 * minute);
    expect(dues).toEqual(dues.toSorted((left, right) => left - right));
    expect(dues[2]).toBeLessThanOrEqual(1.25 * hour);
  });

  it('X15: after a restart a resolver that does not answer changes nothing at first, and is told of after three checks', () => {
    const { status } = outcome({ observed: ready });
    const shown = (failures: number) =>
      outcome({ observed: seen({ mx: silent(failures) }), status }).shown('MxReady');
    expect(shown(1)).toBe('True/MxReady: MX mx.host.test');
    expect(shown(3)).toBe('Unknown/ResolverError: DNS gives no answer: MX of a.test: it answers SERVFAIL');
    expect(outcome({ observed: seen({ mx: silent(1) }) }).shown('MxReady')).toMatch(
      /^Unknown\/ResolverError/,
    );
  });

  it('Q10: a restart forgets the answers, and the status stays byte for byte', () => {
    const { status } = outcome({ observed: ready });
    expect(outcome({ status, now: hour }).status).toEqual(status);
    expect(
      outcome({ status, now: hour, observed: (want) => ({ ...ready(want), checkedAt: hour }) }).status,
    ).toEqual(status);
  });

  it('an answer to another question does not count', () => {
    const { status } = outcome({ observed: ready });
    const stale = (want: CheckMailDns) => ({ ...seen()(want), question: 'what was asked before' });
    const { shown, want } = outcome({ observed: stale, status, now: 7 });
    expect(shown('MxReady')).toBe('True/MxReady: MX mx.host.test');
    expect(want?.due).toBe(7);
  });

  it('X25: a clock that was set back does not put the next look off', () => {
    expect(
      outcome({ observed: (want) => ({ ...ready(want), checkedAt: 9 * hour }), now: hour }).want?.due,
    ).toBe(hour);
  });

  it('X15: whatever stands in DNS, it is judged in a message of printable characters and bounded length', () => {
    const tag = fc.constantFrom(
      'v=DMARC1',
      'p=',
      'p=none',
      'sp=',
      'psd=y',
      'psd=n',
      'rua=',
      'adkim=',
      '=',
      ';',
      ' ',
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 600 }),
      fc
        .array(fc.oneof(tag, fc.string({ unit: 'binary', maxLength: 5 })), { maxLength: 9 })
        .map((parts) => parts.join(';')),
      fc.string({ unit: 'binary', maxLength: 600 }).map((rest) => `v=DMARC1;p=${rest}`),
    );
    const records = fc.array(text, { maxLength: 3 });
    const facts = fc.record({
      own: records,
      above: records,
      hosts: fc.array(text, { maxLength: 20 }),
      detail: text,
    });
    fc.assert(
      fc.property(facts, ({ own, above, hosts, detail }) => {
        const observed = (want: CheckMailDns) => ({
          ...mx(hosts.map((host) => [host] as const))(want),
          spf: spf(['v=spf1'], [[egress, 'permerror', detail]])(want).spf,
          dmarc: answered([
            { name: 'a.test', records: own },
            { name: 'test', records: above },
          ]),
        });
        for (const type of types) {
          const shown = outcome({ observed }).shown(type);
          expect(shown).toMatch(/^[\x20-\x7e]+$/);
          expect(shown.length).toBeLessThan(3_000);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('an address is one however it is spelled', () => {
    const observed = mx([['in.a.test', '2001:db8::7']]);
    expect(outcome({ egressAddresses: ['2001:DB8:0::7'], observed }).shown('MxReady')).toMatch(/^True/);
  });

  it('a domain that loses its name to an older one is not looked at', () => {
    const objects = [
      mailDomain(),
      object('MailDomain', 'b', { domain: 'a.test', mailbox: { maildir: {} }, recipients: { mode: 'List' } }),
    ];
    const wants = compile(snapshotOf({ objects })).wants.filter((want) => want.kind === 'checkMailDns');
    expect(wants.map(({ mailDomain: name }) => name)).toEqual(['a']);
  });
});
