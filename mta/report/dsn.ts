/** What a report tells (RFC 3464). */
export interface Failure {
  /** Address of the reader: who sent the mail that failed. */
  readonly sender: string;
  readonly recipient: string;
  /** `5.1.1` */
  readonly status: string;
  /** What the other side said, or what we found. */
  readonly reason: string;
  /** The header of the mail that failed, as it came. */
  readonly header: string;
  /** Milliseconds since the epoch. */
  readonly arrived: number;
}

/** Who reports. */
export interface Reporter {
  readonly heloName: string;
  /** Address in From. */
  readonly postmaster: string;
  /** For Message-ID and the boundary. */
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** The report as SMTP carries it: ASCII but for the header that is quoted, CRLF, dot-stuffed, without the final dot. */
export function formatDsn(failure: Failure, { heloName, postmaster, id, now }: Reporter): Buffer {
  const { sender, recipient, status, arrived } = failure;
  const boundary = `=_${id}`;
  const reason = oneLine(failure.reason);
  const lines = [
    `Date: ${mailDate(now)}`,
    `From: Mail Delivery System <${postmaster}>`,
    `To: <${sender}>`,
    'Subject: Undelivered mail returned to sender',
    `Message-ID: <${id}@${heloName}>`,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="${boundary}"`,
    '',
    `--${boundary}`,
    'Content-Type: text/plain; charset=us-ascii',
    '',
    `Your message could not be delivered to <${recipient}>:`,
    '',
    `    ${reason}`,
    '',
    `This report was made by ${heloName}. The header of your message is attached.`,
    '',
    `--${boundary}`,
    'Content-Type: message/delivery-status',
    '',
    `Reporting-MTA: dns; ${heloName}`,
    `Arrival-Date: ${mailDate(arrived)}`,
    '',
    `Final-Recipient: rfc822; ${recipient}`,
    'Action: failed',
    `Status: ${status}`,
    `Diagnostic-Code: smtp; ${reason}`,
    '',
    `--${boundary}`,
    'Content-Type: text/rfc822-headers',
    '',
    ...failure.header.split(/\r?\n/).filter((line) => line !== ''),
    '',
    `--${boundary}--`,
    '',
  ];
  return Buffer.from(lines.join('\r\n').replace(/^\./gm, '..'), 'latin1');
}

/** The status of a failure: what the other side said, or what its words mean to us. */
export function statusOf(reason: string): string {
  const said = /\b[45]\.(\d{1,3}\.\d{1,3})\b/.exec(reason)?.[1];
  // A report is about a final failure, also where the last answer was a temporary one.
  return said === undefined ? '5.0.0' : `5.${said}`;
}

/** What strangers say goes into one line of harmless characters. */
function oneLine(text: string): string {
  return text
    .replace(/[^!-~]+/g, ' ')
    .slice(0, 500)
    .trim();
}

function mailDate(milliseconds: number): string {
  return new Date(milliseconds).toUTCString().replace(/GMT$/, '+0000');
}
