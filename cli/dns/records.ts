import { isPublic } from '../../operator/compile/mail-senders.ts';
import type { MailSender, Snapshot, Translation, Want } from '../../operator/compile/model.ts';
import { dmarcRecord, type MailRecord, mxRecord, spfRecord } from '../../operator/render/mail-records.ts';

/** A record to publish. */
export interface WantedRecord extends MailRecord {
  /** The object that asks for it, `Kind/name`. */
  readonly object: string;
}

type CheckMailDns = Extract<Want, { kind: 'checkMailDns' }>;

/**
 * The records that the objects ask for: MX, a first SPF and DMARC record for each domain, and those of keys.
 *
 * @param translation of a snapshot whose `observed.mailDns` is there, so that it says where mail leaves from
 */
export function wantedRecords(snapshot: Snapshot, translation: Translation): WantedRecord[] {
  const looks = translation.wants.filter((want) => want.kind === 'checkMailDns');
  return [
    ...mxRecords(translation),
    ...dkimRecords(snapshot, translation),
    ...looks.flatMap((look) => spfOf(look, snapshot)),
    ...looks.map(({ domain, mailDomain }) => ({
      ...dmarcRecord(domain),
      object: `MailDomain/${mailDomain}`,
    })),
  ];
}

/** What to say of domains for which no SPF record can be suggested. */
export function sendersUnknown(snapshot: Snapshot, { wants }: Translation): string[] {
  return wants.flatMap((want) => {
    if (want.kind !== 'checkMailDns' || spfOf(want, snapshot).length > 0) return [];
    const why = want.senders.map(({ unknown }) => unknown).join('; ');
    return [`MailDomain/${want.mailDomain}: ${why}, so no SPF record can be suggested`];
  });
}

/** Mail for the domain comes here, or to its gateway, which the MX has to name instead (D3). */
function mxRecords({ mtas }: Translation): WantedRecord[] {
  return mtas.flatMap(({ bundle, settings }) =>
    bundle.domains
      .filter(({ gateway }) => gateway === undefined)
      .map(({ domain, source }) => ({
        ...mxRecord(domain, settings.heloName),
        object: `${source.kind}/${source.name}`,
      })),
  );
}

function spfOf({ domain, mailDomain, senders, heloName }: CheckMailDns, snapshot: Snapshot): WantedRecord[] {
  const terms = senders.flatMap((sender) => termsOf(sender, heloName, snapshot));
  return terms.length === 0 ? [] : [{ ...spfRecord(domain, terms), object: `MailDomain/${mailDomain}` }];
}

function termsOf({ what, addresses, host }: MailSender, heloName: string, { options }: Snapshot): string[] {
  const open = addresses.filter(isPublic);
  if (open.length > 0) return open;
  if (host !== undefined) {
    // Nobody outside can resolve the name of a Service, nor one of a single label.
    const inside = host.name.endsWith(`.svc.${options.clusterDomain}`) || !host.name.includes('.');
    return inside ? [] : [`${host.lookupMx ? 'mx' : 'a'}:${host.name}`];
  }
  // The name has to resolve to the address that mail leaves from: its setting says so.
  return what.startsWith('MTA ') ? [`a:${heloName}`] : [];
}

function dkimRecords(snapshot: Snapshot, { statuses }: Translation): WantedRecord[] {
  const names = new Set(
    snapshot.objects.filter(({ kind }) => kind === 'DkimKey').map(({ metadata }) => metadata.name),
  );
  return statuses.flatMap(({ kind, name, status }): WantedRecord[] => {
    if (kind !== 'DkimKey' || !names.has(name) || !('dnsRecord' in status) || status.dnsRecord === undefined)
      return [];
    const { name: host, value, zoneFileLine } = status.dnsRecord;
    return [{ name: host, type: 'TXT', value, object: `${kind}/${name}`, zoneFileLine }];
  });
}
