/** A record in the form that zone files and DNS hosts take. */
export interface MailRecord {
  /** Without a final dot. */
  readonly name: string;
  readonly type: 'MX' | 'TXT';
  readonly value: string;
  readonly zoneFileLine: string;
}

/** The record that brings mail for a domain to an MTA. */
export function mxRecord(domain: string, heloName: string): MailRecord {
  const value = `10 ${heloName}.`;
  return { name: domain, type: 'MX', value, zoneFileLine: `${domain}. IN MX ${value}` };
}

/**
 * An SPF record that lets some servers send for a domain, and nobody else (RFC 7208).
 *
 * @param senders addresses, or terms such as `a:mx.example.com`
 */
export function spfRecord(domain: string, senders: readonly string[]): MailRecord {
  const terms = senders.map((sender) =>
    /^(a|mx):/.test(sender) ? sender : sender.includes(':') ? `ip6:${sender}` : `ip4:${sender}`,
  );
  return txtRecord(domain, ['v=spf1', ...terms, '-all'].join(' '));
}

/**
 * The DMARC record to begin with (RFC 9989): receivers report and change nothing. Reports go to the domain's own postmaster, since
 * another domain would have to agree to take them.
 */
export function dmarcRecord(domain: string): MailRecord {
  return txtRecord(`_dmarc.${domain}`, `v=DMARC1; p=none; rua=mailto:postmaster@${domain}`);
}

function txtRecord(name: string, value: string): MailRecord {
  const strings = (value.match(/.{1,255}/g) ?? []).map((part) => `"${part}"`).join(' ');
  return { name, type: 'TXT', value, zoneFileLine: `${name}. IN TXT ${strings}` };
}
