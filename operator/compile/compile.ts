import { compileAccessLists } from './access-lists.ts';
import { compileDkim } from './dkim.ts';
import { retentionWants } from './dkim-retention.ts';
import { confirmSigning } from './dkim-signing.ts';
import { type Acting, type DomainSlice, sliceOf } from './domain-slice.ts';
import { admitDomains, type Domains } from './domains.ts';
import { type Compiled, findingsBy } from './findings.ts';
import { compileGateways, type Gateway } from './gateway.ts';
import { secretsRevisionOf } from './hashes.ts';
import { hopKeyOf, hopKeyWants } from './hop-key.ts';
import { type MailDns, mailDnsOf } from './mail-dns.ts';
import type { MtaPolicy, Snapshot, StatusRecord, Translation, Want } from './model.ts';
import { compileMta } from './mta-policy.ts';
import { type Entry, entriesOf, objectsOf } from './objects.ts';
import { graceEnds, type Slice } from './programmed.ts';
import { compileRecipients } from './recipients.ts';
import { referencesOf } from './references.ts';
import { guardedRoutes, usesOfRoutes } from './route-status.ts';
import { admitRoute, type CompiledRoute, compileRoute } from './routes.ts';
import { routesNamedBy } from './routing.ts';
import { type Slices, statusOf, statusOfIdle } from './status.ts';
import { compileSubmission } from './submission.ts';
import { compileTls } from './tls.ts';

/**
 * Translates one namespace: the policy of each of its MTAs, the status of each of its objects, and what is to be done or found
 * out next. Pure: equal snapshots give equal translations, in whatever order their parts come.
 */
export function compile(snapshot: Snapshot): Translation {
  const entries = entriesOf(snapshot);
  const objects = objectsOf(entries);
  const admitted = objects.routes.map((route) => ({ route, accepted: admitRoute(route, snapshot) }));
  const refused = admitted.filter(({ accepted }) => accepted.status !== 'True');
  const references = referencesOf(
    snapshot,
    objects.routes,
    new Map(refused.map(({ route, accepted }) => [route.metadata.name, accepted.reason])),
  );
  const routes = admitted.map(({ route, accepted }) => compileRoute(route, accepted, snapshot, references));
  const domains = admitDomains(objects.mailDomains, snapshot);
  const lists = compileAccessLists(objects.accessLists, domains, references, snapshot);
  const hopKey = hopKeyOf(snapshot);
  const gateways = compileGateways(objects.gateways, domains, { references, hopKey, snapshot });
  const tls = compileTls(objects.tlsPolicies, domains, references);
  const dkim = compileDkim({
    snapshot: { ...snapshot, objects: entries.flatMap(({ compiled }) => compiled ?? []) },
    domains: new Map([...domains.hosted].map(([name, { object }]) => [name, object])),
  });

  const acting: Acting = { lists, gateways, tls, signers: dkim.signers, options: snapshot.options };
  const domainSlices = new Map(
    [...domains.hosted].map(([name, hosted]) => {
      const recipients = compileRecipients(hosted, references);
      return [name, sliceOf(hosted, recipients, compileSubmission(hosted, references), acting)] as const;
    }),
  );
  const mailDns = new Map<string, MailDns>(
    [...domainSlices].map(([name, slice]) => [name, mailDnsOf(slice, { snapshot, references, gateways })]),
  );
  const compiledLists = new Map(lists.map(({ entries: { list } }) => [list.key, list]));
  const mtas = snapshot.mtas
    .map(({ name }) => name)
    .sort()
    .flatMap((mta) => {
      const slices = [...domainSlices.values()].filter(({ hosted }) => hosted.mta === mta);
      return compileMta(mta, { snapshot, slices, routes, lists: compiledLists, dkim, hopKey }) ?? [];
    });

  const policySlices = slicesOf(mtas, domains, domainSlices, gateways, routes);
  const { dkimKeys } = objects;
  const uses = usesOfRoutes(objects.mailDomains, objects.gateways);
  const compiled: Compiled = {
    snapshot,
    domains,
    references,
    routes,
    lists,
    gateways,
    tls,
    dkim: confirmSigning(dkim, { snapshot, dkimKeys, domainSlices, slices: policySlices }),
    dkimKeys,
    uses,
    domainSlices,
    mailDns,
    slices: policySlices,
  };
  const guarded = guardedRoutes(entries, uses);
  const finalizers = routes.map(({ object: { metadata } }): Want => {
    return { kind: 'routeFinalizer', route: metadata.name, present: guarded.has(metadata.name) };
  });
  return {
    mtas,
    statuses: statusesOf(entries, compiled),
    wants: [
      ...dkim.wants,
      ...[...mailDns.values()].flatMap(({ want }) => want ?? []),
      ...hopKeyWants(hopKey, mtas),
      ...finalizers,
      ...retentionWants(entries, snapshot),
      ...graceEnds(snapshot),
    ],
  };
}

function statusesOf(entries: readonly Entry[], compiled: Compiled): StatusRecord[] {
  const findings = findingsBy(compiled);
  const { snapshot } = compiled;
  const statuses = entries.map((entry) => {
    const found = entry.compiled === undefined ? undefined : findings(entry.compiled);
    return found === undefined ? statusOfIdle(entry, snapshot) : statusOf(entry, found, snapshot);
  });
  return statuses.sort((left, right) =>
    `${left.kind}/${left.name}` < `${right.kind}/${right.name}` ? -1 : 1,
  );
}

/** Where each domain and Route lies, so that their objects can say whether the pods have loaded them. */
function slicesOf(
  mtas: readonly MtaPolicy[],
  { hosted }: Domains,
  domainSlices: ReadonlyMap<string, DomainSlice>,
  gateways: readonly Gateway[],
  routes: readonly CompiledRoute[],
): Slices {
  const policies = new Map(mtas.map((policy) => [policy.mta, policy]));
  const domains = new Map<string, Slice>();
  const tooLarge = new Map<string, string>();
  const needed = new Map<string, Set<string>>();
  for (const [name, { domain, mta, object }] of hosted) {
    const policy = policies.get(mta);
    if (policy === undefined) continue;
    const hash = Object.hasOwn(policy.hashes.domains, domain) ? policy.hashes.domains[domain] : undefined;
    if (hash === undefined) tooLarge.set(`MailDomain/${name}`, mta);
    else
      domains.set(name, {
        mta,
        kind: 'domains',
        name: domain,
        hash,
        ...secretsOf(policy, domainSlices.get(name)),
      });
    const named = [
      ...routesNamedBy(object).map(({ route }) => route),
      ...gateways.flatMap((gateway) => (gateway.domains.has(name) ? (gateway.policy.route ?? []) : [])),
    ];
    for (const route of named) needed.set(route, (needed.get(route) ?? new Set()).add(mta));
  }
  const routeSlices = new Map<string, Slice[]>();
  for (const { object, policy: route } of routes) {
    const { name } = object.metadata;
    for (const mta of route === undefined ? [] : (needed.get(name) ?? [])) {
      const policy = policies.get(mta);
      const hash = policy?.hashes.routes[name];
      if (policy === undefined) continue;
      if (hash === undefined) tooLarge.set(`Route/${name}`, mta);
      else {
        const revision =
          route?.authenticated === true ? { secretsRevision: secretsRevisionOf(policy.secretRevisions) } : {};
        routeSlices.set(name, [
          ...(routeSlices.get(name) ?? []),
          { mta, kind: 'routes', name, hash, ...revision },
        ]);
      }
    }
  }
  return { domains, routes: routeSlices, tooLarge };
}

function secretsOf(policy: MtaPolicy, slice: DomainSlice | undefined): Pick<Slice, 'secretsRevision'> {
  const secret =
    slice !== undefined &&
    (slice.policy.submission.accounts ||
      slice.policy.dkim.length > 0 ||
      slice.policy.gateway?.internalMailViaGateway === true);
  return secret ? { secretsRevision: secretsRevisionOf(policy.secretRevisions) } : {};
}
