import { findPeer } from '../peer-table.ts';
import type { DataScope, Finding, Stage } from '../stage.ts';
import { byObject } from '../stage.ts';
import type { DataFacts } from '../types.ts';

/** T11 for what RCPT could not see: a null sender, or another one, with a partner's address in the From header. */
export const fromTls: Stage<DataFacts, DataScope> = {
  name: 'from-tls',
  ids: ['T11'],
  about: 'A message whose From header names a partner domain comes over TLS, whatever its envelope says.',
  judge({ account, tls }, { domains, from }): Finding | undefined {
    if (account !== undefined) return { outcome: 'skip', detail: 'authenticated' };
    if (tls) return { outcome: 'skip', detail: 'the connection is encrypted' };
    for (const author of from ?? []) {
      for (const domain of domains) {
        const peer = findPeer(domain.tlsPeers, author.domain);
        if (peer === undefined) continue;
        const because = byObject(peer.source, peer.peer);
        return { outcome: 'reject', reply: 'tlsRequired', because, detail: 'the From domain must use TLS' };
      }
    }
    return undefined;
  },
};
