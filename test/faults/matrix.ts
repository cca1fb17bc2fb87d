// The faults that Postern is held against. docs/reliability.md is generated from this table and from a run of the tests.

export interface Fault {
  readonly id: string;
  /** What is done to it. */
  readonly fault: string;
  /** What has to hold, besides what holds after each fault. */
  readonly holds: string;
}

/** Every id that a test may carry; the gaps in the numbers are faults that no test injects under an id of its own. */
export const matrix: readonly Fault[] = [
  {
    id: 'X1',
    fault: 'The API server is away, at the start or again and again',
    holds: 'No SMTP session suffers; caches stand; watches are taken up where they were, without a LIST',
  },
  {
    id: 'X2',
    fault: 'Watches closed, cut, silent, closed with an ERROR event, bookmarks only',
    holds: 'At most one LIST, no event lost, no hot loop',
  },
  {
    id: 'X3',
    fault: 'Lists of a time before, or no answer at all',
    holds: 'No key is deleted or made anew because of what an old list does not show',
  },
  { id: 'X4', fault: 'A watch event that never comes, each in turn', holds: 'The resync heals it' },
  {
    id: 'X5',
    fault: 'The operator ends before or after each of its writes',
    holds: 'Whoever comes after it finishes; private key and published record are always one pair',
  },
  {
    id: 'X6',
    fault: 'Each call two seconds slower; 429, 500 and 504; storms of conflicts',
    holds: 'One key; Retry-After is obeyed',
  },
  {
    id: 'X7',
    fault: 'The leader loses its Lease, or sleeps longer than it in the middle of its writes',
    holds: 'The old leader writes nothing more',
  },
  { id: 'X8', fault: 'Two operators that both think they lead', holds: 'One key, no flapping' },
  {
    id: 'X9',
    fault: 'A DKIM Secret deleted, truncated, replaced; a policy on disk that cannot be used',
    holds:
      'No new key while DNS has the old one; pods keep the last good one; mail waits rather than going out unsigned',
  },
  {
    id: 'X10',
    fault: 'Rendered objects edited, deleted, stripped of labels or owner, made immutable',
    holds: 'Restored within 10 s, with an event; mail flows on',
  },
  {
    id: 'X11',
    fault:
      'The process of an MTA killed (SIGKILL) while mail comes in, waits and is delivered, also with a damaged journal',
    holds:
      'What was answered 250 is delivered; twice at most what was being delivered; damage costs the damaged mail alone',
  },
  {
    id: 'X12',
    fault: 'MTA pods deleted one after the other under load',
    holds: 'What was answered 250 is delivered once; no 5xx; the successor has the queue',
  },
  {
    id: 'X13',
    fault: 'Power lost after a 250 (seen by strace: what the kernel was asked for, and in which order)',
    holds: 'File written to the disk, renamed, directory synchronised, and only then 250',
  },
  {
    id: 'X14',
    fault: 'Queue full, read-only, or gone',
    holds: '451, never 550 or 250; readiness falls; no restart is needed',
  },
  {
    id: 'X15',
    fault: 'Name servers that fail, time out, or answer nonsense',
    holds: 'The right reason for each; no verified key is called unverified; no busy loop',
  },
  {
    id: 'X16',
    fault:
      'MX records that fail, are null, lead to loopback or private addresses, or to servers that are dead or too many',
    holds: 'Waits or fails as RFC 5321 and 7505 say; nothing goes to an address that is not public',
  },
  {
    id: 'X17',
    fault: 'A mail store that is down, defers, hangs after the data, or drops the connection',
    holds: 'Each recipient once; hanging is bounded',
  },
  { id: 'X18', fault: 'One of two copies cannot be delivered', holds: 'It is tried again alone' },
  {
    id: 'X19',
    fault:
      '1,000 objects of 100 tenants, each with lists of addresses (two with 10,000 allowed and 10,000 blocked); one entry changes; the leader is killed',
    holds: 'Only the objects of that tenant are written; the new leader writes nothing',
  },
  {
    id: 'X20',
    fault: 'More than fits into a list, a domain, or an object',
    holds: 'It acts whole, or is refused by name and the older acts on',
  },
  {
    id: 'X21',
    fault: 'Mangled manifests',
    holds: 'Nothing crashes; refused by field; no neighbour is hurt',
  },
  {
    id: 'X22',
    fault: 'CRDs upgraded to v1, every object rewritten, and all of it taken back',
    holds: 'No field of any object changes; the operator writes nothing; keys stay',
  },
  {
    id: 'X23',
    fault: 'A right taken away from the operator',
    holds: 'A condition names verb and resource; the rest goes on',
  },
  {
    id: 'X24',
    fault: 'A namespace deleted, with and without an operator, and made again',
    holds: 'It ends; it is forgotten; made again, it is served again',
  },
  {
    id: 'X25',
    fault: 'The clock of an MTA is set two hours forward, and back',
    holds: 'No mass retry, no mass expiry, nothing is held up',
  },
  {
    id: 'X26',
    fault: 'Idle connections, commands byte by byte, megabytes of header, 100,000 MIME parts',
    holds: 'Others deliver; limits answer',
  },
  {
    id: 'X27',
    fault: 'The same manifests applied again and again',
    holds: 'No difference, no new generation, no write',
  },
];
