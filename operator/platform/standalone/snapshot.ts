import type { ObjectStatus, PosternObject } from '../../api/index.ts';
import type {
  DkimObservation,
  DnsEndpointObservation,
  MailDnsObservation,
  MtaRecord,
  PodObservation,
  SecretRecord,
  Snapshot,
} from '../../compile/model.ts';
import { worstProbes } from '../route-probes.ts';
import type { FolderContents } from './contents.ts';
import type { FolderSecret } from './records.ts';
import { toSecretRecord } from './secret-files.ts';
import { standaloneMta } from './settings.ts';
import { keyOf, type Store } from './store.ts';

export interface SnapshotSources {
  readonly contents: FolderContents;
  readonly store: Store;
  readonly statuses: ReadonlyMap<string, ObjectStatus>;
  /** Keys that were made, from the state folder. */
  readonly keys: readonly FolderSecret[];
  readonly revisionKey: string;
  readonly settings: MtaRecord['settings'];
  readonly pods: readonly PodObservation[];
  readonly dkim: readonly DkimObservation[];
  /** Undefined: nobody looks at the records of domains. */
  readonly mailDns?: readonly MailDnsObservation[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** A Route of a folder may lead to this machine itself: that is where its other servers are. */
const loopback = ['127.0.0.0/8', '::1/128'];

/** What a compilation of a folder reads: the same plain data that the cluster gives. */
export function makeSnapshot(sources: SnapshotSources): Snapshot {
  const { contents, store, statuses, keys, revisionKey, settings, pods, dkim, mailDns, now } = sources;
  const objects = [...store.objects].map(([key, { object }]) => withStatus(object, statuses.get(key)));
  // A Secret of the folder goes before a made one of the same name: whoever writes it means it.
  const secrets = new Map<string, SecretRecord>();
  for (const stored of [...keys, ...store.secrets.values()]) {
    secrets.set(stored.name, toSecretRecord(stored, revisionKey));
  }
  return Object.freeze({
    namespace: contents.namespace,
    held: Object.fromEntries(
      [...store.objects].flatMap(([key, { held }]) => (held === undefined ? [] : [[key, held]])),
    ),
    objects: objects.toSorted((left, right) => compareText(keyOf(nameOf(left)), keyOf(nameOf(right)))),
    secrets: [...secrets.values()],
    configMaps: [...store.configMaps.values()],
    mtas: [{ name: standaloneMta, replicas: 1, settings, workloads: ['standalone'] }],
    observed: {
      pods,
      dkim,
      ...(mailDns === undefined ? {} : { mailDns }),
      routeProbes: worstProbes(pods),
      dnsEndpoints: objects.flatMap(withoutExternalDns),
    },
    now,
    // Without a cluster a host of one label is what it says: a name in /etc/hosts, a service of docker compose.
    options: { clusterDomain: '', allowedRouteRanges: loopback },
  });
}

/** Whoever asks for external-dns here is told that there is none; a record that was to be taken back was never written. */
function withoutExternalDns(object: PosternObject): DnsEndpointObservation[] {
  if (object.kind !== 'DkimKey') return [];
  const dkimKey = object.metadata.name;
  if (object.spec.dns.publish === 'None') return [{ dkimKey, outcome: 'Withdrawn' }];
  const message = 'Standalone publishes no records';
  return [{ dkimKey, outcome: 'Failed', reason: 'NotInStandalone', message }];
}

function withStatus(object: PosternObject, status: ObjectStatus | undefined): PosternObject {
  return status === undefined ? object : Object.assign({}, object, { status });
}

function nameOf(object: PosternObject): { kind: string; name: string } {
  return { kind: object.kind, name: object.metadata.name };
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
