import { queueOrderSize, queuePageSize, queueVerbs } from '../../bundle/queue.ts';
import type { QueueDesk } from './queue-desk.ts';

type Reply = { readonly answer: unknown } | { readonly status: number; readonly problem: string };

/** Is it a path of the queue's? */
export function isQueuePath(path: string): boolean {
  return path === '/queue' || path.startsWith('/queue/');
}

/**
 * `GET /queue?after=&limit=`, `GET /queue/<id>?headers=true` and `POST /queue/<id>[,<id>...]/<verb>`. A request has no body.
 * @param url path and query. Whoever asks has shown the token already.
 */
export async function answerQueue(desk: QueueDesk, method: string, url: string): Promise<Reply> {
  const { pathname, searchParams } = new URL(url, 'http://mta');
  const [, , ids = '', verb, ...more] = pathname.split('/');
  if (more.length > 0) return { status: 404, problem: 'not found' };
  if (verb !== undefined) {
    const order = queueVerbs.find((each) => each === verb);
    if (order === undefined)
      return { status: 404, problem: `no such order; there are ${queueVerbs.join(', ')}` };
    if (method !== 'POST') return { status: 405, problem: 'method not allowed' };
    const named = ids.split(',').filter((id) => id !== '');
    if (named.length === 0 || named.length > queueOrderSize)
      return { status: 400, problem: `an order names 1 to ${queueOrderSize} ids` };
    return { answer: { results: await desk.order(order, named) } };
  }
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, problem: 'method not allowed' };
  if (ids !== '') return { answer: await desk.show(ids, searchParams.get('headers') === 'true') };
  const limit = Number(searchParams.get('limit') ?? queuePageSize);
  if (!Number.isInteger(limit) || limit < 1 || limit > queuePageSize)
    return { status: 400, problem: `limit is a whole number from 1 to ${queuePageSize}` };
  return { answer: await desk.list(searchParams.get('after') ?? undefined, limit) };
}
