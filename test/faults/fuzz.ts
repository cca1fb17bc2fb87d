import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { policyBundle, secretBundle } from '../../bundle/policy-bundle.ts';
import { kinds, type PosternObject, parseObject, problemText } from '../../operator/api/index.ts';
import { compile } from '../../operator/compile/compile.ts';
import type { Snapshot } from '../../operator/compile/model.ts';
import { readScenario } from '../../operator/compile/testdata/scenario.ts';
import { render } from '../../operator/render/render.ts';
import { loadPolicy } from '../../policy/load.ts';
import { type Random, seededRandom } from '../differential/random.ts';

/** What one run of the fuzzer came to. */
export interface FuzzResult {
  readonly cases: number;
  /** How many the schema refused, naming a field. */
  readonly refused: number;
  /** How many were compiled. */
  readonly compiled: number;
  readonly failures: readonly {
    readonly seed: number;
    readonly problem: string;
    readonly manifest: string;
  }[];
}

const json: z.ZodType<Json> = z.json();

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A tenant that does nothing wrong; the fuzzed object stands beside it. */
const tenant = `
title: ''
options: { clusterRanges: [127.0.0.0/8, 10.0.0.0/8] }
---
kind: MailDomain
metadata: {name: good}
spec: {domain: good.example, mailbox: {maildir: {}}, recipients: {mode: List, addresses: [user]}}
---
kind: Route
metadata: {name: store}
spec: {host: store.example}
---
kind: IpAccessList
metadata: {name: spammers}
spec: {action: Block, domainRefs: [{name: good}], addresses: [192.0.2.0/24]}
`;

const samples = parseAllDocuments(`
kind: MailDomain
metadata: {name: x}
spec:
  domain: x.example
  mailbox: {routeRef: {name: store}}
  junk: {method: Subaddress, subaddress: {delimiter: "+", folder: Junk}}
  recipients: {mode: List, addresses: [a, b], configMapRef: {name: people, key: list}, subaddressDelimiter: "+"}
  postmaster: a@x.example
  inboundRouting: [{match: External, target: Unknown, routeRef: {name: store}, ndr: Never, verifyRecipient: None}]
  outboundRouting: [{match: External, changeRoute: {name: store}, sendCopyTo: {name: store}}]
  submission: {enabled: true, accountsSecretRef: {name: people}, limits: {recipientsPerHour: 5}}
  limits: {maxMessageBytes: 100000}
  contentFilter: {rspamd: {url: "http://rspamd:11333"}, virusSymbols: [VIRUS]}
  authentication: {spf: Reject, dmarc: Reject, trustedArcSealers: [seal.example]}
---
kind: MailDomain
metadata: {name: x}
spec: {domain: good.example, mailbox: {maildir: {}}, recipients: {mode: List, addresses: [thief]}}
---
kind: Route
metadata: {name: x}
spec: {host: mail.example, port: 25, protocol: LMTP, tls: {mode: Required, verify: TrustedCA, caBundleRef: {name: ca, key: pem}}, authSecretRef: {name: auth}, connection: {maxConcurrent: 3, timeoutSeconds: 10}}
---
kind: IpAccessList
metadata: {name: x}
spec: {action: Allow, domainRefs: [{name: good}], addresses: [192.0.2.1, "2001:db8::/32"], entries: [{address: 198.51.100.1, note: n, expireTime: "2027-01-01T00:00:00Z"}], text: "203.0.113.1-203.0.113.9, ::ffff:1.2.3.4 # x", entriesFrom: [{configMapKeyRef: {name: people, key: list}}]}
---
kind: InboundGateway
metadata: {name: x}
spec: {domainRefs: [{name: good}], addresses: [198.51.100.0/24], onlyFromGateway: true, internalMailViaGateway: true, routeRef: {name: store}, spam: {junkPatterns: ["^X: y$"], skipContentFilter: true}, trustedAuthservId: gw.example}
---
kind: TlsPolicy
metadata: {name: x}
spec: {title: T, domainRefs: [{name: good}], directions: [Inbound, Outbound], outbound: {requireTrustedCA: true, caBundleRef: {name: ca, key: pem}}, peerDomains: [p.example, "*.q.example"]}
---
kind: DkimKey
metadata: {name: x}
spec: {domainRef: {name: good}, selector: s1, algorithm: RSA, keyLength: 2048, state: Active, dns: {publish: None}}
`).map((document): Json => json.parse(document.toJS()));

/** Values that break programs: wrong kinds, borders, control characters, names of JavaScript's own. */
const oddities: readonly Json[] = [
  null,
  true,
  '',
  ' ',
  '\0',
  'a\r\nb: c',
  '__proto__',
  'constructor',
  '../../etc/passwd',
  '\u{1f4ec}\ud800',
  'x'.repeat(300),
  'x'.repeat(70_000),
  '(a+)+$',
  '[',
  '(?=x)',
  '010.0.0.1',
  '0.0.0.0/0',
  '::/0',
  '10.0.0.0/8',
  '2001:DB8::1',
  'xn--zzzz-.example',
  'good.example',
  'XN--BCHER-KVA.example',
  '{{ .Values }}',
  -1,
  0,
  1.5,
  1e308,
  2 ** 53,
  [],
  {},
  [[]],
  [null],
  { __proto__x: 1 },
  { name: 'good' },
  { name: '__proto__' },
];

const leaves: readonly Json[] = samples.flatMap(leavesOf);

function leavesOf(value: Json): Json[] {
  return isContainer(value) ? [value, ...Object.values(value).flatMap(leavesOf)] : [value];
}

/** Changes some places of a manifest: a value, its kind, its number, its name. */
function mutate(value: Json, random: Random): Json {
  const copy = structuredClone(value);
  for (let left = random.pick([1, 1, 1, 2, 4]); left > 0; left -= 1) mutateOnce(copy, random);
  return copy;
}

function mutateOnce(root: Json, random: Random): void {
  let parent: Json = root;
  for (let depth = 0; depth < 12; depth += 1) {
    const keys = keysOf(parent);
    if (keys.length === 0 || !isContainer(parent)) return;
    // Kind, name and the rest of metadata are the server's to judge; spec is ours.
    const key = parent === root ? 'spec' : random.pick(keys);
    const child: Json = get(parent, key);
    if (depth > 0 && (random.chance(0.4) || keysOf(child).length === 0)) {
      change(parent, key, random);
      return;
    }
    parent = child;
  }
}

function change(parent: Json[] | { [key: string]: Json }, key: string, random: Random): void {
  const action = random.int(6);
  if (action === 0) {
    if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else delete parent[key];
  } else if (action === 1 && Array.isArray(parent)) {
    const item = parent[Number(key)] ?? null;
    for (let left = random.pick([1, 2, 120]); left > 0; left -= 1) parent.push(structuredClone(item));
  } else if (action === 2 && !Array.isArray(parent)) {
    parent[random.pick(['unknown', 'spec', 'status', 'toString', 'name', key.toUpperCase()])] =
      random.pick(oddities);
  } else if (action === 3 || action === 4) set(parent, key, neighbourOf(get(parent, key), random));
  else set(parent, key, structuredClone(random.pick(oddities)));
}

/** A value of the same kind that some field takes: most of these get past the schema. */
function neighbourOf(value: Json, random: Random): Json {
  if (typeof value === 'boolean') return !value;
  if (typeof value === 'number') return value + random.pick([-1, 1, 1000]);
  return structuredClone(random.pick(leaves.filter((leaf) => typeof leaf === typeof value)) ?? null);
}

function isContainer(value: Json): value is Json[] | { [key: string]: Json } {
  return typeof value === 'object' && value !== null;
}

function keysOf(value: Json): string[] {
  return isContainer(value) ? Object.keys(value) : [];
}

function get(parent: Json[] | { [key: string]: Json }, key: string): Json {
  return (Array.isArray(parent) ? parent[Number(key)] : parent[key]) ?? null;
}

function set(parent: Json[] | { [key: string]: Json }, key: string, value: Json): void {
  if (Array.isArray(parent)) parent[Number(key)] = value;
  else parent[key] = value;
}

/**
 * X21: mangled manifests. Nothing may throw; what is refused names a field; what is taken compiles beside a good tenant, whose mail
 * goes on, into statuses that fit their own schema and a policy that an MTA can load.
 *
 * @param cases number of manifests.
 */
export async function fuzzManifests(
  seed: number,
  cases: number,
  progress: (done: number) => void = () => undefined,
): Promise<FuzzResult> {
  const { snapshot } = readScenario(tenant);
  const failures: { seed: number; problem: string; manifest: string }[] = [];
  const counts = { refused: 0, compiled: 0 };
  for (let done = 0; done < cases && failures.length < 10; done += 1) {
    const random = seededRandom(seed + done);
    const manifest = mutate(random.pick(samples), random);
    try {
      const outcome = judgeManifest(manifest, snapshot);
      counts[outcome.kind] += 1;
      // Loading is the dearest part, and most policies differ little.
      if (outcome.kind === 'compiled' && done % 20 === 0) await loadPolicy(outcome.bundle);
    } catch (error) {
      const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
      failures.push({ seed: seed + done, problem, manifest: JSON.stringify(manifest).slice(0, 2_000) });
    }
    if (done % 1000 === 999) progress(done + 1);
  }
  return { cases, ...counts, failures };
}

type Outcome =
  | { readonly kind: 'refused' }
  | { readonly kind: 'compiled'; readonly bundle: Parameters<typeof loadPolicy>[0] };

/** @throws Error that says which law is broken. */
function judgeManifest(manifest: Json, snapshot: Snapshot): Outcome {
  const kind = kinds.find(
    (one) => isContainer(manifest) && !Array.isArray(manifest) && one.kind === manifest['kind'],
  )?.kind;
  if (kind === undefined || !isContainer(manifest) || Array.isArray(manifest)) throw new Error('no kind');
  const metadata = { name: 'x', namespace: 'acme', generation: 1, creationTimestamp: '2026-06-01T00:00:00Z' };
  const parsed = parseObject(kind, { apiVersion: 'postern.dev/v1alpha1', ...manifest, metadata });
  if (!parsed.ok) {
    const silent = parsed.problems.length === 0 || parsed.problems.some(({ message }) => message === '');
    if (silent) throw new Error('refused without a reason');
    const unplaced = parsed.problems.find(({ path }) => !/^spec\b/.test(path));
    if (unplaced !== undefined) throw new Error(`refused at "${unplaced.path}": ${unplaced.message}`);
    return { kind: 'refused' };
  }
  const object: PosternObject = parsed.object;
  const { mtas, statuses } = compile({ ...snapshot, objects: [...snapshot.objects, object] });
  for (const { kind: own, name, status } of statuses) {
    const written = [...snapshot.objects, object].find(
      (one) => one.kind === own && one.metadata.name === name,
    );
    const again = parseObject(own, { ...written, status });
    if (!again.ok) {
      throw new Error(`status of ${own}/${name}: ${again.problems.map(problemText).join('; ')}`);
    }
  }
  const [mta] = mtas;
  if (mta === undefined) throw new Error('the MTA has no policy any more');
  policyBundle.parse(mta.bundle);
  secretBundle.parse(mta.secrets);
  const good = mta.bundle.domains.find(({ domain }) => domain === 'good.example');
  if (good?.source.name !== 'good' || good.recipients.localParts[0] !== 'user')
    throw new Error('the good domain is hurt');
  if (!good.access.block.includes('spammers')) throw new Error('the good list is hurt');
  render(mta);
  return { kind: 'compiled', bundle: mta.bundle };
}
