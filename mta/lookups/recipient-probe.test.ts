import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { RoutePolicy } from '../../bundle/route-policy.ts';
import type { LookupAnswer } from '../../policy/types.ts';
import { type AskRoute, RecipientProbe } from './recipient-probe.ts';
import type { RouteBook } from './route-book.ts';

function route(name: string, over: Partial<RoutePolicy> = {}): RoutePolicy {
  return {
    name,
    source: { kind: 'Route', name, generation: 1 },
    host: '192.0.2.1',
    port: 25,
    protocol: 'SMTP',
    lookupMx: false,
    tls: { mode: 'Disabled', verify: 'None' },
    authenticated: false,
    connection: { maxConcurrent: 2, timeoutSeconds: 30 },
    ...over,
  };
}

function bookOf(
  routes: RoutePolicy[],
  revision = 'r1',
  auth: RouteBook['secrets']['routeAuth'] = {},
): RouteBook {
  return {
    routes: new Map(routes.map((one) => [one.name, one])),
    secrets: { routeAuth: auth },
    index: {
      routes: Object.fromEntries(routes.map((one) => [one.name, JSON.stringify(one)])),
      secretsRevision: revision,
    },
  };
}

/** A probe whose server answers when the test says so. */
function harness(book: RouteBook) {
  const state = { book, time: 1 };
  const asked: { route: string; recipient: string; answer: (word: 'known' | 'unknown' | Error) => void }[] =
    [];
  const troubles: string[] = [];
  const ask: AskRoute = ({ name }, _credentials, recipient) =>
    new Promise((resolve, reject) => {
      asked.push({
        route: name,
        recipient,
        answer: (word) => (word instanceof Error ? reject(word) : resolve(word)),
      });
    });
  const probe = new RecipientProbe({
    book: () => state.book,
    ask,
    answered: () => undefined,
    troubled: (name, problem) => troubles.push(`${name}: ${problem}`),
    now: () => state.time,
  });
  const lookUp = (recipient: string, name = 'store') =>
    probe.lookUp({ kind: 'recipient', route: name, recipient });
  /** Asks, and lets the server answer if it is asked. */
  const settled = async (recipient: string, word: 'known' | 'unknown' | Error): Promise<LookupAnswer> => {
    const before = asked.length;
    const answer = lookUp(recipient);
    await turn();
    if (asked.length > before) asked.at(-1)?.answer(word);
    return answer;
  };
  return { state, asked, troubles, lookUp, settled };
}

test.each([
  ['known', 'known', 600_000],
  ['unknown', 'unknown', 60_000],
  ['unavailable', new Error('down'), 5_000],
] as const)('I9: the answer %s is kept for its time and no longer', async (answer, word, holdsMs) => {
  const { state, asked, settled } = harness(bookOf([route('store')]));
  expect(await settled('user@example.com', word)).toBe(answer);
  state.time = holdsMs;
  expect(await settled('USER@example.com', 'known')).toBe(answer);
  expect(asked).toHaveLength(1);
  state.time = holdsMs + 2;
  expect(await settled('user@example.com', 'known')).toBe('known');
  expect(asked).toHaveLength(2);
});

test('I9: a recipient is asked for once at a time, whoever wants to know', async () => {
  const { asked, lookUp } = harness(bookOf([route('store')]));
  const both = Promise.all([lookUp('user@example.com'), lookUp('user@example.com')]);
  await turn();
  expect(asked).toHaveLength(1);
  asked[0]?.answer('unknown');
  expect(await both).toEqual(['unknown', 'unknown']);
});

test('I13: what a Route said does not hold for the Route that it becomes, or for other credentials', async () => {
  const { state, asked, settled } = harness(bookOf([route('store')]));
  await settled('user@example.com', 'unknown');
  state.book = bookOf([route('store', { port: 26 })]);
  expect(await settled('user@example.com', 'known')).toBe('known');
  const authenticated = route('store', { authenticated: true });
  state.book = bookOf([authenticated], 'r1');
  expect(await settled('user@example.com', 'unknown')).toBe('unknown');
  state.book = bookOf([authenticated], 'r2');
  expect(await settled('user@example.com', 'known')).toBe('known');
  expect(asked).toHaveLength(4);
});

test('I13: no more questions run at a time than the Route allows, and a Route that is busy delays no other', async () => {
  const { asked, lookUp } = harness(bookOf([route('store'), route('other')]));
  const answers = ['a', 'b', 'c', 'd'].map((name) => lookUp(`${name}@example.com`));
  await turn();
  expect(asked.map(({ recipient }) => recipient)).toEqual(['a@example.com', 'b@example.com']);
  const other = lookUp('user@example.com', 'other');
  await turn();
  asked[2]?.answer('known');
  expect(await other).toBe('known');
  asked[1]?.answer('unknown');
  expect(await answers[1]).toBe('unknown');
  await turn();
  expect(asked.map(({ recipient }) => recipient).slice(3)).toEqual(['c@example.com']);
  for (const at of [0, 3]) asked[at]?.answer('known');
  await turn();
  asked[4]?.answer('known');
  expect(await Promise.all(answers)).toEqual(['known', 'unknown', 'known', 'known']);
});

test('I9: a Route with a long queue, a Route that is gone and no policy at all are unavailable at once', async () => {
  const { state, asked, lookUp } = harness(bookOf([route('store')]));
  const waiting = Array.from({ length: 300 }, (_, i) => lookUp(`user${i}@example.com`));
  expect(await waiting.at(-1)).toBe('unavailable');
  for (let at = 0; at < asked.length; at += 1) {
    asked[at]?.answer('known');
    await turn();
  }
  expect((await Promise.all(waiting)).filter((answer) => answer === 'known')).toHaveLength(202);
  expect(await lookUp('user@example.com', 'gone')).toBe('unavailable');
  state.book = { ...state.book, routes: new Map() };
  expect(await lookUp('new@example.com')).toBe('unavailable');
});

test('the same trouble of a Route is told once', async () => {
  const { state, troubles, settled } = harness(bookOf([route('store')]));
  await settled('a@example.com', new Error('down'));
  await settled('b@example.com', new Error('down'));
  expect(troubles).toEqual(['store: down']);
  await settled('c@example.com', 'known');
  state.time = 6_000;
  await settled('a@example.com', new Error('down'));
  expect(troubles).toEqual(['store: down', 'store: down']);
});
