// Manifests and views that the fault tests share.
import { type KubeObject, paths } from '../kubernetes/api.ts';
import type { TestNamespace } from '../kubernetes/namespace.ts';

const apiVersion = 'postern.dev/v1alpha1';

/** A domain whose mail goes into a Maildir; bob is known. */
export function mailDomain(name: string, domain: string, spec: object = {}): object {
  const recipients = { mode: 'List', addresses: ['bob'] };
  return {
    apiVersion,
    kind: 'MailDomain',
    metadata: { name },
    spec: { domain, mailbox: { maildir: {} }, recipients, ...spec },
  };
}

/** Addresses that are blocked for all domains. */
export function blockList(name: string, addresses: readonly string[]): object {
  return {
    apiVersion,
    kind: 'IpAccessList',
    metadata: { name },
    spec: { action: 'Block', allDomains: true, addresses },
  };
}

/** A key that asks no name server. */
export function dkimKey(name: string, domain: string): object {
  return {
    apiVersion,
    kind: 'DkimKey',
    metadata: { name },
    spec: { domainRef: { name: domain }, verification: { mode: 'OnRequest' } },
  };
}

/** Everything that the operator renders for MTA `default`, without what differs between two equal runs. */
export async function renderedPicture(space: TestNamespace): Promise<unknown[]> {
  const objects = await renderedObjects(space);
  return objects.map(({ metadata: { name, labels, ownerReferences }, data, binaryData }) => ({
    name,
    labels,
    owners: ownerReferences.map(({ uid }) => uid),
    data,
    binaryData,
  }));
}

/** ConfigMaps and Secrets rendered for MTA `default`, but for the state token. */
export async function renderedObjects(space: TestNamespace): Promise<KubeObject[]> {
  const lists = await Promise.all(
    ['configmaps', 'secrets'].map((resource) => space.admin.list(paths.core(space.name, resource))),
  );
  return lists
    .flat()
    .filter(
      ({ metadata }) =>
        metadata.name.startsWith('postern-default-') && !metadata.name.endsWith('-state-token'),
    );
}

/** What differs between two runs that are equal: times, and everything that is derived from a new key. */
const fleeting = new Set(['neverHitCount', 'lastTransitionTime', 'dnsRecord', 'publicKeySHA256']);

/** Statuses of all objects of a kind, without what is fleeting. */
export async function statusPicture(space: TestNamespace, plural: string): Promise<unknown[]> {
  const objects = await space.admin.list(paths.postern(space.name, plural));
  return objects.map(({ metadata: { name, generation }, status }) => ({
    name,
    generation,
    status: JSON.parse(
      JSON.stringify(status, (key, value: unknown) => (fleeting.has(key) ? 'fleeting' : value)),
    ),
  }));
}
