import { lookupKey } from '../../policy/lookup.ts';
import type { Accepted, DataFacts, Needed, Refused } from '../../policy/types.ts';
import type { Message } from '../message.ts';
import type { Runtime } from '../runtime.ts';
import type { Session } from '../session.ts';
import { verifyMessage } from './authentication.ts';
import { askContentFilter } from './content-filter.ts';

/** Signatures of one message that are checked: each costs a question and a computation, and a header has room for thousands. */
const maxSignatures = 10;

/** What is being judged. */
interface Judged {
  readonly facts: DataFacts;
  readonly message: Message;
  /** The verdict that asked first. */
  readonly first: Needed;
}

/**
 * Fetches what the policy wants to know of a message, one thing after the other, until it can say. Each answer is asked for
 * once.
 * @throws Error if the policy asks for what it has.
 */
export async function askAboutMessage(
  runtime: Runtime,
  session: Session,
  { facts, message, first }: Judged,
): Promise<Accepted | Refused> {
  let known = facts;
  let verdict: Accepted | Refused | Needed = first;
  while (verdict.verdict === 'need') {
    known = { ...known, ...(await fetchAnswer(runtime, session, known, message, verdict.lookup)) };
    verdict = runtime.judge.data(runtime.bundles.current?.policy, known);
  }
  return verdict;
}

async function fetchAnswer(
  runtime: Runtime,
  { connection }: Session,
  facts: DataFacts,
  message: Message,
  lookup: Needed['lookup'],
): Promise<Partial<Pick<DataFacts, 'authentication' | 'contentFilter' | 'lookups'>>> {
  const from = facts.envelopeFrom;
  const helo = connection.hello.host ?? '';
  if (lookup.kind === 'authentication' && facts.authentication === undefined) {
    const parts = { ask: runtime.authenticationDns, heloName: runtime.settings.heloName, now: Date.now };
    return { authentication: await verifyMessage(signedContent(message), lookup, { from, helo }, parts) };
  }
  if (lookup.kind === 'contentFilter' && facts.contentFilter === undefined) {
    const id = connection.transaction?.uuid ?? connection.uuid;
    const account = facts.account?.name;
    const envelope = {
      id,
      from,
      helo,
      recipients: facts.recipients,
      ...(account !== undefined && { account }),
    };
    const content = message.toContent(() => false);
    return { contentFilter: await askContentFilter(content, lookup, envelope) };
  }
  // The header has made another kind of mail of it than it seemed at RCPT, with another Route to ask.
  if (lookup.kind === 'recipient' && !facts.lookups.has(lookupKey(lookup))) {
    const answer = await runtime.lookUp(lookup);
    return { lookups: new Map([...facts.lookups, [lookupKey(lookup), answer]]) };
  }
  throw new Error(`the policy asks again for ${lookup.kind}`);
}

/** The message with its first signatures: those that hops on the way have added come first. */
function signedContent(message: Message): Buffer {
  let signatures = 0;
  return message.toContent((name) => {
    if (name.toLowerCase() === 'dkim-signature') signatures += 1;
    return name.toLowerCase() === 'dkim-signature' && signatures > maxSignatures;
  });
}
