import { findPeer } from '../peer-table.ts';
import type { RcptScope, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { RcptFacts } from '../types.ts';

/** RFC 3207 forbids to ask TLS of everybody, so it is asked per sender domain and recipient domain, here. */
export const inboundTls: Stage<RcptFacts, RcptScope> = {
  name: 'inbound-tls',
  ids: ['T1', 'T7', 'T8', 'T11'],
  about: "Mail from a partner domain of the recipient domain's TlsPolicies comes over TLS.",
  judge({ account, tls }, { domain, sender }) {
    if (account !== undefined) return { outcome: 'skip', detail: 'authenticated' };
    if (tls) return { outcome: 'skip', detail: 'the connection is encrypted' };
    if (domain === undefined || sender.kind !== 'mailbox') return undefined;
    const peer = findPeer(domain.tlsPeers, sender.mailbox.domain);
    if (peer === undefined) return undefined;
    const because = byObject(peer.source, peer.peer);
    return { outcome: 'reject', reply: 'tlsRequired', because, detail: 'the sender domain must use TLS' };
  },
};
