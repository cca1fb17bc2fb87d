import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from './canonical.ts';
import type { DomainPolicy } from './domain-policy.ts';
import {
  indexOf,
  maxShardBytes,
  type PackedShard,
  packedSize,
  packShards,
  secretIndexOf,
} from './pack-shards.ts';
import { bundleVersion, type PolicyBundle, policyBundle, type SecretBundle } from './policy-bundle.ts';
import type { RangeList } from './range-list.ts';
import { type SecretIndex, type ShardIndex, secretIndex, shardIndex } from './shard-index.ts';
import { createShardCache, readRules, readSecretShards, readShards } from './shards.ts';
import { publicUnits, secretUnits } from './units.ts';

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
const gzip = (text: string) => gzipSync(text);
const zeros = '0'.repeat(64);

function domain(name: string, over: Partial<DomainPolicy> = {}): DomainPolicy {
  return {
    domain: name,
    source: { kind: 'MailDomain', name: name.replaceAll('.', '-'), generation: 1 },
    ownership: 'Customer',
    mailbox: { kind: 'Maildir' },
    junk: {
      method: 'Header',
      header: { name: 'X-Spam-Flag', spamValue: 'YES', inboxValue: 'NO' },
      subaddress: { delimiter: '+', folder: 'Junk' },
    },
    recipients: { mode: 'List', localParts: ['alice', 'bob'], subaddressDelimiter: '+', available: true },
    inboundRouting: [],
    outboundRouting: [],
    submission: { enabled: false, accounts: false, recipientsPerHour: 500 },
    maxMessageBytes: 26_214_400,
    authentication: { spf: 'Mark', dkim: 'Mark', dmarc: 'Quarantine', trustedArcSealers: [] },
    access: { allow: [], block: [] },
    tls: { inbound: [], outbound: [] },
    dkim: [],
    ...over,
  };
}

function list(key: string, ranges: string[], generation = 1): RangeList {
  return {
    key,
    source: { kind: 'IpAccessList', name: key, generation },
    ranges: ranges.toSorted(),
    expires: {},
  };
}

function bundle(over: Partial<PolicyBundle>): PolicyBundle {
  return {
    version: bundleVersion,
    namespace: 'acme',
    mta: 'default',
    domains: [],
    audited: [],
    lists: [],
    routes: [],
    ...over,
  };
}

interface Packed {
  index: ShardIndex;
  shards: PackedShard[];
  files: Map<string, Uint8Array>;
}

function pack(policy: PolicyBundle, previous?: Map<number, PackedShard>): Packed {
  const shards = packShards(publicUnits(policy), {
    kind: 'public',
    sha256,
    gzip,
    ...(previous === undefined ? {} : { previous }),
  });
  const { namespace, mta } = policy;
  const content = {
    version: bundleVersion,
    namespace,
    mta,
    secretsRevision: zeros,
    domains: {},
    routes: {},
  } as const;
  const index = shardIndex.parse(JSON.parse(JSON.stringify(indexOf(content, shards, sha256))));
  return { index, shards, files: unzip(shards) };
}

function unzip(shards: readonly PackedShard[]): Map<string, Uint8Array> {
  return new Map(shards.map(({ file, bytes }) => [file, gunzipSync(bytes)]));
}

/** `10.x.y.z`, all different. */
function addresses(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => {
    const number = from + index;
    return `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
  });
}

const manyRecipients = Array.from({ length: 5_000 }, (_, index) => `user-${String(index).padStart(5, '0')}`);

const full = policyBundle.parse(
  bundle({
    domains: [
      domain('a.example', { access: { allow: ['partners'], block: ['spammers'] } }),
      domain('b.example', {
        access: { allow: [], block: ['spammers'] },
        recipients: { mode: 'List', localParts: manyRecipients, subaddressDelimiter: '+', available: true },
      }),
    ],
    audited: [
      domain('b.example', {
        recipients: { mode: 'List', localParts: manyRecipients, subaddressDelimiter: '+', available: true },
      }),
    ],
    lists: [list('partners', ['192.0.2.1', '2001:db8::/32']), list('spammers', addresses(10_000))],
    routes: [
      {
        name: 'exchange',
        source: { kind: 'Route', name: 'exchange', generation: 3 },
        host: 'mail.b.example',
        port: 25,
        protocol: 'SMTP',
        lookupMx: false,
        tls: { mode: 'Required', verify: 'TrustedCAAndHostname', caBundle: 'PEM\n[section]\r\n"\\' },
        authenticated: true,
        connection: { maxConcurrent: 10, timeoutSeconds: 30 },
      },
    ],
  }),
);

describe('packing', () => {
  test('a bundle comes back as it was', async () => {
    const { index, files } = pack(full);
    expect(await readShards(index, files, { sha256 })).toEqual(full);
  });

  test('the order in which things were built does not show', () => {
    const turned = {
      ...full,
      domains: full.domains.toReversed(),
      lists: full.lists.toReversed(),
    };
    expect(pack(turned)).toEqual(pack(full));
  });

  test('file names carry number and hash, every shard is within its bound', () => {
    const { shards } = pack(full);
    for (const { file, sha256: hash, bytes } of shards) {
      expect(file).toMatch(/^[0-4][0-9]-[0-9a-f]{12}\.json\.gz$/);
      expect(file.slice(3, 15)).toBe(hash.slice(0, 12));
      expect(bytes.length).toBeLessThanOrEqual(maxShardBytes);
    }
    const units = publicUnits(full);
    const size = units.reduce((sum, unit) => sum + packedSize(unit, gzip), 0);
    const real = shards.reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(size).toBeGreaterThanOrEqual(real - shards.length * 21);
  });

  test('one inserted entry rewrites the shards of its piece and of the list head, nothing else', () => {
    const units = publicUnits(full);
    const edited = { ...full, lists: full.lists.map((one) => (one.key === 'spammers' ? inserted() : one)) };
    const before = new Map(units.map(({ key, text }) => [key, text]));
    const changed = publicUnits(edited)
      .filter(({ key, text }) => before.get(key) !== text)
      .map(({ key }) => key);
    expect(changed).toEqual(['list/spammers', expect.stringMatching(/^list\/spammers\/[01]{3}$/)]);
    const old = new Set(pack(full).index.shards.map(({ sha256: hash }) => hash));
    const fresh = pack(edited).index.shards.filter(({ sha256: hash }) => !old.has(hash));
    expect(fresh.length).toBeLessThanOrEqual(2);

    function inserted(): RangeList {
      return list('spammers', [...addresses(10_000), '203.0.113.7'], 2);
    }
  });

  test('an inserted entry that fills a piece splits this piece alone', () => {
    const piecesOf = (count: number) =>
      publicUnits(bundle({ lists: [list('l', addresses(count))] }))
        .filter(({ key }) => key.startsWith('list/l/'))
        .map(({ key, text }) => `${key} ${text}`);
    let splits = 0;
    for (let count = 2_040; count < 8_200; count += 1) {
      if (count > 2_060 && count % 97 !== 0) continue;
      const before = new Set(piecesOf(count));
      const added = piecesOf(count + 1).filter((piece) => !before.has(piece));
      expect(added.length).toBeLessThanOrEqual(2);
      if (added.length === 2) splits += 1;
    }
    expect(splits).toBeGreaterThan(0);
  });

  test('unchanged shards are taken from the last packing', () => {
    const previous = new Map<number, PackedShard>();
    const first = pack(full, previous);
    const second = pack({ ...full, lists: full.lists.map((one) => ({ ...one })) }, previous);
    for (const [position, shard] of second.shards.entries()) expect(shard).toBe(first.shards[position]);
    pack(bundle({}), previous);
    expect(previous.size).toBe(0);
  });

  test('X20: a shard over its bound is refused, not cut', () => {
    const text = Array.from({ length: 40_000 }, (_, index) => sha256(String(index))).join('');
    const route = full.routes.map((one) => ({ ...one, tls: { ...one.tls, caBundle: text } }));
    expect(() => pack(bundle({ routes: route }))).toThrow(
      /^shard \d\d would have \d+ bytes, over the 524288 that fit$/,
    );
  });
});

describe('reading', () => {
  test('unchanged parts come back as the same objects, and only what is wanted is read again', async () => {
    const cache = createShardCache();
    const read = async ({ index, files }: Packed, wanted: (list: string) => boolean) => {
      const opened: string[] = [];
      const pieces: string[] = [];
      const source = {
        read: async (file: string) => {
          opened.push(file);
          return files.get(file) ?? new Uint8Array();
        },
        verify: async (file: string) => expect(files.has(file)).toBe(true),
      };
      const lists = { wants: wanted, add: async (key: string) => void pieces.push(key) };
      return { ...(await readRules(index, source, { sha256, cache, lists })), opened, pieces };
    };
    const first = pack(full);
    const before = await read(first, () => true);
    expect(before.opened).toHaveLength(first.shards.length);
    const edited = {
      ...full,
      lists: full.lists.map((one) => (one.key === 'partners' ? list('partners', ['192.0.2.2']) : one)),
    };
    const after = await read(pack(edited), (key) => key === 'partners');
    expect(after.opened).toHaveLength(1);
    expect(after.pieces).toEqual(['partners']);
    expect(after.rules).toEqual(before.rules);
    expect(after.rules.domains[0]).toBe(before.rules.domains[0]);
    expect(after.rules.domains[1]).toBe(before.rules.domains[1]);
    expect(after.rules.routes[0]).toBe(before.rules.routes[0]);
  });

  test('X9: a missing or foreign shard is named', async () => {
    const { index, files } = pack(full);
    const [first, second] = index.shards;
    if (first === undefined || second === undefined) throw new Error('two shards expected');
    const without = new Map([...files].filter(([file]) => file !== second.file));
    await expect(readShards(index, without, { sha256 })).rejects.toThrow(
      `${second.file}: the index names it, but it is not there`,
    );
    const mixed = new Map(files).set(second.file, files.get(first.file) ?? new Uint8Array());
    await expect(readShards(index, mixed, { sha256 })).rejects.toThrow(
      `${second.file}: its content does not match the hash in the index`,
    );
  });

  test('a list of which a piece is missing is refused: it would let somebody in', async () => {
    const piece = publicUnits(full).find(({ key }) => key.startsWith('list/spammers/'));
    const units = publicUnits(full).filter((unit) => unit !== piece);
    const shards = packShards(units, { kind: 'public', sha256, gzip });
    const { lists, ...content } = pack(full).index;
    const index = indexOf(content, shards, sha256);
    expect(Object.keys(index.lists)).toEqual(Object.keys(lists));
    const short = { secretsRevision: zeros, shards: index.shards, domains: {}, routes: {}, lists };
    const edited = { ...index, lists, bundleHash: sha256(canonicalJson(short)) };
    await expect(readShards(edited, unzip(shards), { sha256 })).rejects.toThrow(
      /^list spammers: the index names a head and 8 pieces; the shards hold 7$/,
    );
  });

  test('an edited index is refused', async () => {
    const { index, files } = pack(full);
    const edited = { ...index, shards: index.shards.slice(1) };
    await expect(readShards(edited, files, { sha256 })).rejects.toThrow(/bundleHash does not match/);
  });

  test.each([
    ['route/x', { name: 'x' }, /^00-000000000000\.json\.gz: route\/x: source: Invalid input/],
    ['__proto__', {}, /__proto__: is a unit of no known kind/],
    ['list/a/xyz', { ranges: [], expires: {} }, /list\/a\/xyz: is a unit of no known kind/],
    ['domain/a/b', {}, /domain\/a\/b: is a unit of no known kind/],
  ])('a unit %j that is not what it says is refused, naming file and path', async (key, value, message) => {
    const { index, files } = forged(`{${JSON.stringify(key)}:${JSON.stringify(value)}}`);
    await expect(readShards(index, files, { sha256 })).rejects.toThrow(message);
  });

  test.each(['', '[]x', '{"a":', 'null', '\u0000'])(
    'bytes that are no JSON object (%j) are refused',
    async (text) => {
      const { index, files } = forged(text);
      await expect(readShards(index, files, { sha256 })).rejects.toThrow(
        '00-000000000000.json.gz: is not a JSON object',
      );
    },
  );

  test('a domain that names a list which is nowhere is refused', async () => {
    const { index, files } = pack(bundle({ domains: full.domains }));
    await expect(readShards(index, files, { sha256 })).rejects.toThrow(
      'domain a.example names the list partners, which is in no shard',
    );
  });

  function forged(text: string): Packed {
    const shard = { file: '00-000000000000.json.gz', sha256: sha256(text), bytes: gzipSync(text), units: [] };
    const content = {
      version: bundleVersion,
      namespace: 'n',
      mta: 'm',
      secretsRevision: zeros,
      domains: {},
      routes: {},
    };
    return {
      index: indexOf({ ...content, version: bundleVersion }, [shard], sha256),
      shards: [shard],
      files: unzip([shard]),
    };
  }
});

describe('the secret bundle', () => {
  const secrets: SecretBundle = {
    version: bundleVersion,
    routeAuth: { exchange: { username: 'u', password: 'p\n"__proto__"\\' } },
    accounts: {
      'a.example': Array.from({ length: 600 }, (_, index) => ({
        name: `u${String(index).padStart(3, '0')}@a.example`,
        kind: 'User' as const,
        hashes: [{ hash: 'scrypt$16384$8$1$c2FsdA$a2V5' }],
        sendAs: [],
      })),
      'b.example': [],
    },
    dkimKeys: { 'a.example/postern': '-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n' },
  };

  function packSecrets(): { index: SecretIndex; files: Map<string, Uint8Array> } {
    const shards = packShards(secretUnits(secrets), { kind: 'secret', sha256, gzip });
    const index = secretIndex.parse(secretIndexOf({ version: bundleVersion, revision: zeros }, shards));
    return { index, files: unzip(shards) };
  }

  test('comes back as it was', () => {
    const { index, files } = packSecrets();
    expect(index.shards.every(({ file }) => file.startsWith('secret-0'))).toBe(true);
    expect(readSecretShards(index, files, { sha256 })).toEqual(secrets);
  });

  test('an error never quotes a value', () => {
    const text = '{"auth/r":{"username":"u","password":["hunter2"]},"dkim/d/s":"hunter2"}';
    const file = 'secret-00-000000000000.json.gz';
    const index: SecretIndex = {
      version: bundleVersion,
      revision: zeros,
      shards: [{ file, sha256: sha256(text) }],
    };
    const read = () => readSecretShards(index, new Map([[file, Buffer.from(text)]]), { sha256 });
    expect(read).toThrow(`${file}: auth/r: password: Invalid input`);
    expect(read).not.toThrow(/hunter2/);
  });
});
