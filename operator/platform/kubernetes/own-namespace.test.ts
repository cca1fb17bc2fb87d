import { expect, test } from 'vitest';
import { OwnNamespace } from './own-namespace.ts';
import { ApiError } from './runtime/api-error.ts';
import type { ApiClient } from './runtime/client.ts';

/** An API server that gives these answers in turn: the annotation, or an error. */
function setUp(answers: (string | undefined | ApiError)[]) {
  let now = 0;
  const client: ApiClient = {
    async request() {
      const answer = answers.shift();
      if (answer instanceof ApiError) throw answer;
      const annotations = answer === undefined ? {} : { 'postern.dev/domains': answer };
      return {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'a', uid: 'u', resourceVersion: '1', annotations },
      };
    },
    async *watch() {},
    close() {},
  };
  const domains = new OwnNamespace(client, 'a', () => now);
  return {
    next: () => {
      now += 60_000;
      return domains.allowedDomains();
    },
  };
}

const forbidden = new ApiError(403, 'Forbidden', 'x');
const away = new ApiError(0, 'Unreachable', 'x');

test('the annotation is a list of domains and patterns', async () => {
  expect(await setUp(['Example.com, *.example.org,']).next()).toEqual(['example.com', '*.example.org']);
});

test('without the annotation, or the right to read it, any domain may be had', async () => {
  expect(await setUp([undefined]).next()).toBeUndefined();
  expect(await setUp([forbidden]).next()).toBeUndefined();
});

test('an outage does not open what was closed', async () => {
  const { next } = setUp(['a.example', away, forbidden]);
  await next();
  expect(await next()).toEqual(['a.example']);
  expect(await next()).toEqual(['a.example']);
});

test('nothing is decided while nothing is known', async () => {
  await expect(setUp([away]).next()).rejects.toBe(away);
});
