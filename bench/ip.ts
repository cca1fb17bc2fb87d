import { BlockList } from 'node:net';
import ipaddr from 'ipaddr.js';
import { parseAddress } from '../policy/ip/address.ts';
import { loadPolicy } from '../policy/load.ts';
import { standingOf } from '../policy/standing.ts';
import { bundleWithLists, randomPeers, randomRanges, randomWords } from './address-lists.ts';
import { type BenchResult, percentile, rounded } from './result.ts';

const entries = 10_000;
const target = '<= 2';

/**
 * Q1: a decision about a peer address, from its text to the entry that decides, with an allow and a block list of 10,000
 * entries each; beside net.BlockList and a linear search over ranges that ipaddr.js has parsed before.
 */
export async function run(): Promise<BenchResult[]> {
  return [...(await measure(4)), ...(await measure(6))];
}

async function measure(family: 4 | 6): Promise<BenchResult[]> {
  const next = randomWords(family);
  const allow = randomRanges(entries, family, next);
  const block = randomRanges(entries, family, next);
  const peers = randomPeers(4096, family, [...allow, ...block], next);
  const ours = await decideByPolicy(allow, block);
  const theirs = {
    'net.BlockList': decideByBlockList(allow, block),
    'ipaddr.js linear': decideByScan(allow, block),
  };

  for (const peer of peers.slice(0, 64)) {
    const expected = Object.values(theirs).map((decide) => decide(peer));
    if (expected.some((verdict) => verdict !== ours(peer))) throw new Error(`verdicts on ${peer} differ`);
  }
  const p99 = bestP99(ours, peers, 40_000);
  return Object.entries(theirs).map(([name, decide]) => {
    const peerP99 = bestP99(decide, peers, 500);
    return {
      id: 'Q1',
      what: `IP decision, IPv${family}, ${entries} + ${entries} entries, p99`,
      value: rounded(p99),
      unit: 'us',
      target,
      peer: `${name}: ${rounded(peerP99)} us`,
      ratio: rounded(peerP99 / p99),
    };
  });
}

type Decide = (peer: string) => boolean;

async function decideByPolicy(allow: readonly string[], block: readonly string[]): Promise<Decide> {
  const policy = await loadPolicy(bundleWithLists(allow, block));
  const domain = policy.domains.get('example.com');
  if (domain === undefined) throw new Error('example.com was not loaded');
  return (peer) => {
    const address = parseAddress(peer);
    return address !== undefined && standingOf(domain, { role: 'peer', address }, 0).block === undefined;
  };
}

function decideByBlockList(allow: readonly string[], block: readonly string[]): Decide {
  const [allowed, blocked] = [allow, block].map((ranges) => {
    const list = new BlockList();
    for (const range of ranges) {
      const [address = '', prefix] = range.split('/');
      const family = address.includes(':') ? 'ipv6' : 'ipv4';
      list.addSubnet(address, Number(prefix ?? (family === 'ipv6' ? 128 : 32)), family);
    }
    return list;
  });
  return (peer) => {
    const family = peer.includes(':') ? 'ipv6' : 'ipv4';
    return allowed?.check(peer, family) === true || blocked?.check(peer, family) === false;
  };
}

function decideByScan(allow: readonly string[], block: readonly string[]): Decide {
  const [allowed = [], blocked = []] = [allow, block].map((ranges) =>
    ranges.map((range) => {
      const bits = range.includes(':') ? 128 : 32;
      return ipaddr.parseCIDR(range.includes('/') ? range : `${range}/${bits}`);
    }),
  );
  return (peer) => {
    const address = ipaddr.process(peer);
    return allowed.some((range) => address.match(range)) || !blocked.some((range) => address.match(range));
  };
}

/** The best of several rounds: whatever else runs on the machine only makes a round worse. */
function bestP99(decide: Decide, peers: readonly string[], count: number): number {
  const rounds = Array.from({ length: 5 }, () => percentile(timings(decide, peers, count), 0.99));
  return Math.min(...rounds);
}

/** Microseconds of each decision, the clock's own cost included. A fifth more go before, for the compiler. */
function timings(decide: Decide, peers: readonly string[], count: number): number[] {
  const samples = new Float64Array(count);
  for (let i = -Math.ceil(count / 5); i < count; i++) {
    const peer = peers[Math.abs(i) % peers.length] ?? '';
    const start = process.hrtime.bigint();
    decide(peer);
    const end = process.hrtime.bigint();
    if (i >= 0) samples[i] = Number(end - start) / 1000;
  }
  return Array.from(samples);
}
