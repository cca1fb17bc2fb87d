import {
  type QueuedMail,
  type QueueEnvelope,
  type QueuePage,
  type QueueResult,
  type QueueVerb,
  queueEnvelope,
  queueOrderSize,
  queuePage,
  queueResults,
} from '../../bundle/queue.ts';
import type { ReachableMta } from '../mtas.ts';

interface InPod {
  /** Absent for the MTA of a folder. */
  readonly pod?: string;
}

export type PodMail = QueuedMail & InPod;
export type PodResult = QueueResult & InPod;
export type ShownMail = NonNullable<QueueEnvelope['mail']> & InPod;

/** All that is queued in one MTA, page by page: as much as there was when the first page was read, and what came since. */
export async function listQueue({ pod, ask }: ReachableMta): Promise<readonly PodMail[]> {
  const mails: PodMail[] = [];
  let path: string | undefined = '/queue';
  while (path !== undefined) {
    const page: QueuePage = queuePage.parse(await ask(path));
    mails.push(...page.mails.map((mail) => ({ ...inPod(pod), ...mail })));
    path = page.next === null ? undefined : `/queue?after=${encodeURIComponent(page.next)}`;
  }
  return mails;
}

/** One mail, if it lies in this MTA. */
export async function showMail(
  { pod, ask }: ReachableMta,
  id: string,
  headers: boolean,
): Promise<ShownMail | undefined> {
  const { mail } = queueEnvelope.parse(await ask(`/queue/${id}${headers ? '?headers=true' : ''}`));
  return mail === null ? undefined : { ...inPod(pod), ...mail };
}

/**
 * Gives an order to one MTA, in portions.
 * @param ids or `all`: what is in a state that the order is meant for.
 */
export async function give(
  mta: ReachableMta,
  verb: QueueVerb,
  ids: readonly string[] | 'all',
): Promise<readonly PodResult[]> {
  const named = ids === 'all' ? (await listQueue(mta)).filter(isMeant(verb)).map(({ id }) => id) : ids;
  const results: PodResult[] = [];
  for (let start = 0; start < named.length; start += queueOrderSize) {
    const some = named.slice(start, start + queueOrderSize).join(',');
    const answer = queueResults.parse(await mta.ask(`/queue/${some}/${verb}`, 'POST'));
    results.push(...answer.results.map((result) => ({ ...inPod(mta.pod), ...result })));
  }
  return results;
}

/** Of all mail, what is on its way already is left alone. */
function isMeant(verb: QueueVerb): (mail: PodMail) => boolean {
  return ({ state }) => {
    if (verb === 'release') return state === 'Held';
    return state === 'Deferred' || (verb === 'bounce' && state === 'Held');
  };
}

function inPod(pod: string | undefined): InPod {
  return pod === undefined ? {} : { pod };
}
