import { bundleVersion, type SecretBundle } from '../../bundle/policy-bundle.ts';
import type { RangeList } from '../../bundle/range-list.ts';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import { compareText } from '../../bundle/shards.ts';
import { auditedUnit, domainUnits, listUnits, routeUnit, secretUnits } from '../../bundle/units.ts';
import { type Cargo, whatFits } from './capacity.ts';
import type { DkimTranslation } from './dkim.ts';
import type { DomainSlice } from './domain-slice.ts';
import { findMta } from './domains.ts';
import { hashOfDomain, hashOfRoute } from './hashes.ts';
import type { HopKey } from './hop-key.ts';
import type { MtaPolicy, Snapshot } from './model.ts';
import type { CompiledRoute } from './routes.ts';

export interface MtaInput {
  readonly snapshot: Snapshot;
  /** Of this MTA, oldest MailDomain first. */
  readonly slices: readonly DomainSlice[];
  /** All Routes of the namespace, oldest first: mail in the queue may need one that no object names any more (R2). */
  readonly routes: readonly CompiledRoute[];
  readonly lists: ReadonlyMap<string, RangeList>;
  readonly dkim: Pick<DkimTranslation, 'privateKeys' | 'revisions'>;
  readonly hopKey: HopKey;
}

/** The policy of one MTA, or undefined if it cannot have one (missing, ambiguous, without settings). */
export function compileMta(mta: string, input: MtaInput): MtaPolicy | undefined {
  const lookup = findMta(mta, input.snapshot);
  if (!lookup.ok) return undefined;
  const cargo = [
    ...hopKeyCargo(input),
    ...input.routes.flatMap(routeCargo),
    ...input.slices.map((slice) => domainCargo(slice, input)),
  ];
  const carried = whatFits(cargo);
  const slices = input.slices.filter(({ hosted }) => carried.has(`domain/${hosted.domain}`));
  const routes = input.routes.filter(({ object }) => carried.has(`route/${object.metadata.name}`));
  const policies = slices.map(({ policy }) => policy);
  const audited = slices.flatMap((slice) => slice.audited ?? []);
  const listKeys = new Set(
    [...policies, ...audited].flatMap(({ access }) => [...access.allow, ...access.block]),
  );
  const routePolicies = routes.flatMap(({ policy }) => policy ?? []);
  const secrets = secretsOf(slices, routes, input);
  return {
    mta,
    bundle: {
      version: bundleVersion,
      namespace: input.snapshot.namespace,
      mta,
      domains: sorted(policies, ({ domain }) => domain),
      audited: sorted(audited, ({ domain }) => domain),
      lists: [...listKeys].sort(compareText).flatMap((key) => input.lists.get(key) ?? []),
      routes: sorted(routePolicies, ({ name }) => name),
    },
    secrets: secrets.bundle,
    secretRevisions: secrets.revisions,
    hashes: {
      domains: Object.fromEntries(
        slices.map(({ policy, audited }) => [policy.domain, hashOfDomain(policy, audited, input.lists)]),
      ),
      routes: Object.fromEntries(
        routePolicies.map((policy: RoutePolicy) => [policy.name, hashOfRoute(policy)]),
      ),
    },
    settings: lookup.settings,
    ...(input.snapshot.options.clusterRanges && { clusterRanges: input.snapshot.options.clusterRanges }),
  };
}

function secretsOf(
  slices: readonly DomainSlice[],
  routes: readonly CompiledRoute[],
  { dkim, hopKey }: MtaInput,
): { bundle: SecretBundle; revisions: Record<string, string> } {
  const revisions: [string, string][] = [];
  const routeAuth = routes.flatMap(({ object, auth }) => {
    if (auth === undefined) return [];
    const { revision, ...credentials } = auth;
    revisions.push([`auth/${object.metadata.name}`, revision]);
    return [[object.metadata.name, credentials] as const];
  });
  const accounts = slices.flatMap(({ hosted, submission }) => {
    if (submission.accounts === undefined) return [];
    revisions.push([`accounts/${hosted.domain}`, submission.revision ?? '']);
    return [[hosted.domain, submission.accounts] as const];
  });
  const domains = new Set(slices.map(({ hosted }) => hosted.domain));
  const dkimKeys = keysOf(dkim.privateKeys, domains);
  for (const [unit, revision] of keysOf(dkim.revisions, domains)) revisions.push([`dkim/${unit}`, revision]);
  const marks = hopKey.kind === 'usable' && slices.length > 0 ? hopKey : undefined;
  if (marks !== undefined) revisions.push(['hop/key', marks.revision]);
  return {
    bundle: {
      version: bundleVersion,
      routeAuth: Object.fromEntries(routeAuth),
      accounts: Object.fromEntries(accounts),
      dkimKeys: Object.fromEntries(dkimKeys),
      ...(marks && { hopKey: marks.key }),
    },
    revisions: Object.fromEntries(revisions),
  };
}

/** Entries of a record by `<domain>/<selector>` that belong to one of the domains. */
function keysOf(record: Readonly<Record<string, string>>, domains: ReadonlySet<string>): [string, string][] {
  return Object.entries(record).filter(([unit]) => domains.has(unit.slice(0, unit.indexOf('/'))));
}

function hopKeyCargo({ hopKey, slices }: MtaInput): Cargo[] {
  if (hopKey.kind !== 'usable' || slices.length === 0) return [];
  const units = secretUnits({ routeAuth: {}, accounts: {}, dkimKeys: {}, hopKey: hopKey.key });
  return [{ name: 'hop-key', publicUnits: [], secretUnits: units }];
}

function routeCargo({ object, policy, auth }: CompiledRoute): Cargo[] {
  if (policy === undefined) return [];
  const { name } = object.metadata;
  const credentials =
    auth === undefined ? {} : { [name]: { username: auth.username, password: auth.password } };
  return [
    {
      name: `route/${name}`,
      publicUnits: [routeUnit(policy)],
      secretUnits: secretUnits({ routeAuth: credentials, accounts: {}, dkimKeys: {} }),
    },
  ];
}

function domainCargo({ hosted, policy, audited, submission }: DomainSlice, { lists, dkim }: MtaInput): Cargo {
  const views = [policy, ...(audited === undefined ? [] : [audited])];
  const keys = new Set(views.flatMap(({ access }) => [...access.allow, ...access.block]));
  const accounts = submission.accounts === undefined ? {} : { [hosted.domain]: submission.accounts };
  const dkimKeys = Object.fromEntries(keysOf(dkim.privateKeys, new Set([hosted.domain])));
  return {
    name: `domain/${hosted.domain}`,
    publicUnits: [
      ...domainUnits(policy),
      ...(audited === undefined ? [] : [auditedUnit(audited, policy)]),
      ...[...keys].flatMap((key) => {
        const list = lists.get(key);
        return list === undefined ? [] : listUnits(list);
      }),
    ],
    secretUnits: secretUnits({ routeAuth: {}, accounts, dkimKeys }),
  };
}

function sorted<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  return items.toSorted((left, right) => compareText(keyOf(left), keyOf(right)));
}
