import type { DkimKey } from '../api/index.ts';
import type { DnsRecord } from '../render/dns-record.ts';
import type { ConditionInput } from './conditions.ts';
import { condition } from './dkim-conditions.ts';
import { generatedNameOf } from './dkim-secret.ts';
import type { DnsEndpointObservation, Want } from './model.ts';

/** What publishing a record through external-dns comes to (K6). */
export interface Publishing {
  readonly wants: readonly Want[];
  /** A warning, if the DNSEndpoint could not be written. */
  readonly conditions: readonly ConditionInput[];
  /** The DNSEndpoint that exists, or may exist: named in status, so that it is found again when it is to go. */
  readonly ref?: { readonly name: string };
}

/**
 * Says what is to become of the DNSEndpoint of a key. It goes with its DkimKey by its owner; taken back is it only when
 * `spec.dns.publish` is None again.
 *
 * @param observation what came of the last attempt
 */
export function publishRecord(
  dkimKey: DkimKey,
  record: DnsRecord,
  observation: DnsEndpointObservation | undefined,
): Publishing {
  const { name: dkimKeyName, deletionTimestamp } = dkimKey.metadata;
  const { publish, targetFormat, ttlSeconds } = dkimKey.spec.dns;
  const known = dkimKey.status?.dnsEndpointRef;
  const kept = known === undefined ? {} : { ref: known };
  if (deletionTimestamp !== undefined) return { wants: [], conditions: [], ...kept };
  const conditions =
    observation?.outcome === 'Failed'
      ? [condition('RecordNotWritten', 'True', observation.reason, observation.message)]
      : [];
  if (publish === 'ExternalDNS') {
    const name = generatedNameOf(dkimKey);
    const value =
      targetFormat === 'Raw' ? record.value : record.chunks.map((chunk) => `"${chunk}"`).join(' ');
    const endpoint = {
      dnsName: record.name,
      recordType: 'TXT',
      recordTTL: ttlSeconds,
      targets: [value],
    } as const;
    return {
      wants: [{ kind: 'publishRecord', dkimKey: dkimKeyName, name, endpoint }],
      conditions,
      ref: { name },
    };
  }
  if (known === undefined || observation?.outcome === 'Withdrawn') return { wants: [], conditions: [] };
  return {
    wants: [{ kind: 'withdrawRecord', dkimKey: dkimKeyName, name: known.name }],
    conditions,
    ref: known,
  };
}
