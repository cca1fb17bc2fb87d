import type { IpAccessList, MailDomain, PosternObject } from '../operator/api/index.ts';
import { parseMtaSettings, parseObject } from '../operator/api/index.ts';
import { compile } from '../operator/compile/compile.ts';
import type { Snapshot } from '../operator/compile/model.ts';
import { render } from '../operator/render/render.ts';
import { randomRanges, randomWords } from './address-lists.ts';
import { threadMilliseconds } from './cpu.ts';
import { type BenchResult, percentile, rounded } from './result.ts';

const domainCount = 100;
const ipv4Entries = 9_000;
const ipv6Entries = 1_000;
const edits = 21;

/**
 * Q11: what one changed entry costs the operator, from the snapshot to all files of the MTA, with 100 domains that each have an
 * allow list and a block list of 10,000 entries. CPU time of the thread: the clock on the wall would count the other programs
 * of the machine. The peer is the same work without anything remembered: the first compilation after a start.
 */
export async function run(): Promise<BenchResult[]> {
  const next = randomWords(11);
  const lists = Array.from({ length: domainCount }, (_, index) => [
    accessList(`allow-${index}`, `d${index}`, 'Allow', randomEntries(next)),
    accessList(`block-${index}`, `d${index}`, 'Block', randomEntries(next)),
  ]).flat();
  const domains = Array.from({ length: domainCount }, (_, index) => mailDomain(`d${index}`));

  const first = timed(() => translate([...domains, ...lists]));
  const samples: number[] = [];
  let changed = 0;
  let files = first.result.files;
  for (let edit = 0; edit < edits; edit += 1) {
    const place = (edit * 37) % lists.length;
    const old = lists[place];
    if (old === undefined) throw new Error('no such list');
    lists[place] = withAddress(old, `203.0.113.${edit}`);
    const { milliseconds, result } = timed(() => translate([...domains, ...lists]));
    samples.push(milliseconds);
    changed = Math.max(changed, [...result.files].filter((file) => !files.has(file)).length);
    files = result.files;
  }
  const what = `compile + render, one entry of 2,000,000 changed`;
  const median = percentile(samples, 0.5);
  const carried = `${first.result.carried} of ${domainCount} domains fit, ${changed} shards change at most`;
  return [
    {
      id: 'Q11',
      what: `${what} (${carried})`,
      value: rounded(median),
      unit: 'ms',
      target: '<= 250',
      peer: `nothing remembered: ${rounded(first.milliseconds)} ms`,
      ratio: rounded(first.milliseconds / median),
    },
    {
      id: 'Q11',
      what: `${what}, slowest of ${edits}`,
      value: rounded(Math.max(...samples)),
      unit: 'ms',
      target: '<= 250',
    },
  ];
}

function translate(objects: readonly PosternObject[]): { files: ReadonlySet<string>; carried: number } {
  const [policy] = compile(snapshotOf(objects)).mtas;
  if (policy === undefined) throw new Error('the MTA has no policy');
  const { publicFiles } = render(policy);
  return { files: new Set(publicFiles.keys()), carried: policy.bundle.domains.length };
}

function timed<T>(work: () => T): { milliseconds: number; result: T } {
  const start = threadMilliseconds();
  const result = work();
  return { milliseconds: threadMilliseconds() - start, result };
}

function snapshotOf(objects: readonly PosternObject[]): Snapshot {
  const settings = parseMtaSettings('heloName: mx.acme.example');
  if (!settings.ok) throw new Error('the settings of the benchmark do not parse');
  return {
    namespace: 'acme',
    objects,
    secrets: [],
    configMaps: [],
    mtas: [
      {
        name: 'default',
        replicas: 1,
        workloads: ['postern'],
        settings: { ok: true, value: settings.settings },
      },
    ],
    observed: { pods: [], dkim: [], routeProbes: {} },
    now: 0,
    options: { clusterDomain: 'cluster.local', allowedRouteRanges: [] },
  };
}

function randomEntries(next: () => number): string[] {
  return [...randomRanges(ipv4Entries, 4, next), ...randomRanges(ipv6Entries, 6, next)];
}

function mailDomain(name: string): MailDomain {
  const spec = {
    domain: `${name}.example`,
    mailbox: { maildir: {} },
    recipients: { mode: 'List', addresses: ['info'] },
  };
  return parsed('MailDomain', name, spec);
}

function accessList(
  name: string,
  domain: string,
  action: string,
  addresses: readonly string[],
): IpAccessList {
  return parsed('IpAccessList', name, { action, domainRefs: [{ name: domain }], addresses });
}

/** The object as the API server would send it after an edit: a new object, the last address replaced. */
function withAddress(list: IpAccessList, address: string): IpAccessList {
  const metadata = { ...list.metadata, generation: (list.metadata.generation ?? 1) + 1 };
  return {
    ...list,
    metadata,
    spec: { ...list.spec, addresses: [...list.spec.addresses.slice(0, -1), address] },
  };
}

function parsed(kind: 'MailDomain', name: string, spec: object): MailDomain;
function parsed(kind: 'IpAccessList', name: string, spec: object): IpAccessList;
function parsed(kind: 'MailDomain' | 'IpAccessList', name: string, spec: object): PosternObject {
  const metadata = { name, namespace: 'acme', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' };
  const result = parseObject(kind, { apiVersion: 'postern.dev/v1alpha1', kind, metadata, spec });
  if (!result.ok) throw new Error(`${kind} ${name}: ${result.problems[0]?.message}`);
  return result.object;
}
