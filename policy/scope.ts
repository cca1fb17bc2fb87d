import { authorsOf } from './headers.ts';
import { parseAddress } from './ip/address.ts';
import { canonicalDomain, type Path, parsePath } from './mailbox.ts';
import type { Peer } from './original-client.ts';
import type { Domain, Policy } from './policy.ts';
import type { DataScope, RcptScope } from './stage.ts';
import type { ConnectFacts, DataFacts, RcptFacts } from './types.ts';

/** Which view of the policy is judged: as enforced, or with every object in Audit enforced too. */
export type View = 'enforced' | 'audited';

/** The part of the policy that one RCPT TO concerns. */
export function rcptScope(policy: Policy, facts: RcptFacts, view: View): RcptScope {
  const recipient = recipientPath(policy, facts.recipient);
  const domain = hostOf(policy, recipient, view);
  return {
    policy,
    sender: parsePath(facts.envelopeFrom),
    recipient,
    ...(domain && { domain }),
    ...peerOf(facts),
  };
}

/** The part of the policy that a message concerns. */
export function dataScope(policy: Policy, facts: DataFacts, view: View): DataScope {
  const recipients = facts.recipients.map((text) => {
    const recipient = recipientPath(policy, text);
    const domain = hostOf(policy, recipient, view);
    return { recipient, ...(domain && { domain }) };
  });
  const domains = new Set(recipients.flatMap(({ domain }) => domain ?? []));
  const accountDomain = facts.account && policy.domains.get(canonicalDomain(facts.account.domain));
  const from = authorsOf(facts.headers);
  return {
    policy,
    sender: parsePath(facts.envelopeFrom),
    recipients,
    domains: [...domains],
    ...peerOf(facts),
    ...(accountDomain && { accountDomain }),
    ...(from && { from }),
  };
}

/** Nothing if the address cannot be read. */
function peerOf({ peer }: ConnectFacts): { readonly peer?: Peer } {
  const address = parseAddress(peer);
  return address === undefined ? {} : { peer: { role: 'peer', address } };
}

/**
 * Reads a recipient. A bare `postmaster` must be taken by every server (RFC 5321 4.5.1): it is the one of the first domain
 * that names a postmaster.
 */
function recipientPath(policy: Policy, text: string): Path {
  const path = parsePath(text);
  if (path.kind !== 'mailbox' || path.mailbox.domain !== '') return path;
  for (const [domain, { policy: own }] of policy.domains) {
    if (own.postmaster !== undefined) return { kind: 'mailbox', mailbox: { ...path.mailbox, domain } };
  }
  return path;
}

function hostOf(policy: Policy, path: Path, view: View): Domain | undefined {
  if (path.kind !== 'mailbox') return undefined;
  const { domain } = path.mailbox;
  return (view === 'audited' ? policy.audited.get(domain) : undefined) ?? policy.domains.get(domain);
}
