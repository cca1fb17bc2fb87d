import type { ConnectScope, DataScope, MailScope, RcptScope, Stage } from './stage.ts';
import { access } from './stages/access.ts';
import { accountLimit } from './stages/account-limit.ts';
import { addressForm } from './stages/address-form.ts';
import { authentication } from './stages/authentication.ts';
import { clientAccess } from './stages/client-access.ts';
import { contentFilter } from './stages/content-filter.ts';
import { delivery } from './stages/delivery.ts';
import { filterScope } from './stages/filter-scope.ts';
import { fromHeader } from './stages/from-header.ts';
import { fromTls } from './stages/from-tls.ts';
import { gateway } from './stages/gateway.ts';
import { inboundTls } from './stages/inbound-tls.ts';
import { junkPatterns } from './stages/junk-patterns.ts';
import { loop } from './stages/loop.ts';
import { messageKey } from './stages/message-key.ts';
import { originalClient } from './stages/original-client.ts';
import { recipient } from './stages/recipient.ts';
import { relay } from './stages/relay.ts';
import { returnedInternal } from './stages/returned-internal.ts';
import { senderForm } from './stages/sender-form.ts';
import { service } from './stages/service.ts';
import { signing } from './stages/signing.ts';
import { size } from './stages/size.ts';
import { smuggling } from './stages/smuggling.ts';
import { submission } from './stages/submission.ts';
import { submissionFrom } from './stages/submission-from.ts';
import type { ConnectFacts, DataFacts, MailFacts, RcptFacts } from './types.ts';

/**
 * The order of judgement: the first stage that refuses decides. Everything that says in which order Postern judges (the
 * engine, the reference page, the tests) reads these lists.
 */
export interface Order {
  readonly connect: readonly Stage<ConnectFacts, ConnectScope>[];
  readonly mail: readonly Stage<MailFacts, MailScope>[];
  readonly rcpt: readonly Stage<RcptFacts, RcptScope>[];
  readonly data: readonly Stage<DataFacts, DataScope>[];
}

export const order: Order = {
  connect: [service],
  mail: [senderForm, submission],
  rcpt: [addressForm, relay, inboundTls, access, gateway, recipient, accountLimit, messageKey],
  data: [
    smuggling,
    size,
    fromTls,
    fromHeader,
    submissionFrom,
    returnedInternal,
    loop,
    originalClient,
    clientAccess,
    authentication,
    junkPatterns,
    filterScope,
    contentFilter,
    delivery,
    signing,
  ],
};
